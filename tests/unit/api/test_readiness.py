"""The API's readiness: who asks the cluster, and who waits for the answer."""

import threading
import time
from collections.abc import Sequence

import pytest
from tests.support.waiting import patience

from splitjob_api import readiness
from splitjob_api.queue_stats import QueueStats
from splitjob_api.readiness import LATE, Readiness
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
            assert self.go_on.wait(20)
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
    assert slow.asking.wait(20)
    began = time.monotonic()
    assert ready.forbids_work() == OUTDATED, "the answer before counts"
    assert ready.unready() == (LATE,), "a probe is told that there is none"
    assert time.monotonic() - began < patience(10)
    slow.go_on.set()
    asking.join(20)
    assert slow.asked == 2


def test_a_request_asks_where_nobody_else_has(slow: SlowCluster) -> None:
    ready = Readiness(lambda: None, slow.unmet, QueueStats(), lambda _: None)
    assert ready.forbids_work() == OUTDATED
    assert slow.asked == 1
