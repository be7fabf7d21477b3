"""The SplitJobs of a namespace in memory: what reads and event streams are answered from.

One watch keeps it current, and `observed_at` says up to when no change is missing. That a watch
brings nothing does not mean that nothing happens, so it is checked: the API server is asked for its
latest version, and the watch has to get there. Where it has not for SILENT_SECONDS, what is held
here no longer counts, and whoever asks is sent to the API server.
"""

import threading
import time
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Reversible
from itertools import chain, islice, takewhile
from math import ceil
from typing import NamedTuple, Protocol, TypeVar

from splitjob_api.cached_job import (
    CachedJob,
    Change,
    Changes,
    Deletion,
    JobFilter,
    JobPage,
    ObservedJob,
    Position,
)
from splitjob_api.kubernetes import SplitJobObject
from splitjob_api.queue_stats import QueueStats
from splitjob_api.told_versions import ToldVersions

SILENT_SECONDS = 15.0  # a healthy watch is checked every three
REMEMBERED_DELETIONS = 1000


Held = TypeVar("Held", CachedJob, Deletion)


class Checkpoint(NamedTuple):
    """How far the cluster was at a time.

    Attributes:
        version: its resourceVersion.
        at: Unix time.
        tick: the same by the clock that nobody sets.
    """

    version: int
    at: float
    tick: float


class Follower(Protocol):
    """Who is told of each change, in the thread of the watch."""

    def changed(self, change: Change) -> None:
        """Take in a change; they come by their versions."""

    def restarted(self) -> None:
        """Take in that versions begin anew: the cluster was restored from a backup."""


