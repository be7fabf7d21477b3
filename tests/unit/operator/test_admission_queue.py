"""The order of the queue, and whose turn it is."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.support.operator_samples import NOW, raw_splitjob, settings
from tests.support.waiting_splitjobs import entries, entry

from splitjob.lifecycle import LifecycleState
from splitjob.submission_id import new_submission_id
from splitjob_operator.core.admission_queue import AdmissionQueue, Bounds, in_starting_order
from splitjob_operator.core.cached_splitjob import BlockedReason, CachedSplitJob


def line_of(
    entries: Iterable[CachedSplitJob], max_active: int, of_group: int = 0
) -> AdmissionQueue:
    line = AdmissionQueue(Bounds(max_active, of_group))
    for one in entries:
        line.add(one)
    return line


def next_up(entries: Iterable[CachedSplitJob], max_active: int, of_group: int = 0) -> list[str]:
    return line_of(entries, max_active, of_group).next_up()


def test_priority_then_age() -> None:
    line = [entry("young"), entry("old", age=9), entry("urgent", priority=5)]
    assert next_up(line, 3) == ["urgent", "old", "young"]


def test_who_was_submitted_first_within_a_second_goes_first() -> None:
    """A creationTimestamp tells no more than the second."""
    first = replace(entry("z"), submission_id=new_submission_id(NOW))
    second = replace(entry("a"), submission_id=new_submission_id(NOW + timedelta(milliseconds=5)))
    assert next_up([second, first], 2) == ["z", "a"]


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


def test_who_is_being_deleted_and_stays_holds_up_nobody() -> None:
    """As by a finalizer of somebody else's."""
    raw = raw_splitjob()
    raw["metadata"] |= {"deletionTimestamp": "2026-11-22T20:00:00Z"}
    going = replace(entry("old", age=9), deleting=CachedSplitJob.of(raw).deleting)
    line = line_of([going, entry("young")], 1)
    assert line.next_up() == ["young"]
    assert line.may_start(entry("young"))
    assert [one.name for one in in_starting_order([going, entry("young")])] == ["young"]
    active = replace(entry("runs", LifecycleState.RUNNING), deleting=True)
    assert next_up([active, entry("young")], 1) == [], "its worker has its place still"


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


def test_a_bound_of_groups_needs_to_know_what_a_group_is() -> None:
    with pytest.raises(ValidationError, match="MAX_ACTIVE_JOBS_PER_GROUP is 2, but no QUEUE_GROUP"):
        settings(max_active_jobs_per_group=2)
    found = settings(max_active_jobs=9, max_active_jobs_per_group=2, queue_group_by="customer")
    assert found.bounds == Bounds(9, 2)


def test_a_group_is_what_the_metadata_says() -> None:
    raw = raw_splitjob(metadata={"customer": "acme"})
    assert CachedSplitJob.of(raw, "customer").group == "acme"
    assert CachedSplitJob.of(raw, "song").group == ""
    assert CachedSplitJob.of(raw).group == ""
    assert CachedSplitJob.of(raw_splitjob(), "customer").group == ""


def of_groups(counts: dict[str, int]) -> list[CachedSplitJob]:
    """Return so many of each group, the first group's the oldest."""
    names = [(group, n) for group, count in counts.items() for n in range(count)]
    return [
        entry(f"{group}-{n}", age=len(names) - place, group=group)
        for place, (group, n) in enumerate(names)
    ]


def test_the_groups_take_turns() -> None:
    """Acceptance 78: else who comes after a thousand of another one waits for all of them."""
    line = of_groups({"ana": 1000, "ben": 1, "eve": 2})
    assert next_up(line, 7) == ["ana-0", "ben-0", "eve-0", "ana-1", "eve-1", "ana-2", "ana-3"]


def test_who_is_under_way_has_had_a_turn() -> None:
    working = [entry(f"ana-working-{n}", LifecycleState.RUNNING, group="ana") for n in range(2)]
    line = [*working, *of_groups({"ana": 3, "ben": 3})]
    assert next_up(line, 6) == ["ben-0", "ben-1", "ana-0", "ben-2"]


def test_of_one_place_in_all_the_groups_take_turns_too() -> None:
    """Acceptance 78: nothing is under way when it is free, and the older would always go first."""
    ana, ben = (
        entry(f"{group}-done", LifecycleState.COMPLETED, group=group, turn=turn)
        for group, turn in (("ana", 3), ("ben", 9))
    )
    line = of_groups({"ana": 2, "ben": 2, "eve": 1})
    assert next_up([ana, *line], 1) == ["ben-0"]
    assert next_up([ana, ben, *line], 3) == ["eve-0", "ben-0", "ana-0"]
    assert [one.name for one in in_starting_order([ana, ben, *line])][:3] == [
        "eve-0",
        "ben-0",
        "ana-0",
    ]


