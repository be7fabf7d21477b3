"""Order, turns, places and expected times of the SplitJobs that wait."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from tests.support.operator_samples import NOW, after, raw_splitjob

from splitjob.lifecycle import LifecycleState
from splitjob.resource import Queue
from splitjob_operator.core.cached_splitjob import BlockedReason, CachedSplitJob
from splitjob_operator.core.queue import AdmissionQueue, places, worth_writing


def entry(
    name: str,
    state: LifecycleState = LifecycleState.QUEUED,
    age: int = 0,
    priority: int = 0,
    blocked: BlockedReason | None = None,
    needs_bucket: bool = True,
) -> CachedSplitJob:
    return CachedSplitJob(
        name=name,
        uid=name,
        resource_version="1",
        created_at=NOW - timedelta(seconds=age),
        priority=priority,
        state=state,
        model="demo",
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


@given(entries, st.integers(0, 10))
def test_places_are_one_line(line: list[CachedSplitJob], bound: int) -> None:
    found = places(line, {"demo/cpu": 10.0}, bound, "cpu")
    in_line = [found[e.name].position for e in line if e.name in found and not _passed(e)]
    assert sorted(in_line) == list(range(1, len(in_line) + 1))
    ordered = sorted(found.values(), key=lambda p: p.position)
    etas = [p.eta_seconds for p in ordered]
    assert etas == sorted(etas, key=lambda eta: eta or 0)


def _passed(entry: CachedSplitJob) -> bool:
    return entry.state is LifecycleState.QUEUED and entry.blocked is not None


def test_who_is_passed_counts_for_nobody() -> None:
    line = [
        entry("retrying", age=2, blocked=BlockedReason.JOB),
        entry("next", age=1),
        entry("last"),
    ]
    found = places(line, {"demo/cpu": 10.0}, 1, "cpu")
    assert {name: p.position for name, p in found.items()} == {"retrying": 1, "next": 1, "last": 2}
    assert found["last"].eta_seconds == 20


def test_unknown_until_there_is_evidence() -> None:
    assert places([entry("a")], {}, 1, "cpu")["a"].eta_seconds is None
    assert places([entry("a"), entry("b")], {"demo/cpu": 10}, 1, "cpu")["b"].eta_seconds == 20


def test_far_back_only_noticeable_moves_are_written() -> None:
    assert worth_writing(Queue(position=3), Queue(position=2))
    assert not worth_writing(Queue(position=1000), Queue(position=999))
    assert worth_writing(Queue(position=1000), Queue(position=899))


def test_times_of_the_api_server_are_read() -> None:
    assert CachedSplitJob.of(raw_splitjob()).created_at == after(0)
