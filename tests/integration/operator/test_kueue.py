"""The operator where Kueue decides when Jobs run, on a real API server and Job controller.

Kueue's own manager is not there: `tests.support.kueue` does to Jobs and Workloads what it does.
"""

import json
from collections.abc import Iterator

import pytest
from tests.support.kueue import KueueStandIn, kueue
from tests.support.operator_harness import Site, site
from tests.support.waiting import eventually

from splitjob_local.cluster.local_cluster import LocalCluster
from splitjob_operator.core.kueue import PRIORITY_LABEL, QUEUE_LABEL

QUEUE = "audio"


@pytest.fixture(scope="module")
def here(crd: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(crd, tmp_path_factory.mktemp("kueue")) as place:
        yield place


@pytest.fixture(scope="module")
def manager(here: Site) -> Iterator[KueueStandIn]:
    with kueue(here.cluster.objects, here.namespace, QUEUE) as found:
        here.start(
            KUEUE_LOCAL_QUEUE=QUEUE,
            KUEUE_PRIORITY_CLASSES=json.dumps([{"at_least": 1, "name": "audio-high"}]),
            QUEUE_GROUP_BY="customer",
            MAX_ACTIVE_JOBS_PER_GROUP="1",
        )
        yield found


@pytest.fixture(autouse=True)
def no_quota(manager: KueueStandIn) -> None:
    manager.quota = 0


def ask(place: Site, script: str, customer: str, priority: int = 0) -> str:
    metadata = {"script": script, "customer": customer}
    return place.ask(script, spec={"priority": priority}, metadata=metadata)


def held(place: Site, name: str, reason: str) -> dict[str, str]:
    """Wait until a job is not admitted for a reason; return the condition."""

    def look() -> dict[str, str]:
        found: dict[str, str] = place.condition(name, "Admitted")
        return found if (found["status"], found["reason"]) == ("False", reason) else {}

    return eventually(look)


def test_a_job_waits_runs_is_evicted_and_runs_again_as_kueue_says(
    here: Site, manager: KueueStandIn
) -> None:
    name = ask(here, "sleep 600", "ana", priority=5)
    job = eventually(lambda: here.jobs(name)[0])
    labels = job["metadata"]["labels"]
    assert (labels[QUEUE_LABEL], labels[PRIORITY_LABEL]) == (QUEUE, "audio-high")
    eventually(lambda: "insufficient unused quota" in held(here, name, "KueuePending")["message"])
    assert here.pods(name) == []
    assert here.status(name)["phase"] == "Queued"

    manager.quota = 1
    here.running(name)
    assert here.condition(name, "Admitted")["status"] == "True"

    manager.quota = 0
    manager.preempt(job["metadata"]["name"])
    assert "Preempted to accommodate" in held(here, name, "KueuePreempted")["message"]
    eventually(lambda: not here.pods(name))
    assert here.condition(name, "Started")["status"] == "False"
    eventually(lambda: here.status(name)["attempts"][0]["evictedSeconds"] >= 0)

    manager.quota = 1
    again = here.running(name)
    status = here.status(name)
    assert [attempt["number"] for attempt in status["attempts"]] == [1], "no attempt was lost by it"
    assert status["attempts"][0]["podName"] == again["metadata"]["name"]
    assert [one["metadata"]["uid"] for one in here.jobs(name)] == [job["metadata"]["uid"]]
    here.change(name, canceled=True)
    assert here.ended(name)["phase"] == "Canceled"
    eventually(lambda: not here.jobs(name))


def test_suspending_a_job_goes_through_its_workload(here: Site, manager: KueueStandIn) -> None:
    name = ask(here, "complete", "eva")
    job = eventually(lambda: here.jobs(name)[0])["metadata"]["name"]
    held(here, name, "KueuePending")
    here.change(name, suspend=True)
    held(here, name, "Suspended")
    eventually(lambda: manager.workload(job)["spec"]["active"] is False)
    manager.quota = 1
    here.change(name, suspend=False)
    eventually(lambda: manager.workload(job)["spec"]["active"] is True)
    assert here.ended(name)["phase"] == "Completed"
    assert here.told(name).body["status"] == "completed"


def test_the_bound_of_a_group_holds_while_the_order_is_kueues(
    here: Site, manager: KueueStandIn
) -> None:
    """Acceptance 78."""
    first, other = ask(here, "complete", "leo"), ask(here, "complete", "zoe")
    held(here, first, "KueuePending")
    held(here, other, "KueuePending")
    second = ask(here, "complete", "leo")
    assert "at most 1 are active" in held(here, second, "Queued")["message"]
    assert here.jobs(second) == []
    manager.quota = 3
    assert {here.ended(name)["phase"] for name in (first, second, other)} == {"Completed"}
