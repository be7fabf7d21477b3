"""The admission queue: order, whose turn it is, positions and expected times. Pure.

Higher priority first, then the older one. `maxActiveJobs` bounds the attempts under way at once.
SplitJobs that cannot start now are skipped, and are back in their old position once they can.
"""

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import heapify, heappop, heappush

from splitjob.conditions import Reason
from splitjob.lifecycle import LifecycleState
from splitjob.status import Queue
from splitjob_operator.core.cached_splitjob import BlockedReason, CachedSplitJob, Order
from splitjob_operator.core.observed import QueueDecision

__all__ = ["AdmissionQueue", "QueuePlace", "places", "queue_status", "worth_writing"]

EXACT_UP_TO = 20  # further back, positions are written again only when they moved noticeably
NOTICEABLE = 0.1
ETA_STEP_SECONDS = 15
# Who waits for anything else waits for people, or for something that gives no sign when it ends.
_FORESEEABLE = {Reason.QUEUED, Reason.UNSCHEDULABLE, Reason.QUOTA_EXCEEDED, Reason.STARTING}


@dataclass(frozen=True, slots=True)
class QueuePlace:
    """The position of a SplitJob in the queue, and in how many seconds it should be done.

    Attributes:
        position: 1 is next; None: it is being started.
        eta_seconds: None: not known.
    """

    position: int | None
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
    now: datetime,
) -> dict[str, QueuePlace]:
    """Return the position of each that does not run yet, and when it is expected to be done.

    A blocked one delays nobody else; its own position is the one it would come back to, and nobody
    knows when that will be.

    Args:
        entries: all SplitJobs.
        run_seconds: mean run time by `model/device`.
        max_active: attempts under way at once; 0: no bound.
        device: what the workers run on.
        now: the time.
    """
    known = list(entries)

    def own_seconds(entry: CachedSplitJob) -> float | None:
        return run_seconds.get(f"{entry.model}/{device}")

    slots = _Slots(known, own_seconds, max_active, now)
    found = {
        entry.name: QueuePlace(None, _rounded(slots.left(entry)))
        for entry in known
        if entry.state is LifecycleState.STARTING
    }
    position = 1
    for entry in sorted((entry for entry in known if entry.has_place), key=lambda e: e.order):
        if entry.state is LifecycleState.QUEUED and entry.blocked:
            found[entry.name] = QueuePlace(position, None)
            continue
        found[entry.name] = QueuePlace(position, _rounded(slots.take(own_seconds(entry))))
        position += 1
    return found


class _Slots:
    """When those who work now are done, and who comes next has room: as far as that is known.

    A slot whose end is not known is left out, so that what is expected of the others holds.

    Args:
        known: all SplitJobs.
        own_seconds: how long one is expected to run; None: not known.
        max_active: attempts under way at once; 0: no bound.
        now: the time.
    """

    def __init__(
        self,
        known: Sequence[CachedSplitJob],
        own_seconds: Callable[[CachedSplitJob], float | None],
        max_active: int,
        now: datetime,
    ) -> None:
        self._own_seconds, self._now = own_seconds, now
        working = {LifecycleState.STARTING, LifecycleState.RUNNING}
        busy = [entry for entry in known if entry.state in working]
        # Where the cluster has no room for one, it has room for those that work and no more.
        full = any(entry.state is LifecycleState.PENDING for entry in known)
        self._endless = not full and max_active == 0
        free = 0 if full else max(0, max_active - len(busy))
        ends = (self.left(entry) for entry in busy)
        self._free_in = [0.0] * free + [end for end in ends if end is not None]
        heapify(self._free_in)

    def left(self, entry: CachedSplitJob) -> float | None:
        """Return in how many seconds one that starts or runs is expected to be done."""
        own = self._own_seconds(entry)
        pulling = entry.queue is not None and entry.queue.reason == Reason.PULLING_IMAGE
        if own is None or pulling:
            return None
        if entry.started_at is None:
            return own
        return max(0.0, own - (self._now - entry.started_at).total_seconds())

    def take(self, own: float | None) -> float | None:
        """Give the slot that is free first to the next one; return when that one is done."""
        if self._endless:
            return own
        if not self._free_in:
            return None
        begins = heappop(self._free_in)
        if own is None:
            return None
        heappush(self._free_in, begins + own)
        return begins + own


def _rounded(seconds: float | None) -> int | None:
    return None if seconds is None else math.ceil(seconds)


def worth_writing(before: Queue, after: Queue) -> bool:
    """Return whether a queue status differs enough to be written again.

    With thousands waiting, every start moves everybody: far back only noticeable moves count.
    """
    if _words(before) != _words(after):
        return True
    if before.position is None or after.position is None:
        return before.position != after.position
    moved = abs(before.position - after.position)
    if after.position <= EXACT_UP_TO:
        return moved > 0 or _eta_moved(before, after)
    return moved > NOTICEABLE * before.position


def _words(queue: Queue) -> tuple[object, ...]:
    return queue.reason, queue.message, queue.since, queue.retry_at


def _eta_moved(before: Queue, after: Queue) -> bool:
    if before.eta_seconds is None or after.eta_seconds is None:
        return before.eta_seconds != after.eta_seconds
    return abs(before.eta_seconds - after.eta_seconds) >= ETA_STEP_SECONDS


def queue_status(
    before: Queue | None,
    decision: QueueDecision,
    reason: str,
    message: str,
    retry_at: datetime | None = None,
) -> Queue:
    """Return `status.queue` after a decision; the old one where it differs too little to write."""
    after = Queue(
        position=decision.position,
        reason=reason,
        message=message[:1024],
        since=before.since if before else None,
        eta_seconds=decision.eta_seconds if reason in _FORESEEABLE else None,
        retry_at=retry_at,
    )
    return after if before is None or worth_writing(before, after) else before
