"""Order, turns, places and expected times of the SplitJobs that wait."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.operator_samples import NOW, after, raw_splitjob

from splitjob.lifecycle import LifecycleState
from splitjob.status import Queue
from splitjob_operator.core.cached_splitjob import BlockedReason, CachedSplitJob
from splitjob_operator.core.observed import QueueDecision
from splitjob_operator.core.queue import (
    AdmissionQueue,
    QueuePlace,
    places,
    queue_status,
    worth_writing,
)


def entry(
    name: str,
    state: LifecycleState = LifecycleState.QUEUED,
    age: int = 0,
    priority: int = 0,
    blocked: BlockedReason | None = None,
    needs_bucket: bool = True,
    model: str = "demo",
    ran: int | None = None,
) -> CachedSplitJob:
    return CachedSplitJob(
        name=name,
        uid=name,
        resource_version="1",
        created_at=NOW - timedelta(seconds=age),
        priority=priority,
        state=state,
        model=model,
        started_at=None if ran is None else NOW - timedelta(seconds=ran),
        blocked=blocked,
        needs_bucket=needs_bucket,
    )


def line_of(entries: list[CachedSplitJob], max_active: int) -> AdmissionQueue:
    line = AdmissionQueue(max_active)
    for one in entries:
        line.add(one)
    return line


def next_up(entries: list[CachedSplitJob], max_active: int) -> list[str]:
    return line_of(entries, max_active).next_up()


def test_priority_then_age() -> None:
    line = [entry("young"), entry("old", age=9), entry("urgent", priority=5)]
    assert next_up(line, 3) == ["urgent", "old", "young"]


def test_the_bound_counts_what_is_under_way() -> None:
    line = [
        entry("a", LifecycleState.PENDING),
        entry("b", LifecycleState.RUNNING),
        entry("c"),
        entry("d", age=1),
    ]
    assert next_up(line, 3) == ["d"]
    assert next_up(line, 2) == []
    assert next_up(line, 1) == []
    assert next_up(line, 0) == []
    assert line_of(line, 0).may_start(line[2])
    assert not line_of(line, 0).may_start(line[1])


def test_who_cannot_start_is_passed_and_keeps_its_place() -> None:
    retrying = entry("old", age=9, blocked=BlockedReason.JOB)
    line = line_of([retrying, entry("young")], 1)
    assert line.next_up() == ["young"]
    assert line.may_start(retrying), "once it asks again it goes first"
    line.add(entry("urgent", LifecycleState.PENDING, priority=5))
    assert not line.may_start(retrying), "unless the place is taken"


def test_who_waits_for_the_bucket_is_passed_by_those_that_need_none() -> None:
    """Only as many as there are places look whether it is back."""
    stuck, storing = entry("stuck", age=9, blocked=BlockedReason.STORAGE), entry("storing", age=8)
    uploads = [entry(f"uploads-{n}", age=n, needs_bucket=False) for n in (3, 2, 1)]
    line = line_of([stuck, storing, *uploads], 2)
    assert line.next_up() == ["stuck", "storing", "uploads-3"]
    line = line_of(
        [stuck, entry("storing", age=8, blocked=BlockedReason.STORAGE), entry("third"), *uploads], 2
    )
    assert line.next_up() == ["stuck", "storing", "uploads-3", "uploads-2"]
    assert line.may_start(stuck)


def test_who_stands_behind_one_that_waits_for_the_bucket_holds_up_nobody() -> None:
    line = [entry("stuck", age=9, blocked=BlockedReason.STORAGE), entry("storing", age=8)]
    assert next_up([*line, entry("uploads", needs_bucket=False)], 1) == ["stuck", "uploads"]


entries = st.lists(
    st.builds(
        entry,
        st.uuids().map(str),
        st.sampled_from(LifecycleState),
        st.integers(0, 100),
        st.integers(-100, 100),
        st.none() | st.sampled_from(BlockedReason),
        st.booleans(),
    ).filter(lambda e: e.needs_bucket or e.blocked is not BlockedReason.STORAGE),
    max_size=30,
    unique_by=lambda e: e.name,
)


@given(entries, st.integers(1, 10))
def test_never_more_than_the_bound(line: list[CachedSplitJob], bound: int) -> None:
    """Each is asked again before it starts, also those that are passed by others."""
    under_way = line_of(line, bound)
    active = before = sum(e.active for e in line)
    for one in line:
        if under_way.may_start(one):
            under_way.remove(one)
            under_way.add(replace(one, state=LifecycleState.PENDING))
            active += 1
    assert active <= max(bound, before)


@given(entries, st.integers(1, 10))
def test_a_free_place_is_offered_to_somebody_who_can_take_it(
    line: list[CachedSplitJob], bound: int
) -> None:
    free = bound - sum(e.active for e in line)
    able = [e for e in line if e.state is LifecycleState.QUEUED and e.blocked is None]
    if not any(e.blocked is BlockedReason.STORAGE for e in line):
        first = sorted(able, key=lambda e: e.order)[: max(0, free)]
        assert next_up(line, bound) == [e.name for e in first]
    elif free > 0 and any(not e.needs_bucket for e in able):
        assert {e.name for e in able} & set(next_up(line, bound))


@given(entries)
def test_the_line_forgets_who_leaves(entries: list[CachedSplitJob]) -> None:
    line = line_of(entries, 99)
    for one in entries:
        line.remove(one)
    assert line.next_up() == []


def placed(
    line: list[CachedSplitJob], bound: int, run_seconds: dict[str, float] | None = None
) -> dict[str, QueuePlace]:
    known = {"demo/cpu": 10.0} if run_seconds is None else run_seconds
    return places(line, known, bound, "cpu", NOW)


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
