"""What waits, runs and has ended, counted from a watch of the SplitJobs.

Why a watch and not a list per question: 10,000 SplitJobs take a second to list and no time to have
followed. Why not numbers published by the operator: they would be those of its last resync, and
stop when it does. What is kept is bounded: a few numbers per unfinished SplitJob, and the uid of
each finished one that the operator's totals do not include yet.
"""

import threading
import time
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from splitjob.intent import generation_of
from splitjob.lifecycle import LifecycleState, lifecycle_of
from splitjob.resource import LABEL_INTENT

ESTIMATE_SECONDS = 30.0  # a job that waits longer without an estimate will not get one soon
ACCEPTED_SECONDS = 5.0  # how long our own creations count before the watch has shown them


@dataclass(frozen=True, slots=True)
class Unfinished:
    """What is remembered of a SplitJob that has not ended.

    Attributes:
        waiting: whether no worker has started yet.
        since: when it began to wait, Unix time.
        eta: the estimate in its status, in seconds; None: unknown.
        done_at: when it is expected to be done by that estimate, Unix time.
    """

    waiting: bool
    since: float
    eta: int | None = None
    done_at: float | None = None


@dataclass(frozen=True)
class Snapshot:
    """The counts at one moment.

    Attributes:
        queued: jobs no worker has started on yet.
        running: jobs a worker runs.
        uncounted: outcome by uid of finished jobs the totals may not include yet.
        oldest_seconds: how long the oldest queued job has waited; 0 where none waits.
        drain_seconds: when all is expected to be done; None: unknown.
    """

    queued: int
    running: int
    uncounted: Mapping[str, LifecycleState]
    oldest_seconds: int
    drain_seconds: int | None


class UnfinishedJobs:
    """What has not ended, with the figures over all of it: kept as it changes, not counted anew.

    Attributes:
        by_uid: each of them.
        waiting: when each waiting one began to wait, in order.
        unestimated: the same of those without an estimate.
        done_at: when each with an estimate is expected to be done, in order.
    """

    def __init__(self) -> None:
        self.by_uid: dict[str, Unfinished] = {}
        self.waiting: list[float] = []
        self.unestimated: list[float] = []
        self.done_at: list[float] = []

    def put(self, uid: str, job: Unfinished) -> None:
        """Add one that is not there."""
        self.by_uid[uid] = job
        for figures, value in self._figures(job):
            insort(figures, value)

    def pop(self, uid: str) -> Unfinished | None:
        """Take one out; None where it is not there."""
        job = self.by_uid.pop(uid, None)
        if job is not None:
            for figures, value in self._figures(job):
                del figures[bisect_left(figures, value)]
        return job

    def _figures(self, job: Unfinished) -> Iterator[tuple[list[float], float]]:
        if job.waiting:
            yield self.waiting, job.since
        if job.done_at is not None:
            yield self.done_at, job.done_at
        elif job.waiting:
            yield self.unestimated, job.since


class Counted:
    """What is kept of the SplitJobs.

    Attributes:
        unfinished: those that have not ended.
        uncounted: how each has ended that the totals do not include yet, by uid.
        retries: the intent label of each later generation, by uid.
    """

    def __init__(self) -> None:
        self.unfinished = UnfinishedJobs()
        self.uncounted: dict[str, LifecycleState] = {}
        self.retries: dict[str, str] = {}


