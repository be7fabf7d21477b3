"""Whether the operator may work, and what it says is in the way."""

import asyncio
import logging
from collections.abc import Callable

import pytest
from tests.support.waiting import patience

from splitjob_kube.preconditions import Unready, UnreadyReason
from splitjob_operator.runtime.metrics import UNREADY
from splitjob_operator.runtime.readiness import Readiness

AWAY = Unready(UnreadyReason.CLUSTER_UNAVAILABLE, "the API server does not answer")
NO_CRD = Unready(UnreadyReason.CRD_MISSING, "there is no CustomResourceDefinition")


def metric(reason: UnreadyReason) -> float:
    value: float = UNREADY.labels(reason.value)._value.get()
    return value


def test_it_is_unready_until_the_splitjobs_were_listed() -> None:
    readiness = Readiness()
    assert [one.reason for one in readiness.unready] == [UnreadyReason.NOT_LISTED]
    assert not readiness.may_work.is_set()
    readiness.report(())
    assert readiness.unready == ()


@pytest.mark.parametrize("reason", UnreadyReason)
def test_work_is_held_back_by_what_would_do_harm_and_by_nothing_else(reason: UnreadyReason) -> None:
    readiness = Readiness()
    readiness.may_work.set()
    unready = Unready(reason, "x")
    readiness.report((unready,))
    assert readiness.may_work.is_set() is not unready.forbids_work


def test_an_outage_and_its_end_leave_work_as_it_was() -> None:
    readiness = Readiness()
    readiness.may_work.set()
    for unready in ((AWAY,), ()):
        readiness.report(unready)
        assert readiness.may_work.is_set()


def test_whoever_waits_to_work_goes_on_when_it_may() -> None:
    async def waits(free: Callable[[Readiness], None]) -> bool:
        readiness = Readiness()
        readiness.report((NO_CRD,))
        waiting = asyncio.create_task(readiness.may_work.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        free(readiness)
        return await asyncio.wait_for(waiting, patience(10))

    assert asyncio.run(waits(lambda readiness: readiness.may_work.set()))


def test_each_change_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    readiness = Readiness()
    with caplog.at_level(logging.INFO, logger="splitjob_operator.runtime.readiness"):
        for unready in ((NO_CRD,), (NO_CRD,), (NO_CRD, AWAY), (), ()):
            readiness.report(unready)
    assert [record.getMessage() for record in caplog.records] == [
        f"Not ready: {NO_CRD.message}",
        f"Not ready: {NO_CRD.message}",
        f"Not ready: {AWAY.message}",
        "Ready",
    ]


def test_the_metric_shows_what_is_in_the_way_and_no_more() -> None:
    readiness = Readiness()
    assert metric(UnreadyReason.NOT_LISTED) == 1
    readiness.report((NO_CRD,))
    assert (metric(UnreadyReason.CRD_MISSING), metric(UnreadyReason.NOT_LISTED)) == (1, 0)
    readiness.report(())
    assert metric(UnreadyReason.CRD_MISSING) == 0
