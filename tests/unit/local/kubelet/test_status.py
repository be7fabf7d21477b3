"""Pod phases, conditions and restarts, as a kubelet reports them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from splitjob_kubelet.containers.restarts import BackOff, duration, starts_again
from splitjob_kubelet.node.admission import GpuAllocator, admission_failure
from splitjob_kubelet.node.records import (
    ContainerRecord,
    PodFailure,
    PodRecord,
    Running,
    Terminated,
    load,
    save,
)
from splitjob_kubelet.pods.recovery import recovered
from splitjob_kubelet.pods.status import pod_status

NOW = datetime(2030, 1, 1, tzinfo=UTC)
RUNNING = Running(started_at=NOW, container_id="process://u/main/0")


def ended(code: int) -> Terminated:
    reason = "Completed" if code == 0 else "Error"
    return Terminated(exit_code=code, reason=reason, finished_at=NOW)


def pod(policy: str = "Never", init: int = 0, **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "p", "namespace": "ns", "uid": "u", "generation": 3},
        "spec": {
            "restartPolicy": policy,
            "containers": [{"name": "main", "image": "x"}],
            "initContainers": [{"name": f"init{n}", "image": "x"} for n in range(init)],
        },
        "status": status,
    }


def record(**containers: ContainerRecord) -> PodRecord:
    return PodRecord(uid="u", namespace="ns", name="p", start_time=NOW, containers=containers)


def status(a_pod: dict[str, Any], a_record: PodRecord) -> dict[str, Any]:
    earlier = a_pod["status"].get("conditions") or []
    return pod_status(a_pod, a_record, "127.0.0.1", earlier, NOW)


def condition(a_status: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(one for one in a_status["conditions"] if one["type"] == kind)


def test_a_new_pod_is_pending() -> None:
    found = status(pod(), record())

    assert found["phase"] == "Pending"
    assert found["containerStatuses"][0]["state"] == {"waiting": {"reason": "ContainerCreating"}}
    assert condition(found, "Ready")["message"] == "containers with unready status: [main]"


def test_main_containers_wait_for_the_init_ones() -> None:
    found = status(pod(init=2), record(init0=ContainerRecord(name="init0", state=ended(0))))

    assert found["phase"] == "Pending"
    assert found["containerStatuses"][0]["state"] == {"waiting": {"reason": "PodInitializing"}}
    message = "containers with incomplete status: [init1]"
    assert condition(found, "Initialized")["message"] == message


def test_a_running_pod_is_ready_when_its_containers_are() -> None:
    entry = ContainerRecord(name="main", state=RUNNING, started=True, ready=True)
    found = status(pod(), record(main=entry))

    assert found["phase"] == "Running"
    assert condition(found, "Ready") == {
        "type": "Ready",
        "status": "True",
        "reason": None,
        "message": None,
        "observedGeneration": 3,
        "lastTransitionTime": "2030-01-01T00:00:00Z",
    }


def test_a_readiness_gate_holds_back() -> None:
    gated = pod()
    gated["spec"]["readinessGates"] = [{"conditionType": "example.com/open"}]
    entry = ContainerRecord(name="main", state=RUNNING, started=True, ready=True)

    found = status(gated, record(main=entry))

    assert condition(found, "ContainersReady")["status"] == "True"
    assert condition(found, "Ready")["reason"] == "ReadinessGatesNotReady"


def test_a_final_phase_waits_until_the_node_is_done() -> None:
    entries = record(main=ContainerRecord(name="main", state=ended(1)))
    assert status(pod(), entries)["phase"] == "Running"

    entries.finished = True
    assert status(pod(), entries)["phase"] == "Failed"
    entries.containers["main"].state = ended(0)
    assert status(pod(), entries)["phase"] == "Succeeded"


def test_a_verdict_of_the_node_fails_the_pod() -> None:
    entries = record(main=ContainerRecord(name="main", state=ended(0)))
    entries.failure = PodFailure(reason="Evicted", message="too full")
    assert status(pod(), entries)["reason"] is None

    entries.finished = True
    found = status(pod(), entries)
    assert (found["phase"], found["reason"], found["message"]) == ("Failed", "Evicted", "too full")


def test_transition_times_stay() -> None:
    earlier = {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2029-01-01"}
    found = status(pod(conditions=[earlier]), record())

    assert condition(found, "PodScheduled")["lastTransitionTime"] == "2029-01-01"
    assert condition(found, "Ready")["lastTransitionTime"] == "2030-01-01T00:00:00Z"


def test_waiting_for_a_restart_shows_the_last_end() -> None:
    entry = ContainerRecord(name="main", state=ended(7), restarts=2)
    entry.wait_for("CrashLoopBackOff", "back-off 20s")

    found = status(pod("Always"), record(main=entry))["containerStatuses"][0]

    assert found["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert found["lastState"]["terminated"]["exitCode"] == 7
    assert found["restartCount"] == 2


def test_a_container_that_was_never_seen_to_end() -> None:
    entries = record()
    entries.finished = True

    ending = status(pod(), entries)["containerStatuses"][0]["state"]["terminated"]

    assert (ending["reason"], ending["exitCode"]) == ("ContainerStatusUnknown", 137)


def test_restarts_are_counted_once() -> None:
    entry = ContainerRecord(name="main")
    entry.run(RUNNING)
    assert entry.restarts == 0
    entry.end(ended(1))
    entry.wait_for("CrashLoopBackOff")
    entry.run(RUNNING)
    assert entry.restarts == 1
    entry.end(ended(2))
    assert (entry.last_exit, entry.restarts) == (ended(2), 1)
    entry.end(ended(128))  # a start that failed is one, too
    assert entry.restarts == 2


@pytest.mark.parametrize(
    ("policy", "code", "expected"),
    [
        ("Always", 0, True),
        ("Always", 1, True),
        ("OnFailure", 0, False),
        ("OnFailure", 1, True),
        ("Never", 1, False),
    ],
)
def test_the_restart_policy_decides_who_starts_again(
    policy: str, code: int, expected: bool
) -> None:
    a_pod = pod(policy, init=1)
    main, init = a_pod["spec"]["containers"][0], a_pod["spec"]["initContainers"][0]
    assert starts_again(a_pod, main, code) == expected
    assert starts_again(a_pod, init, code) == (policy != "Never" and code != 0)
    assert starts_again(a_pod, init | {"restartPolicy": "Always"}, code)


def test_back_off_doubles_to_its_limit() -> None:
    back_off = BackOff(10, 300)
    assert [back_off.next() for _ in range(8)] == [0, 10, 20, 40, 80, 160, 300, 300]
    back_off.reset_after(NOW, NOW + timedelta(minutes=10))
    assert back_off.next() == 0
    assert [duration(one) for one in (10, 80, 300)] == ["10s", "1m20s", "5m0s"]


def test_a_record_survives_and_recovers(tmp_path: Any) -> None:
    """Acceptance 44: what ran when the node died ended as after a reboot."""
    entries = record(main=ContainerRecord(name="main", state=RUNNING, restarts=1))
    path = tmp_path / "record.json"
    save(entries, path)

    found = load(path)
    assert found == entries
    ending = recovered(found).containers["main"].terminated

    assert ending is not None
    assert (ending.exit_code, ending.reason) == (255, "Unknown")
    path.write_text("{")
    assert load(path) is None


def gpu_pod(count: int) -> dict[str, Any]:
    resources = {"limits": {"nvidia.com/gpu": count}, "requests": {"nvidia.com/gpu": count}}
    a_pod = pod()
    a_pod["spec"]["containers"][0]["resources"] = resources
    return a_pod


def test_a_pod_that_does_not_fit_is_refused() -> None:
    capacity = {"nvidia.com/gpu": "2", "pods": "10"}
    assert admission_failure(gpu_pod(1), [gpu_pod(1)], capacity) is None

    verdict = admission_failure(gpu_pod(2), [gpu_pod(1)], capacity)

    assert verdict is not None
    assert verdict.reason == "OutOfnvidia.com/gpu"
    assert "requested: 2, used: 1, capacity: 2" in verdict.message


def test_gpus_are_lent_to_one_pod_each() -> None:
    gpus = GpuAllocator(2)
    assert gpus.allocate("a", gpu_pod(1)) == {"main": [0]}
    assert gpus.allocate("b", gpu_pod(1)) == {"main": [1]}
    gpus.release("a")
    assert gpus.allocate("c", gpu_pod(1)) == {"main": [0]}
