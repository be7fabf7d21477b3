"""The queue: order, turns, positions and expected times. Pure.

Higher priority first, then the older one. `maxActiveJobs` bounds the attempts under way at once.
Who cannot start now is passed by those behind, and comes back to its old place once it can.
"""

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from splitjob.lifecycle import LifecycleState, lifecycle_of
from splitjob.resource import Queue, read_status
from splitjob_operator.core.observed import QueueDecision, moment

__all__ = [
    "AdmissionQueue",
    "BlockedReason",
    "CachedSplitJob",
    "QueuePlace",
    "cached_splitjob",
    "places",
    "queue_status",
    "worth_writing",
]

EXACT_UP_TO = 20  # positions behind this one are rewritten only when they moved noticeably
NOTICEABLE = 0.1
ETA_STEP_SECONDS = 15

Order = tuple[int, datetime, str]


class BlockedReason(StrEnum):
    """What keeps a SplitJob that waits from starting, whosever turn it is."""

    JOB = "job"  # its retry delay, its Secret, a defect: everybody may pass
    STORAGE = "storage"  # the bucket is away: only those may pass that do not need it


@dataclass(frozen=True, slots=True)
class CachedSplitJob:
    """What the operator keeps in memory of each SplitJob; read again at every resync.

    Attributes:
        event: the final event, blank while there is none.
        counted: whether the totals include it.
        secret: the Secret it refers to.
        pod, node: of the attempt under way; blank where there is none.
        queue: what its status says of its place.
        device: what its result was made with.
        stores: whether its stems go into our bucket.
        hold: what keeps it from starting, as its last look found; it is in no status.
    """

    name: str
    uid: str
    resource_version: str
    created_at: datetime
    priority: int
    state: LifecycleState
    model: str = ""
    secret: str = ""
    pod: str = ""
    node: str = ""
    queue: Queue | None = None
    finished_at: datetime | None = None
    event: str = ""
    counted: bool = False
    device: str = ""
    processing_ms: int = 0
    needs_bucket: bool = True
    blocked: BlockedReason | None = None

    @property
    def order(self) -> Order:
        """What the queue is sorted by."""
        return (-self.priority, self.created_at, self.name)

    @property
    def active(self) -> bool:
        """Whether an attempt is under way."""
        return self.state.active

    @property
    def has_place(self) -> bool:
        """Whether it is to be told its place: it waits, or its worker does not run yet."""
        waits = self.state is LifecycleState.QUEUED
        return waits or (self.active and self.state is not LifecycleState.RUNNING)


@dataclass(frozen=True, slots=True)
class QueuePlace:
    """Where a SplitJob stands in the queue."""

    position: int
    eta_seconds: int | None


def cached_splitjob(raw: Mapping[str, Any]) -> CachedSplitJob:
    """Return the entry of a SplitJob from the API server's JSON."""
    metadata, spec, status = raw["metadata"], raw.get("spec", {}), raw.get("status", {})
    request = spec.get("request", {})
    attempts = status.get("attempts", [])
    attempt = attempts[-1] if attempts and "finishedAt" not in attempts[-1] else None
    result = status.get("result", {})
    return CachedSplitJob(
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        created_at=moment(metadata["creationTimestamp"]) or datetime.min,  # noqa: DTZ901 - never
        priority=spec.get("priority", 0),
        state=lifecycle_of(raw),
        model=request.get("model", ""),
        secret=request.get("secretName", ""),
        pod=attempt.get("podName", "") if attempt else "",
        node=attempt.get("nodeName", "") if attempt else "",
        queue=read_status({"queue": status["queue"]}).queue if "queue" in status else None,
        finished_at=moment(status.get("finishedAt")),
        event=status.get("webhook", {}).get("event", ""),
        counted=status.get("counted", False),
        device=result.get("device", ""),
        processing_ms=result.get("processingTimeMs", 0),
        needs_bucket=not request.get("uploads"),
    )


