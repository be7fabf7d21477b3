"""Whose turn it is: the higher priority first, then round by round over the groups, then the older.

Pure. SplitJobs that cannot start now are skipped, and are back in their old position once they can.

A group is what an installation says it is (`QUEUE_GROUP_BY`): all SplitJobs of one customer, for
instance. Where none is named, all are of one group, and priority and age decide. The rounds are
those of round-robin scheduling: an attempt under way counts as a turn that its group has had, and
within a round goes first whose group had its last turn longest ago. Else, with one place in all,
the older would go first each time that it is free.
"""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from heapq import heapify, heappop, heappush
from itertools import islice
from typing import NamedTuple

from splitjob.lifecycle import LifecycleState
from splitjob_operator.core.cached_splitjob import BlockedReason, CachedSplitJob

__all__ = ["AdmissionQueue", "Bounds", "in_starting_order"]

Age = tuple[datetime, str, str]

_NEVER = datetime.min.replace(tzinfo=UTC)


class Bounds(NamedTuple):
    """How many attempts may be under way at once; 0: any number.

    Attributes:
        total: `MAX_ACTIVE_JOBS`.
        of_group: `MAX_ACTIVE_JOBS_PER_GROUP`.
    """

    total: int = 0
    of_group: int = 0


class Rank(NamedTuple):
    """What the queue is ordered by: the lowest starts first.

    Attributes:
        urgency: the lower, the earlier: the negative priority.
        round: how many of its group come before it in its priority, or are under way.
        last: when its group had its last turn, as the SplitJobs tell that are still there.
        age: the older first.
    """

    urgency: int
    round: int
    last: datetime
    age: Age


