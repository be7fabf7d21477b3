"""The API's readiness: who asks the cluster, and who waits for the answer."""

import asyncio
import logging
import threading
import time
from collections.abc import Sequence

import pytest
from tests.support.waiting import patience

from splitjob_api import readiness
from splitjob_api.kubernetes import ClusterUnavailableError
from splitjob_api.queue_stats import QueueStats
from splitjob_api.readiness import LATE, UNLISTED, Readiness
from splitjob_kube.preconditions import Unready, UnreadyReason

OUTDATED = Unready(UnreadyReason.CRD_OUTDATED, "the CRD is old")


class SlowCluster:
    """Says that the CRD is old; from the second look on only once it is let go."""

    def __init__(self) -> None:
        self.asked = 0
        self.asking = threading.Event()
        self.go_on = threading.Event()

    def unmet(self) -> Sequence[Unready]:
        self.asked += 1
        if self.asked > 1:
            self.asking.set()
            assert self.go_on.wait(patience(20))
        return (OUTDATED,)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> SlowCluster:
    monkeypatch.setattr(readiness, "PROBE_SECONDS", 0.0)
    monkeypatch.setattr(readiness, "LOCK_SECONDS", 0.01)
    return SlowCluster()


def test_a_request_does_not_wait_for_the_question_of_another(slow: SlowCluster) -> None:
    ready = Readiness(lambda: None, slow.unmet, QueueStats(), lambda _: None)
    assert ready.unready() == (OUTDATED,)
    asking = threading.Thread(target=ready.unready)
    asking.start()
    assert slow.asking.wait(patience(20))
    began = time.monotonic()
    assert ready.forbids_work() == OUTDATED, "the answer before counts"
    assert ready.unready() == (LATE,), "a probe is told that there is none"
    assert time.monotonic() - began < patience(10)
    slow.go_on.set()
    asking.join(patience(20))
    assert slow.asked == 2


def test_probes_share_one_question_and_are_told_that_its_answer_is_late(
    slow: SlowCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "TOLD_SECONDS", 0.05)
    ready = Readiness(lambda: None, slow.unmet, QueueStats(), lambda _: None)

    async def run() -> None:
        assert await ready.told() == (OUTDATED,)
        told = await asyncio.gather(*(ready.told() for _ in range(100)))
        assert set(told) == {(LATE,)}
        slow.go_on.set()

    asyncio.run(run())
    assert slow.asked == 2


def test_a_request_asks_where_nobody_else_has(
    slow: SlowCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "LOCK_SECONDS", patience())
    ready = Readiness(lambda: None, slow.unmet, QueueStats(), lambda _: None)
    assert ready.forbids_work() == OUTDATED
    assert slow.asked == 1


def test_a_request_goes_by_the_last_answer_while_the_next_one_is_got(slow: SlowCluster) -> None:
    ready = Readiness(lambda: None, slow.unmet, QueueStats(), lambda _: None)
    assert ready.unready() == (OUTDATED,)
    for _ in range(3):
        assert ready.forbids_work() == OUTDATED
    assert slow.asking.wait(patience(20))
    slow.go_on.set()
    assert ready.forbids_work() == OUTDATED
    assert 2 <= slow.asked <= 3, "one question at a time"


def test_a_request_waits_for_no_cluster_that_hangs(
    slow: SlowCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "WORK_SECONDS", 0.0)
    ready = Readiness(lambda: None, slow.unmet, QueueStats(), lambda _: None)
    assert ready.unready() == (OUTDATED,)
    assert ready.forbids_work() == OUTDATED
    assert slow.asking.wait(patience(20))
    slow.go_on.set()