class AdmissionQueue:
    """Who waits, in order, and how many are under way: kept up to date entry by entry.

    Args:
        max_active: attempts under way at once; 0: no bound.
    """

    def __init__(self, max_active: int) -> None:
        self._max_active = max_active
        self._waiting: list[Order] = []  # but for those with a hold of their own
        self._storeless: list[Order] = []  # of these, who needs no bucket,
        self._stuck: list[Order] = []  # and who waits for it
        self._active: set[str] = set()

    def add(self, entry: CachedSplitJob) -> None:
        """Take in an entry that is not in the line."""
        for part in self._parts(entry):
            insort(part, entry.order)
        if entry.active:
            self._active.add(entry.name)

    def remove(self, entry: CachedSplitJob) -> None:
        """Take out an entry as it was added."""
        for part in self._parts(entry):
            del part[bisect_left(part, entry.order)]
        self._active.discard(entry.name)

    def may_start(self, entry: CachedSplitJob) -> bool:
        """Return whether it is an entry's turn; one with a hold is asked as if it had none."""
        if entry.state is not LifecycleState.QUEUED:
            return False
        ahead = (
            self._ahead(entry.order) if entry.needs_bucket else self._ahead_storeless(entry.order)
        )
        return self._max_active == 0 or ahead < self._free

    def next_up(self) -> list[str]:
        """Return whom to look at for the places that are free, first things first.

        Nobody where there is no bound: then it is everybody's turn at any time.
        """
        first, storeless = self._waiting[: self._free], self._storeless[: self._free]
        passing = [one for one in storeless if self._ahead_storeless(one) < self._free]
        return [name for _, _, name in sorted({*first, *passing})]

    @property
    def _free(self) -> int:
        return max(0, self._max_active - len(self._active))

    def _ahead(self, order: Order) -> int:
        """Return how many are to start before one who stands, or would stand, in this order."""
        return bisect_left(self._waiting, order)

    def _ahead_storeless(self, order: Order) -> int:
        """Return how many are to start before one who needs no bucket.

        Of those that need it only those count whose turn it is, and who are not known to be stuck:
        who is behind them would find the bucket away as well.
        """
        turn = min(self._free, len(self._waiting))
        if self._ahead(order) < turn or turn == 0:
            return self._ahead(order) - bisect_left(self._stuck, order)
        last = self._waiting[turn - 1]
        stuck = bisect_right(self._stuck, last)
        behind = bisect_left(self._storeless, order) - bisect_right(self._storeless, last)
        return turn - stuck + behind

    def _parts(self, entry: CachedSplitJob) -> list[list[Order]]:
        if entry.state is not LifecycleState.QUEUED or entry.blocked is BlockedReason.JOB:
            return []
        parts = [self._waiting]
        if not entry.needs_bucket:
            parts.append(self._storeless)
        if entry.blocked is BlockedReason.STORAGE:
            parts.append(self._stuck)
        return parts


def places(
    entries: Iterable[CachedSplitJob],
    run_seconds: Mapping[str, float],
    max_active: int,
    device: str,
) -> dict[str, QueuePlace]:
    """Return where everybody who does not run yet stands, and when each is expected to be done.

    Who has a hold counts for nobody else; its own place is the one it would come back to.

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
    line = sorted((entry for entry in known if entry.has_place), key=lambda e: e.order)
    ahead: float | None = 0.0
    found: dict[str, QueuePlace] = {}
    position = 1
    for entry in line:
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


def queue_status(before: Queue | None, turn: QueueDecision, reason: str, message: str) -> Queue:
    """Return the queue status after a look at the turn; the old one where it says the same."""
    after = Queue(
        position=turn.position,
        reason=reason,
        message=message[:1024],
        since=before.since if before else None,
        eta_seconds=turn.eta_seconds,
    )
    return after if before is None or worth_writing(before, after) else before
