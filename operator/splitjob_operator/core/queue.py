"""Positions in the queue and expected times, and when they are worth writing. Pure."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import heapify, heappop, heappush

from splitjob.conditions import Reason
from splitjob.lifecycle import LifecycleState
from splitjob.status import Queue
from splitjob_operator.core.admission_queue import Bounds, in_starting_order
from splitjob_operator.core.cached_splitjob import CachedSplitJob
from splitjob_operator.core.observed import QueueDecision

__all__ = ["QueuePlace", "places", "queue_status", "worth_writing"]

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


def places(
    entries: Iterable[CachedSplitJob],
    run_seconds: Mapping[str, float],
    bounds: Bounds,
    device: str,
    now: datetime,
) -> dict[str, QueuePlace]:
    """Return the position of each that does not run yet, and when it is expected to be done.

    One that is blocked, or whose group has as many as it may, delays nobody else; its own position
    is the one it would come back to, and nobody knows when that will be.

    Args:
        entries: all SplitJobs.
        run_seconds: mean run time by `model/device`.
        bounds: how many attempts may be under way at once.
        device: what the workers run on.
        now: the time.
    """
    known = list(entries)

    def own_seconds(entry: CachedSplitJob) -> float | None:
        return run_seconds.get(f"{entry.model}/{device}")

    slots = _Slots(known, own_seconds, bounds.total, now)
    taken = Counter(entry.group for entry in known if entry.active)
    found = {
        entry.name: QueuePlace(None, _rounded(slots.left(entry)))
        for entry in known
        if entry.state is LifecycleState.STARTING
    }
    position = 1
    for entry in in_starting_order(known):
        full = 0 < bounds.of_group <= taken[entry.group]
        if not entry.active and (entry.blocked or full):
            found[entry.name] = QueuePlace(position, None)
            continue
        taken[entry.group] += not entry.active
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
