"""The admission queue: order, whose turn it is, positions and expected times. Pure.

Higher priority first, then the older one. `maxActiveJobs` bounds the attempts under way at once.
SplitJobs that cannot start now are skipped, and are back in their old position once they can.
"""

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from splitjob.lifecycle import LifecycleState
from splitjob.resource import Queue
from splitjob_operator.core.cached_splitjob import BlockedReason, CachedSplitJob, Order
from splitjob_operator.core.observed import QueueDecision

__all__ = ["AdmissionQueue", "QueuePlace", "places", "queue_status", "worth_writing"]

EXACT_UP_TO = 20  # further back, positions are written again only when they moved noticeably
NOTICEABLE = 0.1
ETA_STEP_SECONDS = 15


@dataclass(frozen=True, slots=True)
class QueuePlace:
    """The position of a SplitJob in the queue, and in how many seconds it should be done."""

    position: int
    eta_seconds: int | None


class AdmissionQueue:
    """The queued SplitJobs in order, and how many are active: kept up to date one by one.

    Args:
        max_active: attempts under way at once; 0: no bound.
    """

    def __init__(self, max_active: int) -> None:
        self._max_active = max_active
        self._eligible: list[Order] = []  # and those that are blocked by the storage alone
        self._bucketless: list[Order] = []  # of these, the ones that need no bucket
        self._storage_blocked: list[Order] = []  # and the ones that wait for it
        self._active: set[str] = set()

    def add(self, entry: CachedSplitJob) -> None:
        """Add an entry that is not in the queue."""
        for part in self._parts(entry):
            insort(part, entry.order)
        if entry.active:
            self._active.add(entry.name)

    def remove(self, entry: CachedSplitJob) -> None:
        """Remove an entry as it was added."""
        for part in self._parts(entry):
            del part[bisect_left(part, entry.order)]
        self._active.discard(entry.name)

    def may_start(self, entry: CachedSplitJob) -> bool:
        """Return whether it is an entry's turn, whether or not it is blocked at the moment."""
        if entry.state is not LifecycleState.QUEUED:
            return False
        ahead = (
            self._ahead(entry.order) if entry.needs_bucket else self._ahead_bucketless(entry.order)
        )
        return self._max_active == 0 or ahead < self._free

    def next_up(self) -> list[str]:
        """Return the names to reconcile for the free slots, in order.

        None where there is no bound: then it is everybody's turn at any time.
        """
        first, bucketless = self._eligible[: self._free], self._bucketless[: self._free]
        skipping = [order for order in bucketless if self._ahead_bucketless(order) < self._free]
        return [name for _, _, name in sorted({*first, *skipping})]

    @property
    def _free(self) -> int:
        return max(0, self._max_active - len(self._active))

    def _ahead(self, order: Order) -> int:
        """Return how many are to start before the one of this order."""
        return bisect_left(self._eligible, order)

    def _ahead_bucketless(self, order: Order) -> int:
        """Return how many are to start before one that needs no bucket.

        Of those that need it only those count whose turn it is and that are not known to be
        blocked: those behind them would find the bucket away as well.
        """
        in_turn = min(self._free, len(self._eligible))
        if self._ahead(order) < in_turn or in_turn == 0:
            return self._ahead(order) - bisect_left(self._storage_blocked, order)
        last = self._eligible[in_turn - 1]
        blocked = bisect_right(self._storage_blocked, last)
        behind = bisect_left(self._bucketless, order) - bisect_right(self._bucketless, last)
        return in_turn - blocked + behind

    def _parts(self, entry: CachedSplitJob) -> list[list[Order]]:
        if entry.state is not LifecycleState.QUEUED or entry.blocked is BlockedReason.JOB:
            return []
        parts = [self._eligible]
        if not entry.needs_bucket:
            parts.append(self._bucketless)
        if entry.blocked is BlockedReason.STORAGE:
            parts.append(self._storage_blocked)
        return parts


def places(
    entries: Iterable[CachedSplitJob],
    run_seconds: Mapping[str, float],
    max_active: int,
    device: str,
) -> dict[str, QueuePlace]:
    """Return the position of each that does not run yet, and when it is expected to be done.

    A blocked one delays nobody else; its own position is the one it would come back to.

    Args:
        entries: all SplitJobs.
        run_seconds: mean run time by `model/device`; a model not in it makes everything behind it
            unknown.
        max_active: attempts under way at once; 0: as many as run now.
        device: what the workers run on.
    """
    known = list(entries)
    running = sum(entry.state is LifecycleState.RUNNING for entry in known)
    slots = max(1, max_active or running)
    queued = sorted((entry for entry in known if entry.has_place), key=lambda e: e.order)
    ahead: float | None = 0.0
    found: dict[str, QueuePlace] = {}
    position = 1
    for entry in queued:
        own = run_seconds.get(f"{entry.model}/{device}")
        known_time = ahead is not None and own is not None
        eta = math.ceil((ahead or 0) / slots + (own or 0)) if known_time else None
        found[entry.name] = QueuePlace(position, eta)
        if entry.state is LifecycleState.QUEUED and entry.blocked:
            continue
        position += 1
        ahead = (ahead or 0) + (own or 0) if known_time else None
    return found


def worth_writing(before: Queue, after: Queue) -> bool:
    """Return whether a queue status differs enough to be written again.

    With thousands waiting, every start moves everybody: far back only noticeable moves count.
    """
    if (before.reason, before.message, before.since) != (after.reason, after.message, after.since):
        return True
    if before.position is None or after.position is None:
        return before.position != after.position
    moved = abs(before.position - after.position)
    if after.position <= EXACT_UP_TO:
        return moved > 0 or _eta_moved(before, after)
    return moved > NOTICEABLE * before.position


def _eta_moved(before: Queue, after: Queue) -> bool:
    if before.eta_seconds is None or after.eta_seconds is None:
        return before.eta_seconds != after.eta_seconds
    return abs(before.eta_seconds - after.eta_seconds) >= ETA_STEP_SECONDS


def queue_status(before: Queue | None, decision: QueueDecision, reason: str, message: str) -> Queue:
    """Return `status.queue` after a decision; the old one where it differs too little to write."""
    after = Queue(
        position=decision.position,
        reason=reason,
        message=message[:1024],
        since=before.since if before else None,
        eta_seconds=decision.eta_seconds,
    )
    return after if before is None or worth_writing(before, after) else before
