"""What waits, runs and has ended, counted from a watch of the SplitJobs.

Why a watch and not a list per question: 10,000 SplitJobs take a second to list and no time to have
followed. Why not numbers published by the operator: they would be those of its last resync, and
stop when it does. What is kept is bounded: a few numbers per unfinished SplitJob, and the uid of
each finished one that the operator's totals do not include yet.
"""

import threading
import time
from collections.abc import Iterable, Mapping
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


class QueueStats:
    """Follows the SplitJobs of a namespace; may be used from any thread.

    Attributes:
        complete: whether all SplitJobs have been listed once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._unfinished: dict[str, Unfinished] = {}
        self._uncounted: dict[str, LifecycleState] = {}
        self._accepted: dict[str, tuple[Unfinished, float]] = {}
        self._retries: dict[str, str] = {}  # intent label by uid of later generations
        self._current = threading.Event()
        self.complete = False

    def wait_until_current(self, timeout: float) -> bool:
        """Wait until all SplitJobs are listed and followed; return whether they are."""
        return self._current.wait(timeout)

    def mark_stale(self) -> None:
        """Note that changes may be missed from now on, until the next full list."""
        self._current.clear()

    def replace(self, splitjobs: Iterable[dict[str, Any]]) -> None:
        """Forget all, and take these SplitJobs for what there is."""
        fresh = QueueStats()
        for splitjob in splitjobs:
            fresh.apply("ADDED", splitjob)
        with self._lock:
            self._unfinished = fresh._unfinished
            self._uncounted = fresh._uncounted
            self._retries = fresh._retries
        self.complete = True
        self._current.set()

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
            before = self._unfinished.pop(uid, None)
            self._uncounted.pop(uid, None)
            self._accepted.pop(uid, None)
            self._retries.pop(uid, None)
            if event == "DELETED":
                return
            self._note_retry(splitjob)
            if not state.finished:
                self._unfinished[uid] = _unfinished(splitjob, state, before, time.time())
            elif not counted:
                self._uncounted[uid] = state

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
            return not self._current.is_set() or intent_label in self._retries.values()

    def _note_retry(self, splitjob: dict[str, Any]) -> None:
        label = splitjob["metadata"].get("labels", {}).get(LABEL_INTENT)
        if label and generation_of(splitjob) > 0:
            self._retries[splitjob["metadata"]["uid"]] = label

    def snapshot(self, now: float) -> Snapshot:
        """Return the counts.

        Args:
            now: Unix time.
        """
        with self._lock:
            fresh = {
                uid: entry
                for uid, (entry, end) in self._accepted.items()
                if end > now and uid not in self._uncounted
            }
            jobs = list({**fresh, **self._unfinished}.values())
            uncounted = dict(self._uncounted)
        waiting = [job.since for job in jobs if job.waiting]
        return Snapshot(
            queued=len(waiting),
            running=len(jobs) - len(waiting),
            uncounted=uncounted,
            oldest_seconds=max(0, int(now - min(waiting))) if waiting else 0,
            drain_seconds=_drain_seconds(jobs, now),
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


def _drain_seconds(jobs: list[Unfinished], now: float) -> int | None:
    """Return when the last job is expected to be done, None where that is not known.

    A job that has just come may have no estimate yet; one that has waited for a while without one
    is of a model whose run time nobody knows.
    """
    if not jobs:
        return 0
    known = [job.done_at for job in jobs if job.done_at is not None]
    unknown = [job for job in jobs if job.waiting and job.done_at is None]
    if not known or any(now - job.since > ESTIMATE_SECONDS for job in unknown):
        return None
    return max(0, int(max(known) - now))


def _unix(timestamp: str) -> float:
    return datetime.fromisoformat(timestamp).astimezone(UTC).timestamp()