def test_a_request_on_the_event_loop_waits_as_one_in_a_thread_does_and_holds_up_nobody(
    slow: SlowCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = Readiness(lambda: None, slow.unmet, QueueStats(), lambda _: None)

    async def run() -> None:
        monkeypatch.setattr(readiness, "LOCK_SECONDS", patience())
        assert await ready.told_of_work() == OUTDATED, "it asks where nobody else has"
        monkeypatch.setattr(readiness, "WORK_SECONDS", 0.0)
        waiting = asyncio.create_task(ready.told_of_work())
        await asyncio.to_thread(slow.asking.wait, patience(20))
        assert not waiting.done()
        slow.go_on.set()
        assert await waiting == OUTDATED
        assert slow.asked == 2

    asyncio.run(run())


def test_a_request_on_the_event_loop_waits_for_no_cluster_that_hangs(
    slow: SlowCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "WORK_SECONDS", 0.0)
    ready = Readiness(lambda: None, slow.unmet, QueueStats(), lambda _: None)
    assert ready.unready() == (OUTDATED,)
    assert asyncio.run(ready.told_of_work()) == OUTDATED
    assert slow.asking.wait(patience(20))
    slow.go_on.set()


class Asked:
    """A cluster that answers as a test says, and counts what it is asked.

    Attributes:
        error: what is raised instead of an answer.
        unmet: what of the cluster is not as it must be.
        probes, looks: how often it was asked whether it answers, and whether it is as it must be.
        reported: what the metrics were told last.
    """

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.unmet: tuple[Unready, ...] = ()
        self.probes = 0
        self.looks = 0
        self.reported: Sequence[Unready] | None = None
        self.stats = QueueStats()
        self.readiness = Readiness(self._probe, self._look, self.stats, self._report)

    def _probe(self) -> None:
        self.probes += 1
        if self.error:
            raise self.error

    def _look(self) -> Sequence[Unready]:
        self.looks += 1
        if self.error:
            raise self.error
        return self.unmet

    def _report(self, unready: Sequence[Unready]) -> None:
        self.reported = unready


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """A cluster that is asked anew each time whether it answers."""
    monkeypatch.setattr(readiness, "PROBE_SECONDS", 0.0)
    return Asked()


def test_it_is_ready_once_everything_was_listed(asked: Asked) -> None:
    assert asked.readiness.unready() == (UNLISTED,)
    asked.stats.replace([])
    assert asked.readiness.unready() == ()
    assert asked.reported == ()


def test_an_outage_is_a_reason_and_forbids_no_work(asked: Asked) -> None:
    """It shows in the attempt, which the caller can repeat."""
    asked.stats.replace([])
    asked.error = ClusterUnavailableError("cannot be reached (ReadTimeoutError)")
    (found,) = asked.readiness.unready()
    assert found.reason is UnreadyReason.CLUSTER_UNAVAILABLE
    assert found.message == "the Kubernetes API cannot be reached (ReadTimeoutError)"
    assert asked.readiness.forbids_work() is None
    asked.error = None
    assert asked.readiness.unready() == ()


def test_what_is_missing_is_looked_at_again_at_once_and_else_now_and_then(asked: Asked) -> None:
    """A probe comes each second; CRD and rights are changed by hand."""
    asked.stats.replace([])
    asked.unmet = (OUTDATED,)
    for _ in range(3):
        assert asked.readiness.unready() == (OUTDATED,)
    assert (asked.looks, asked.probes) == (3, 0)
    asked.unmet = ()
    for _ in range(3):
        assert asked.readiness.unready() == ()
    assert (asked.looks, asked.probes) == (4, 3)


def test_a_request_waits_for_an_answer_where_the_last_one_is_old(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "WORK_SECONDS", 0.0)
    monkeypatch.setattr(readiness, "LOCK_SECONDS", patience())
    asked.stats.replace([])
    for probes in (1, 2, 3):
        assert asked.readiness.forbids_work() is None
        assert asked.probes == probes


def test_each_change_is_logged_once(asked: Asked, caplog: pytest.LogCaptureFixture) -> None:
    asked.stats.replace([])
    asked.unmet = (OUTDATED,)
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            asked.readiness.unready()
        asked.unmet = ()
        for _ in range(3):
            asked.readiness.unready()
    assert [one.getMessage() for one in caplog.records] == ["not ready: the CRD is old", "ready"]


def test_an_answer_counts_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "PROBE_SECONDS", 600.0)
    cluster = Asked()
    cluster.stats.replace([])
    for _ in range(5):
        assert cluster.readiness.unready() == ()
    assert cluster.probes == 1