class JobCache:
    """The SplitJobs of a namespace; may be used from any thread.

    Args:
        stats: is fed by the same watch.
        read: asks the API server for one SplitJob; None: there is none.
        clock: Unix time.
        ticks: time that nobody sets, in seconds.
    """

    def __init__(
        self,
        stats: QueueStats,
        read: Callable[[str], SplitJobObject | None],
        clock: Callable[[], float] = time.time,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stats = stats
        self._read = read
        self._clock = clock
        self._ticks = ticks
        self._lock = threading.Lock()
        self._jobs: dict[str, CachedJob] = {}  # by name, in the order of their versions
        self._order: list[CachedJob] = []  # by position
        self._told = ToldVersions()
        self._deletions: deque[Deletion] = deque(maxlen=REMEMBERED_DELETIONS)
        self._deletions_since = 0
        self._version = 0
        self._followed = False
        self._observed_at = 0.0
        self._reached = Checkpoint(0, 0.0, 0.0)
        self._ahead = Checkpoint(0, 0.0, 0.0)
        self._follower: Follower | None = None

    # What is asked

    @property
    def current(self) -> bool:
        """Whether what is held here may be told: it is followed, and has been checked lately."""
        return self._followed and self._ticks() - self._reached.tick < SILENT_SECONDS

    @property
    def observed_at(self) -> float:
        """Up to when no change is missing, Unix time."""
        return self._observed_at

    @property
    def version(self) -> int:
        """The resourceVersion up to which no change is missing."""
        return self._version

    @property
    def told(self) -> int:
        """The latest resourceVersion that somebody was told, or has written, through this replica.

        Lists and counts that are told from then on must not be from before it.
        """
        return self._told.highest

    def cached(self, name: str, least: int = 0) -> ObservedJob | None:
        """Return a job; None where it is not here, or what is here may not be told.

        Args:
            name: the jobId.
            least: the resourceVersion that is known already; nothing older may be told.
        """
        with self._lock:
            found = self._jobs.get(name) if self.current else None
            told = self._told.of(name)
            if found is None or found.version < max(least, told.version):
                return None
            return ObservedJob(found, max(self._observed_at, told.at))

    def fetch(self, name: str) -> ObservedJob | None:
        """Return a job as the API server has it now; None where there is none. Blocks.

        Nothing older is told of it afterwards.

        Raises:
            ClusterUnavailableError: the API server does not say.
        """
        observed_at = self._clock()
        found = self._read(name)
        if found is None:
            self.note_gone(name)
            return None
        job = CachedJob(found)
        with self._lock:
            self._told.note(name, job.version, observed_at)
        return ObservedJob(job, observed_at)

    def note_answer(self, splitjob: SplitJobObject) -> None:
        """Tell nothing older of a SplitJob from now on.

        Args:
            splitjob: as the API server has just answered, to a read or a write.
        """
        metadata = splitjob["metadata"]
        with self._lock:
            self._told.note(str(metadata["name"]), int(metadata["resourceVersion"]))

    def note_gone(self, name: str) -> None:
        """Tell nothing of a job from now on, until it is there anew.

        Args:
            name: of none, as the API server has just said.
        """
        with self._lock:
            # Where the watch has told of its end already, it tells of it no more.
            if name in self._jobs or self._told.of(name).version > self._version:
                self._told.note_gone(name)

    def is_gone(self, job: CachedJob) -> bool:
        """Return whether a job that was read is not there any more as the watch tells it."""
        with self._lock:
            return job.name not in self._jobs and job.version <= self._version

    def is_absent(self, name: str) -> bool:
        """Return whether the watch is current and has shown no SplitJob of a name."""
        with self._lock:
            return self.current and name not in self._jobs

    def may_be_retried(self, intent_label: str) -> bool:
        """Return whether there may be a later SplitJob than the first of an intent."""
        return not self.current or self._stats.may_be_retried(intent_label)

    def page(self, wanted: JobFilter, after: Position | None, limit: int) -> JobPage:
        """Return a part of the list.

        Args:
            wanted: which jobs.
            after: the position of the last job of the part before; None: from the newest on.
            limit: at most so many.
        """
        with self._lock:
            found = list(islice(self._from(wanted, after), limit + 1))
            return JobPage(found[:limit], len(found) > limit, self._observed_at)

    def changes(self, since: int, wanted: JobFilter) -> Changes:
        """Return what has changed since a resourceVersion.

        Args:
            since: up to which all is known already.
            wanted: of which jobs; in whatever state, since one that has changed may have left.
        """
        with self._lock:
            held: Iterable[CachedJob | Deletion] = chain(
                _latest(self._jobs.values(), since), _latest(self._deletions, since)
            )
            found = [one for one in held if wanted.may_take(one) and self._may_be_told(one)]
            found.sort(key=lambda one: one.version)
            complete = since >= self._deletions_since
            return Changes(found, self._version, complete, self._observed_at)

    # What the watch brings

    def follow(self, follower: Follower) -> None:
        """Tell somebody of each change from now on."""
        self._follower = follower

    def mark_stale(self) -> None:
        """Note that changes may be missed from now on, until the next full list."""
        self._followed = False
        self._stats.mark_stale()

    def listing(self) -> "Listing":
        """Begin a full list."""
        return Listing(self, self._clock(), self._ticks())

    def check(self, latest_version: Callable[[], str]) -> None:
        """Ask how far the cluster is; once the watch is there, no change up to now is missing.

        Args:
            latest_version: asks.
        """
        at, tick = self._clock(), self._ticks()
        version = int(latest_version())
        with self._lock:
            self._ahead = Checkpoint(version, at, tick)
            self._advance(self._version)

    def heard(self, version: str) -> None:
        """Note that all changes up to a resourceVersion have come."""
        with self._lock:
            self._advance(int(version))

    def apply(self, event: str, splitjob: SplitJobObject) -> None:
        """Take in one change.

        Args:
            event: ADDED, MODIFIED or DELETED.
            splitjob: the object it happened to.
        """
        job = CachedJob(splitjob)
        self._stats.apply(event, splitjob)
        gone = Deletion.of(job, job.version) if event == "DELETED" else None
        with self._lock:
            before = self._jobs.get(job.name)
            if gone:
                self._remove(gone)
                self._told.heard_gone(job.name)
            else:
                self._put(before, job)
            self._advance(job.version)
        if self._follower:
            self._follower.changed(Change(before, gone or job, self._observed_at))

    def take_list(self, fresh: "Listing", version: int) -> None:
        """Hold what a full list gave, and nothing else; see `Listing`."""
        former, restored = self._jobs, version < self._version
        listed = fresh.jobs if restored else [_unchanged(former, job) for job in fresh.jobs]
        jobs = {job.name: job for job in sorted(listed, key=_version)}
        with self._lock:
            gone = [Deletion.of(job, version) for job in former.values() if job.name not in jobs]
            self._jobs, self._order = jobs, sorted(listed, key=_position)
            self._remember_all(gone, anew=version if restored or not self._version else None)
            self._version = version
            self._observed_at = max(self._observed_at, fresh.began_at)
            self._reached = Checkpoint(version, fresh.began_at, fresh.began_tick)
            if restored:
                self._told.clear()
            for name in self._told.names():
                if name not in jobs:
                    self._told.heard_gone(name)
            self._stats.adopt(fresh.stats)
            self._followed = True
        if self._follower and restored:
            self._follower.restarted()
        elif self._follower:
            for change in _differences(former, jobs, gone, self._observed_at):
                self._follower.changed(change)

    def _from(self, wanted: JobFilter, after: Position | None) -> Iterator[CachedJob]:
        """Yield the jobs of a filter that come after a position, the newest first."""
        begin = 0 if wanted.since is None else self._index((ceil(wanted.since), ""))
        end = len(self._order) if after is None else self._index(after)
        for index in range(end - 1, begin - 1, -1):
            job = self._order[index]
            if wanted.takes(job) and self._may_be_told(job):
                yield job

    def _may_be_told(self, one: CachedJob | Deletion) -> bool:
        """Return whether something is not of a job that is known to be gone by now."""
        return isinstance(one, Deletion) or not self._told.is_gone(one.name)

    def _index(self, position: Position) -> int:
        return bisect_left(self._order, position, key=_position)

    def _put(self, before: CachedJob | None, job: CachedJob) -> None:
        self._jobs.pop(job.name, None)
        self._jobs[job.name] = job
        if before and before.position == job.position:
            self._order[self._index(job.position)] = job
            return
        if before:
            del self._order[self._index(before.position)]
        insort(self._order, job, key=_position)

    def _remove(self, gone: Deletion) -> None:
        if before := self._jobs.pop(gone.name, None):
            del self._order[self._index(before.position)]
            self._remember(gone)

    def _remember(self, gone: Deletion) -> None:
        if len(self._deletions) == REMEMBERED_DELETIONS:
            self._deletions_since = self._deletions[0].version
        self._deletions.append(gone)

    def _remember_all(self, gone: Iterable[Deletion], anew: int | None) -> None:
        """Remember deletions; those before them are not known where a version is given."""
        if anew is not None:
            self._deletions_since = anew
            self._deletions.clear()
        for deletion in gone:
            self._remember(deletion)

    def _advance(self, version: int) -> None:
        """Note how far the watch is."""
        self._version = max(self._version, version)
        if self._version >= self._ahead.version and self._ahead.tick > self._reached.tick:
            self._reached = self._ahead
            self._observed_at = max(self._observed_at, self._ahead.at)


class Listing:
    """A full list under way; it takes the place of what a cache holds once it is complete.

    Args:
        cache: that cache.
        began_at: Unix time.
        began_tick: the same by the cache's other clock.

    Attributes:
        jobs: so far.
        stats: counted from them.
    """

    def __init__(self, cache: JobCache, began_at: float, began_tick: float) -> None:
        self._cache = cache
        self.stats = QueueStats()
        self.began_at = began_at
        self.began_tick = began_tick
        self.jobs: list[CachedJob] = []

    def add(self, splitjobs: Iterable[SplitJobObject]) -> None:
        """Take in one page, which need not be kept."""
        for splitjob in splitjobs:
            self.jobs.append(CachedJob(splitjob))
            self.stats.apply("ADDED", splitjob)

    def complete(self, version: str) -> None:
        """Hand over the whole list.

        Args:
            version: its resourceVersion.
        """
        self._cache.take_list(self, int(version))


def _position(job: CachedJob) -> Position:
    return job.position


def _version(job: CachedJob) -> int:
    return job.version


def _unchanged(former: Mapping[str, CachedJob], job: CachedJob) -> CachedJob:
    """Return a job as it was held before where it is the same: its answer may be made already."""
    before = former.get(job.name)
    return before if before and before.version == job.version else job


def _latest(held: Reversible[Held], since: int) -> Iterator[Held]:
    """Return those after a version, the latest first, of what is in the order of versions."""
    return takewhile(lambda one: one.version > since, reversed(held))


def _differences(
    former: Mapping[str, CachedJob],
    jobs: Mapping[str, CachedJob],
    gone: Iterable[Deletion],
    observed_at: float,
) -> Iterator[Change]:
    """Yield what a full list shows to have changed, by versions."""
    for name, job in jobs.items():
        before = former.get(name)
        if before is None or before.version != job.version:
            yield Change(before, job, observed_at)
    for deletion in gone:
        yield Change(former[deletion.name], deletion, observed_at)
