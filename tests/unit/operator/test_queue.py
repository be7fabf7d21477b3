"""Places and expected times of the SplitJobs that wait."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.operator_samples import NOW, after, raw_splitjob
from tests.support.waiting_splitjobs import entries, entry

from splitjob.lifecycle import LifecycleState
from splitjob.status import Queue
from splitjob_operator.core.admission_queue import Bounds
from splitjob_operator.core.cached_splitjob import BlockedReason, CachedSplitJob
from splitjob_operator.core.observed import QueueDecision
from splitjob_operator.core.queue import (
    QueuePlace,
    places,
    queue_status,
    worth_writing,
)


def placed(
    line: list[CachedSplitJob],
    bound: int,
    run_seconds: dict[str, float] | None = None,
    of_group: int = 0,
) -> dict[str, QueuePlace]:
    known = {"demo/cpu": 10.0} if run_seconds is None else run_seconds
    return places(line, known, Bounds(bound, of_group), "cpu", NOW)


@given(entries, st.integers(0, 10))
def test_places_are_one_line(line: list[CachedSplitJob], bound: int) -> None:
    found = placed(line, bound)
    counted = [e for e in line if e.name in found and not _passed(e)]
    in_line = [place for e in counted if (place := found[e.name]).position is not None]
    in_line.sort(key=lambda place: place.position or 0)
    assert [place.position for place in in_line] == list(range(1, len(in_line) + 1))
    etas = [place.eta_seconds for place in in_line]
    assert etas == sorted(etas, key=lambda eta: eta or 0)


def _passed(entry: CachedSplitJob) -> bool:
    return entry.state is LifecycleState.QUEUED and entry.blocked is not None


def test_who_is_passed_counts_for_nobody() -> None:
    line = [
        entry("retrying", age=2, blocked=BlockedReason.JOB),
        entry("next", age=1),
        entry("last"),
    ]
    found = placed(line, 1)
    assert {name: p.position for name, p in found.items()} == {"retrying": 1, "next": 1, "last": 2}
    assert found["last"].eta_seconds == 20
    assert found["retrying"].eta_seconds is None


def test_a_group_that_has_as_many_as_it_may_counts_for_nobody() -> None:
    """Nobody knows when one of its own ends; those behind it are not told to wait for it."""
    line = [
        entry("ana-works", LifecycleState.RUNNING, age=9, group="ana", ran=4),
        entry("ana-waits", age=8, group="ana"),
        entry("ben-waits", group="ben"),
    ]
    found = placed(line, 2, of_group=1)
    assert found["ana-waits"] == QueuePlace(2, None)
    assert found["ben-waits"] == QueuePlace(1, 10)


def test_who_starts_has_no_position_any_more() -> None:
    line = [entry("starting", LifecycleState.STARTING, age=9), entry("next")]
    found = placed(line, 1)
    assert found["starting"] == QueuePlace(None, 10)
    assert found["next"] == QueuePlace(1, 20)


def test_the_time_left_of_those_at_work_counts() -> None:
    line = [
        entry("a", LifecycleState.RUNNING, ran=8),
        entry("b", LifecycleState.RUNNING, ran=60),  # it takes longer than usual
        entry("next", age=1),
        entry("last"),
    ]
    found = placed(line, 2)
    assert (found["next"].eta_seconds, found["last"].eta_seconds) == (10, 12)


def test_without_a_bound_everybody_starts_at_once() -> None:
    found = placed([entry("a", age=1), entry("b")], 0)
    assert [place.eta_seconds for place in found.values()] == [10, 10]


def test_a_cluster_that_is_full_has_room_for_those_at_work_alone() -> None:
    full = entry("full", LifecycleState.PENDING, age=9)
    line = [full, entry("running", LifecycleState.RUNNING, ran=4), entry("next")]
    for bound in (0, 5):
        found = placed(line, bound)
        assert found["full"] == QueuePlace(1, 16)
        assert found["next"] == QueuePlace(2, 26)


def test_where_nobody_works_and_there_is_no_room_nothing_is_expected() -> None:
    line = [entry("full", LifecycleState.PENDING, age=9), entry("next")]
    assert [place.eta_seconds for place in placed(line, 5).values()] == [None, None]


def test_unknown_until_there_is_evidence() -> None:
    assert placed([entry("a")], 1, {})["a"].eta_seconds is None
    assert placed([entry("a"), entry("b")], 1)["b"].eta_seconds == 20


def test_one_that_may_take_any_time_makes_those_behind_it_unknown() -> None:
    line = [entry("other", age=9, model="new"), entry("next")]
    assert placed(line, 1)["next"].eta_seconds is None
    assert placed(line, 2)["next"].eta_seconds == 10, "there is another slot"


def test_an_image_that_is_pulled_may_take_any_time() -> None:
    pulling = replace(
        entry("a", LifecycleState.STARTING, age=9), queue=Queue(reason="PullingImage")
    )
    found = placed([pulling, entry("next")], 1)
    assert [found[name].eta_seconds for name in ("a", "next")] == [None, None]


@pytest.mark.parametrize("reason", ["InstallationPaused", "PodRefused", "Retrying", "NameTaken"])
def test_no_time_is_invented_for_who_waits_for_something_else(reason: str) -> None:
    decision = QueueDecision(may_start=False, position=2, eta_seconds=90)
    assert queue_status(None, decision, reason, "Because.").eta_seconds is None
    assert queue_status(None, decision, "Queued", "Because.").eta_seconds == 90


def test_far_back_only_noticeable_moves_are_written() -> None:
    assert worth_writing(Queue(position=3), Queue(position=2))
    assert not worth_writing(Queue(position=1000), Queue(position=999))
    assert worth_writing(Queue(position=1000), Queue(position=899))


def test_times_of_the_api_server_are_read() -> None:
    assert CachedSplitJob.of(raw_splitjob()).created_at == after(0)
