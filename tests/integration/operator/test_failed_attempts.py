"""Attempts that fail, are ended by others or vanish: what is tried again, and what it ends with."""

import json
import time
from collections.abc import Iterator
from datetime import datetime

import pytest
from tests.support.operator_harness import Site, site
from tests.support.waiting import eventually

from splitjob_local.cluster.local_cluster import LocalCluster


@pytest.fixture(scope="module")
def here(crd: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(crd, tmp_path_factory.mktemp("attempts")) as place:
        place.start()
        yield place


@pytest.fixture(scope="module", autouse=True)
def slow(here: Site) -> dict[str, str]:
    """Jobs that take their time, asked for first, so that they run beside the other tests."""
    return {
        "fill": here.ask("fill 64"),
        "eat": here.ask("progress 40 96; eat 400"),
        "deaf": here.ask("deaf; sleep 60", runDeadlineSeconds=2),
    }


def test_out_of_memory_is_tried_once_more_with_more(here: Site, slow: dict[str, str]) -> None:
    """Acceptance 36: once more with more memory, then worker_oom."""
    name = slow["eat"]
    status = here.ended(name, 60)
    assert [a["reason"] for a in status["attempts"]] == ["WorkerOom", "WorkerOom"]
    assert status["attempts"][1]["memoryBytes"] == 160 * 2**20
    event = here.told(name)
    assert event.body["errorCode"] == "worker_oom"
    assert (
        "0.16 GiB allowed, 0.09 GiB used at its last word (separate, 40 %)" in event.body["error"]
    )


def test_a_full_scratch_disk(here: Site, slow: dict[str, str]) -> None:
    """Acceptance 50."""
    assert here.ended(slow["fill"], 90)["failure"]["code"] == "worker_storage"


@pytest.mark.parametrize("code", ["source_not_found", "audio_unreadable", "model_unavailable"])
def test_what_cannot_help_is_not_tried_again(here: Site, code: str) -> None:
    name = here.ask(f"fail {code}")
    status = here.ended(name)
    assert len(status["attempts"]) == 1
    event = here.told(name)
    assert (event.body["status"], event.body["errorCode"]) == ("failed", code)
    assert here.manifest(name)["status"] == "failed"  # type: ignore[index]


def test_a_transient_failure_is_tried_again(here: Site) -> None:
    """Acceptance 25."""
    name = here.ask("fail source_unavailable retryable", script2="complete")
    status = here.ended(name)
    assert [a["reason"] for a in status["attempts"]] == ["SourceUnavailable", "Completed"]
    assert len(here.receiver.of(name)) <= 1
    body = here.told(name).body
    assert body["status"] == "completed"
    first = status["attempts"][0]
    held = datetime.fromisoformat(first["endedAt"]) - datetime.fromisoformat(first["startedAt"])
    assert (body["attempts"], body["gpuSeconds"]) == (2, held.total_seconds() + 1.5)


def test_a_pod_told_to_stop_is_replaced(here: Site) -> None:
    """Acceptance 38: one final webhook."""
    name = here.ask("sleep 60", script2="complete")
    pod = here.running(name)["metadata"]["name"]
    here.delete("pod", pod)
    assert here.reason(name) == "Completed"
    assert [a["reason"] for a in here.status(name)["attempts"]] == ["WorkerDisrupted", "Completed"]
    here.told(name)
    time.sleep(0.5)
    assert len(here.receiver.of(name)) == 1


def test_a_pod_evicted_by_the_api_is_replaced(here: Site) -> None:
    """Acceptance 37: 137 with a DisruptionTarget is not worker_oom."""
    name = here.ask("deaf; sleep 60", script2="complete")
    evict(here, here.running(name)["metadata"]["name"])
    assert here.reason(name) == "Completed"
    assert here.status(name)["attempts"][0]["reason"] == "WorkerDisrupted"


def evict(place: Site, pod: str) -> None:
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": place.namespace},
    }
    path = f"/api/v1/namespaces/{place.namespace}/pods/{pod}/eviction"
    place.kubectl("create", "--raw", path, "-f", "-", text=json.dumps(eviction))


def test_a_pod_evicted_again_and_again_is_given_up(here: Site) -> None:
    """Acceptance 39: after five more attempts, each of which began at once."""
    name = here.ask("sleep 60")
    for number in range(1, 7):
        evict(here, pod_of_attempt(here, name, number))
    event = here.told(name)
    assert event.body["errorCode"] == "worker_disrupted"
    assert event.body["attempts"] == 6
    assert {one["reason"] for one in here.status(name)["attempts"]} == {"WorkerDisrupted"}


def pod_of_attempt(place: Site, name: str, number: int) -> str:
    """Wait until an attempt's worker runs; return its pod's name."""

    def running() -> str:
        attempts = place.status(name).get("attempts", [])
        runs = len(attempts) == number and "startedAt" in attempts[-1]
        return str(attempts[-1]["podName"]) if runs else ""

    return eventually(running)


def test_a_job_deleted_by_hand_gives_another_attempt(here: Site) -> None:
    """Acceptance 46."""
    name = here.ask("sleep 60", script2="complete")
    here.running(name)
    here.delete("job", f"{name}-1")
    assert here.reason(name) == "Completed"
    assert len(here.status(name)["attempts"]) == 2


def test_jobs_deleted_by_hand_are_replaced_once(here: Site) -> None:
    """Acceptance 46: the second deletion ends the job, and leaves nothing of either attempt."""
    name = here.ask("sleep 60")
    for number in (1, 2):
        pod_of_attempt(here, name, number)
        here.delete("job", f"{name}-{number}")
    event = here.told(name)
    assert (event.body["errorCode"], event.body["attempts"]) == ("worker_lost", 2)
    eventually(lambda: not here.pods(name) and not here.jobs(name))
    assert len(here.receiver.of(name)) == 1


def test_the_run_deadline_ends_a_job(here: Site, slow: dict[str, str]) -> None:
    """Acceptance 45."""
    name = slow["deaf"]
    event = here.told(name)
    assert event.body["errorCode"] == "deadline_exceeded"
    assert here.pods(name) == []