class QueueStats:
    """Follows the SplitJobs of a namespace; may be used from any thread.

    Attributes:
        counted: what is kept of them.
        complete: whether all SplitJobs have been listed once.
        followed: whether they are, and each change since has come.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.counted = Counted()
        self._accepted: dict[str, tuple[Unfinished, float]] = {}
        self.complete = False
        self.followed = False

    def mark_stale(self) -> None:
        """Note that changes may be missed from now on, until the next full list."""
        self.followed = False

    def replace(self, splitjobs: Iterable[dict[str, Any]]) -> None:
        """Forget all, and take these SplitJobs for what there is."""
        fresh = QueueStats()
        for splitjob in splitjobs:
            fresh.apply("ADDED", splitjob)
        self.adopt(fresh)

    def adopt(self, fresh: "QueueStats") -> None:
        """Forget all, and take for what there is what another one has counted."""
        with self._lock:
            self.counted = fresh.counted
        self.complete = self.followed = True

    def apply(self, event: str, splitjob: dict[str, Any]) -> None:
        """Take in one change.

        Args:
            event: ADDED, MODIFIED or DELETED.
            splitjob: the object it happened to.
        """
        uid = splitjob["metadata"]["uid"]
        state = lifecycle_of(splitjob)
        counted = splitjob.get("status", {}).get("counted", False)
        with self._lock:
            before = self.counted.unfinished.pop(uid)
            self.counted.uncounted.pop(uid, None)
            self._accepted.pop(uid, None)
            self.counted.retries.pop(uid, None)
            if event == "DELETED":
                return
            self._note_retry(splitjob)
            if not state.finished:
                self.counted.unfinished.put(uid, _unfinished(splitjob, state, before, time.time()))
            elif not counted:
                self.counted.uncounted[uid] = state

    def accepted(self, splitjob: dict[str, Any]) -> None:
        """Count a SplitJob that was just created, until the watch shows it."""
        now = time.time()
        entry = Unfinished(waiting=True, since=now)
        with self._lock:
            self._accepted = {u: e for u, e in self._accepted.items() if e[1] > now}
            self._accepted[splitjob["metadata"]["uid"]] = (entry, now + ACCEPTED_SECONDS)
            self._note_retry(splitjob)

    def may_be_retried(self, intent_label: str) -> bool:
        """Return whether there may be a later SplitJob than the first of an intent.

        A watch shows changes in their order, and a later generation is made before the first one
        is cleaned up. So where the first is gone, whoever has seen that has seen the later one.
        """
        with self._lock:
            return not self.followed or intent_label in self.counted.retries.values()

    def _note_retry(self, splitjob: dict[str, Any]) -> None:
        label = splitjob["metadata"].get("labels", {}).get(LABEL_INTENT)
        if label and generation_of(splitjob) > 0:
            self.counted.retries[splitjob["metadata"]["uid"]] = label

    def snapshot(self, now: float) -> Snapshot:
        """Return the counts.

        Args:
            now: Unix time.
        """
        with self._lock:
            known = self.counted.unfinished
            fresh = [
                entry.since
                for uid, (entry, end) in self._accepted.items()
                if end > now and uid not in known.by_uid and uid not in self.counted.uncounted
            ]
            oldest = min((*known.waiting[:1], *fresh), default=now)
            return Snapshot(
                queued=len(known.waiting) + len(fresh),
                running=len(known.by_uid) - len(known.waiting),
                uncounted=dict(self.counted.uncounted),
                oldest_seconds=max(0, int(now - oldest)),
                drain_seconds=_drain_seconds(known, fresh, now),
            )


def _unfinished(
    splitjob: dict[str, Any], state: LifecycleState, before: Unfinished | None, now: float
) -> Unfinished:
    queue = splitjob.get("status", {}).get("queue") or {}
    since = queue.get("since") or splitjob["metadata"]["creationTimestamp"]
    eta = queue.get("etaSeconds")
    done_at = None if eta is None else now + eta
    if before and before.eta == eta:
        done_at = before.done_at  # an estimate that is repeated is as old as its first sight
    return Unfinished(state.unstarted, _unix(since), eta, done_at)


def _drain_seconds(known: UnfinishedJobs, fresh: Sequence[float], now: float) -> int | None:
    """Return when the last job is expected to be done, None where that is not known.

    A job that has just come may have no estimate yet; one that has waited for a while without one
    is of a model whose run time nobody knows.

    Args:
        known: what the watch has shown.
        fresh: since when those wait that it has not shown yet.
        now: Unix time.
    """
    if not known.by_uid and not fresh:
        return 0
    unestimated = min((*known.unestimated[:1], *fresh), default=now)
    if not known.done_at or now - unestimated > ESTIMATE_SECONDS:
        return None
    return max(0, int(known.done_at[-1] - now))


def _unix(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).astimezone(UTC).timestamp()