class AdmissionQueue:
    """The queued SplitJobs in order, and how many are active: kept up to date one by one.

    Args:
        bounds: how many may be active.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        # Those that may start, and those that are blocked by the storage alone: the ages of each
        # group, by urgency.
        self._eligible: dict[int, dict[str, list[Age]]] = {}
        self._entries: dict[str, CachedSplitJob] = {}  # these, by name
        self._storage_blocked = 0  # of these
        self._active: Counter[str] = Counter()  # by group
        self._turns: dict[str, list[datetime]] = {}  # by group, in order: of all that had one

    def add(self, entry: CachedSplitJob) -> None:
        """Add an entry that is not in the queue."""
        self._active[entry.group] += entry.active
        if entry.turn_at:
            insort(self._turns.setdefault(entry.group, []), entry.turn_at)
        if _is_eligible(entry):
            groups = self._eligible.setdefault(-entry.priority, {})
            insort(groups.setdefault(entry.group, []), _age(entry))
            self._entries[entry.name] = entry
            self._storage_blocked += entry.blocked is BlockedReason.STORAGE

    def remove(self, entry: CachedSplitJob) -> None:
        """Remove an entry as it was added."""
        self._active[entry.group] -= entry.active
        if not self._active[entry.group]:
            del self._active[entry.group]
        if entry.turn_at:
            turns = self._turns[entry.group]
            del turns[bisect_left(turns, entry.turn_at)]
            if not turns:
                del self._turns[entry.group]
        if _is_eligible(entry):
            self._storage_blocked -= entry.blocked is BlockedReason.STORAGE
            del self._entries[entry.name]
            groups = self._eligible[-entry.priority]
            ages = groups[entry.group]
            del ages[bisect_left(ages, _age(entry))]
            if not ages:
                del groups[entry.group]
            if not groups:
                del self._eligible[-entry.priority]

    def may_start(self, entry: CachedSplitJob) -> bool:
        """Return whether it is an entry's turn, whether or not it is blocked at the moment."""
        if entry.state is not LifecycleState.QUEUED or self.is_group_full(entry):
            return False
        rank = self._rank(entry)
        if self._bounds.total == 0 or self._ahead(rank) < self._free:
            return True
        return not entry.needs_bucket and self._passes_the_blocked(rank)

    def is_group_full(self, entry: CachedSplitJob) -> bool:
        """Return whether those of an entry's group that go first take all that the group may."""
        if self._bounds.of_group == 0:
            return False
        more_urgent = sum(
            len(groups.get(entry.group, ()))
            for urgency, groups in self._eligible.items()
            if urgency < -entry.priority
        )
        return more_urgent + self._place_in_group(entry) >= self._allowed(entry.group)

    def next_up(self) -> list[str]:
        """Return the names to reconcile for the free places, in order.

        None where there is no bound: then it is everybody's turn at any time.
        """
        if not any(self._bounds):
            return []
        order = self._in_order()
        free = self._free if self._bounds.total else None
        first = [entry for _, entry in islice(order, free)]
        blocked = sum(entry.blocked is BlockedReason.STORAGE for entry in first)
        passing = (entry for _, entry in order if not entry.needs_bucket)
        return [entry.name for entry in (*first, *islice(passing, blocked))]

    @property
    def _free(self) -> int:
        return max(0, self._bounds.total - self._active.total())

    def _allowed(self, group: str) -> int:
        """Return how many more of a group may be active."""
        bound = self._bounds.of_group
        return max(0, bound - self._active[group]) if bound else len(self._entries) + 1

    def _rank(self, entry: CachedSplitJob) -> Rank:
        turns = self._active[entry.group] + self._place_in_group(entry)
        return Rank(-entry.priority, turns, self._last_turn(entry.group), _age(entry))

    def _last_turn(self, group: str) -> datetime:
        return self._turns[group][-1] if group in self._turns else _NEVER

    def _place_in_group(self, entry: CachedSplitJob) -> int:
        """Return how many of its group and priority come before an entry."""
        ages = self._eligible.get(-entry.priority, {}).get(entry.group, [])
        return bisect_left(ages, _age(entry))

    def _ahead(self, rank: Rank) -> int:
        """Return how many are to start before a rank: of each group as many as it may have."""
        ahead: Counter[str] = Counter()
        for urgency, groups in self._eligible.items():
            if urgency <= rank.urgency:
                for group, ages in groups.items():
                    same = urgency == rank.urgency
                    ahead[group] += self._before(rank, group, ages) if same else len(ages)
        return sum(min(count, self._allowed(group)) for group, count in ahead.items())

    def _before(self, rank: Rank, group: str, ages: list[Age]) -> int:
        """Return how many of a group come before a rank of the same urgency."""
        earlier = rank.round - self._active[group]  # so many have an earlier round
        if earlier < 0:
            return 0
        if earlier >= len(ages):
            return len(ages)
        return earlier + ((self._last_turn(group), ages[earlier]) < (rank.last, rank.age))

    def _in_order(self) -> Iterator[tuple[Rank, CachedSplitJob]]:
        """Yield those whose group may have one more, with their ranks."""
        left = {group: self._allowed(group) for of in self._eligible.values() for group in of}
        for urgency in sorted(self._eligible):
            groups = self._eligible[urgency]
            heads = [
                (self._active[group], self._last_turn(group), ages[0], group)
                for group, ages in groups.items()
            ]
            heapify(heads)
            while heads:
                turns, last, age, group = heappop(heads)
                if left[group] <= 0:
                    continue
                left[group] -= 1
                yield Rank(urgency, turns, last, age), self._entries[age[-1]]
                behind = turns + 1 - self._active[group]
                if behind < len(groups[group]):
                    heappush(heads, (turns + 1, last, groups[group][behind], group))

    def _passes_the_blocked(self, rank: Rank) -> bool:
        """Return whether one that needs no bucket takes the place of one that waits for it.

        Those that need the bucket and are not known to be blocked keep theirs; those behind the
        free places would find it away as well.
        """
        if not self._storage_blocked:
            return False
        order = self._in_order()
        first = [entry for _, entry in islice(order, self._free)]
        blocked = sum(entry.blocked is BlockedReason.STORAGE for entry in first)
        before = (entry for other, entry in order if other < rank and not entry.needs_bucket)
        return len(list(islice(before, blocked))) < blocked


def in_starting_order(entries: Iterable[CachedSplitJob]) -> list[CachedSplitJob]:
    """Return those that have a place in the order in which they are to start.

    Who is blocked stands where it will come back to, and delays nobody of its group.

    Args:
        entries: all SplitJobs.
    """
    known = list(entries)
    active = Counter(entry.group for entry in known if entry.active)
    last = _last_turns(known)
    placed = sorted((entry for entry in known if entry.has_place), key=_age)
    before: Counter[tuple[int, str]] = Counter()
    ranked = []
    for entry in placed:
        own = -entry.priority, entry.group
        if entry.active:  # it waits for room in the cluster alone
            ranked.append((Rank(own[0], -1, _NEVER, _age(entry)), entry))
            continue
        had = active[entry.group] + before[own]
        ranked.append((Rank(own[0], had, last.get(entry.group, _NEVER), _age(entry)), entry))
        before[own] += entry.blocked is None
    return [entry for _, entry in sorted(ranked, key=lambda one: one[0])]


def _last_turns(entries: Iterable[CachedSplitJob]) -> dict[str, datetime]:
    """Return when each group had its last turn."""
    last: dict[str, datetime] = {}
    for entry in entries:
        if entry.turn_at:
            last[entry.group] = max(entry.turn_at, last.get(entry.group, _NEVER))
    return last


def _is_eligible(entry: CachedSplitJob) -> bool:
    waits = entry.state is LifecycleState.QUEUED and not entry.deleting
    return waits and entry.blocked is not BlockedReason.JOB


def _age(entry: CachedSplitJob) -> Age:
    return entry.created_at, entry.submission_id, entry.name