def test_a_turn_is_the_last_attempt_whether_or_not_it_has_ended() -> None:
    attempts = [
        {"number": 1, "jobName": "a-1", "createdAt": "2026-01-01T00:00:00Z"},
        {"number": 2, "jobName": "a-2", "createdAt": "2026-01-01T00:01:00Z", "finishedAt": "x"},
    ]
    raw = raw_splitjob() | {"status": {"attempts": attempts}}
    found = CachedSplitJob.of(raw).turn_at
    assert found
    assert found.minute == 1
    assert CachedSplitJob.of(raw_splitjob()).turn_at is None


def test_priority_goes_before_turns() -> None:
    urgent = [entry(f"urgent-{n}", priority=5, age=-n, group="ana") for n in range(2)]
    assert next_up([*of_groups({"ben": 2}), *urgent], 3) == ["urgent-0", "urgent-1", "ben-0"]


def test_a_group_has_no_more_than_its_bound_and_holds_up_nobody() -> None:
    line = of_groups({"ana": 5, "ben": 1})
    assert next_up(line, 0, of_group=2) == ["ana-0", "ben-0", "ana-1"]
    assert next_up(line, 9, of_group=2) == ["ana-0", "ben-0", "ana-1"]
    assert next_up([*line, entry("a", LifecycleState.PENDING, group="ana")], 0, of_group=2) == [
        "ben-0",
        "ana-0",
    ]
    queue = line_of(line, 0, of_group=2)
    assert [queue.may_start(one) for one in line] == [True, True, False, False, False, True]
    assert [queue.is_group_full(one) for one in line] == [False, False, True, True, True, False]


def test_the_urgent_of_a_group_take_what_the_group_may_have() -> None:
    urgent = entry("urgent", priority=5, group="ana")
    queue = line_of([*of_groups({"ana": 1}), urgent], 0, of_group=1)
    assert queue.next_up() == ["urgent"]
    assert queue.is_group_full(entry("other", group="ana"))


@given(entries, st.integers(0, 10), st.integers(1, 4))
def test_never_more_of_a_group_than_its_bound(
    line: list[CachedSplitJob], bound: int, of_group: int
) -> None:
    queue = line_of(line, bound, of_group)
    active = Counter(e.group for e in line if e.active)
    before = Counter(active)
    for one in line:
        if queue.may_start(one):
            queue.remove(one)
            queue.add(replace(one, state=LifecycleState.PENDING))
            active[one.group] += 1
    assert all(count <= max(of_group, before[group]) for group, count in active.items())


@given(entries, st.integers(1, 10), st.integers(0, 4))
def test_who_is_next_and_who_may_start_are_the_same(
    line: list[CachedSplitJob], bound: int, of_group: int
) -> None:
    queue = line_of(line, bound, of_group)
    waiting = [e for e in line if e.blocked is not BlockedReason.JOB]
    assert {e.name for e in waiting if queue.may_start(e)} == set(queue.next_up())


@given(entries, st.integers(1, 30))
def test_nobody_gets_two_places_more_than_one_who_waits(
    line: list[CachedSplitJob], bound: int
) -> None:
    """Of one priority, where nobody is blocked: that is what taking turns means."""
    line = [replace(e, priority=0, blocked=None) for e in line if not e.active]
    started = set(next_up(line, bound))
    waiting = {e.group for e in line if e.state is LifecycleState.QUEUED and e.name not in started}
    count = Counter(e.group for e in line if e.name in started)
    assert all(count[group] - count[other] <= 1 for other in waiting for group in count)


@given(entries, st.integers(1, 10), st.randoms(use_true_random=False))
def test_it_does_not_matter_in_which_order_they_came(
    line: list[CachedSplitJob], bound: int, chance: Random
) -> None:
    shuffled = list(line)
    chance.shuffle(shuffled)
    assert next_up(shuffled, bound) == next_up(line, bound)


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
    order = [e for e in in_starting_order(line) if e in able]
    if not any(e.blocked is BlockedReason.STORAGE for e in line):
        assert next_up(line, bound) == [e.name for e in order[: max(0, free)]]
    elif free > 0 and any(not e.needs_bucket for e in able):
        assert {e.name for e in able} & set(next_up(line, bound))


@given(entries)
def test_the_line_forgets_who_leaves(entries: list[CachedSplitJob]) -> None:
    line = line_of(entries, 99)
    for one in entries:
        line.remove(one)
    assert line.next_up() == []
