"""Server-sent events: who listens, and what each of them is still to be sent.

All streams live on the one watch that feeds the cache of jobs. The id of an event is a
resourceVersion, so that `Last-Event-ID` is good on every replica: any cache knows what has changed
since. A stream whose reader is slow keeps the latest event of each job, for at most MAX_PENDING
jobs; then it is told to resume, and ends.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

from splitjob_api.bulk_answers import make_answers
from splitjob_api.cached_job import CachedJob, Change, Changes, Deletion, JobFilter, ObservedJob
from splitjob_api.caller import Caller
from splitjob_api.job_cache import JobCache
from splitjob_api.job_response import JobState, observed

COMMENT_SECONDS = 15.0
LIFE_SECONDS = 30 * 60.0  # then it resumes, and so shows again that it may
KUBERNETES_LIFE_SECONDS = 60.0  # the rights of who came with a Kubernetes token are taken any time
MAX_PENDING = 512  # jobs
REPLAYED_AT_ONCE = 100  # jobs
RETRY_SECONDS = (2.0, 5.0)  # before a reader comes back: not all of them at once
FINAL = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELED})

COMMENT = b": still here\n\n"
RESUME = b"event: resume\ndata: {}\n\n"
RELOAD = b"event: reload\ndata: {}\n\n"


class TooManyStreamsError(Exception):
    """No further stream may be opened here now."""


class TooManyStreamsOfCallerError(TooManyStreamsError):
    """One caller has as many as one may have."""


class Subscription:
    """What one stream is still to be sent; of the event loop's thread alone.

    Args:
        wanted: of which jobs.
        name: of one job alone; None: of all.
        caller: whose it is.

    Attributes:
        floor: the resourceVersion up to which its reader knows all, or is told otherwise.
        life_seconds: after which it ends, and its reader resumes.
    """

    def __init__(self, wanted: JobFilter, name: str | None, caller: Caller | None = None) -> None:
        self.name = name
        self.caller = caller
        by_token = caller is not None and caller.kind == "kubernetes"
        self.life_seconds = KUBERNETES_LIFE_SECONDS if by_token else LIFE_SECONDS
        self.floor = 0
        self._wanted = wanted
        self._pending: dict[str, bytes] = {}
        self._last: bytes | None = None  # after it nothing comes
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None  # one for its life: to set one is not free

    def wants(self, change: Change) -> bool:
        """Return whether a change is to be told: of a job that is in the filter, or was."""
        if change.after.version <= self.floor or self._last is not None:
            return False
        if self.name is not None:
            return change.after.name == self.name
        return self._wanted.takes(change.after) or (
            change.before is not None and self._wanted.takes(change.before)
        )

    def put(self, name: str, event: bytes) -> None:
        """Take in the latest event of a job."""
        self._pending.pop(name, None)
        self._pending[name] = event
        if len(self._pending) > MAX_PENDING:
            self._pending.clear()
            self.end(RESUME)
        self._wake.set()

    def end(self, last: bytes = b"") -> None:
        """Let the stream end after what is pending, and a last event."""
        if self._last is None:
            self._last = last
        self._wake.set()

    def start_comments(self) -> None:
        """Let a comment be sent now and then, until `stop_comments`."""
        self._timer = asyncio.get_running_loop().call_later(COMMENT_SECONDS, self._comment)

    def stop_comments(self) -> None:
        """Send no more comments."""
        if self._timer:
            self._timer.cancel()

    async def take(self) -> tuple[bytes, bool]:
        """Return what is pending, once there is something, and whether it is the end."""
        await self._wake.wait()
        self._wake.clear()
        events = b"".join(self._pending.values())
        self._pending.clear()
        return events + (self._last or b""), self._last is not None

    def _comment(self) -> None:
        self._pending[""] = COMMENT
        self._wake.set()
        self.start_comments()


class Streams:
    """The open streams of this replica.

    Args:
        jobs: where changes come from.
        limit: at most so many streams.
    """

    def __init__(self, jobs: JobCache, limit: int) -> None:
        self._jobs = jobs
        self._limit = limit
        self._share = limit - limit // 4  # a quarter is left to the others
        self._loop: asyncio.AbstractEventLoop | None = None
        self._open: set[Subscription] = set()
        self._by_name: dict[str, set[Subscription]] = {}
        self._closed = False

    @property
    def count(self) -> int:
        """How many are open."""
        return len(self._open) + sum(map(len, self._by_name.values()))

    def start(self) -> None:
        """Follow the changes from now on, from the thread of the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._jobs.follow(self)

    def close(self) -> None:
        """End all streams; their readers resume elsewhere."""
        self._closed = True
        self._end_all(RESUME)

    def subscribe(
        self, wanted: JobFilter, name: str | None, caller: Caller | None = None
    ) -> Subscription:
        """Return a new subscription, until `unsubscribe`.

        Args:
            wanted: of which jobs.
            name: of one job alone; None: of all.
            caller: whose it is; None: nobody's, so that it counts for none.

        Raises:
            TooManyStreamsOfCallerError: the caller has as many as one may have.
            TooManyStreamsError: there are as many as there may be.
        """
        if self._closed or self.count >= self._limit:
            raise TooManyStreamsError
        if caller is not None and self._count_of(caller) >= self._share:
            raise TooManyStreamsOfCallerError
        subscription = Subscription(wanted, name, caller)
        subscription.start_comments()
        self._group(name).add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Tell a stream nothing more."""
        subscription.stop_comments()
        group = self._group(subscription.name)
        group.discard(subscription)
        if subscription.name is not None and not group:
            del self._by_name[subscription.name]

    # What the cache tells, in the thread of its watch

    def changed(self, change: Change) -> None:
        """Hand a change over to the event loop, where somebody may want it."""
        if self._open or change.after.name in self._by_name:
            self._call(self._publish, change)

    def restarted(self) -> None:
        """End all streams: their ids mean nothing any more."""
        self._call(self._end_all, RELOAD)

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        if self._loop and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *arguments)

    def _publish(self, change: Change) -> None:
        after = change.after
        among = (*self._open, *self._by_name.get(after.name, ()))
        told = [one for one in among if one.wants(change)]
        if not told:
            return
        event = event_of(after, change.observed_at)
        for subscription in told:
            subscription.put(after.name, event)
            if subscription.name is not None and is_last(after):
                subscription.end()

    def _end_all(self, last: bytes) -> None:
        for subscription in self._all():
            subscription.end(last)

    def _count_of(self, caller: Caller) -> int:
        return sum(one.caller == caller for one in self._all())

    def _all(self) -> list[Subscription]:
        return [*self._open, *(one for group in self._by_name.values() for one in group)]

    def _group(self, name: str | None) -> set[Subscription]:
        return self._open if name is None else self._by_name.setdefault(name, set())


def event_of(job: CachedJob | Deletion, observed_at: float) -> bytes:
    """Return the event that tells how a job is now, or that it is gone.

    Args:
        job: the job.
        observed_at: when it was so, Unix time.
    """
    if isinstance(job, Deletion):
        return b'id: %d\nevent: deleted\ndata: {"jobId":"%s"}\n\n' % (
            job.version,
            job.name.encode(),
        )
    return b"id: %d\nevent: job\ndata: %s\n\n" % (job.version, observed(job.answer(), observed_at))


def is_last(job: CachedJob | Deletion) -> bool:
    """Return whether nothing more will become of a job."""
    return isinstance(job, Deletion) or job.state in FINAL


def opening(version: int | None) -> bytes:
    """Return what a stream begins with: when to come back after its end, and from where on.

    Args:
        version: up to which its reader knows all; None: its first event says.
    """
    pause = random.uniform(*RETRY_SECONDS)  # noqa: S311
    known = b"" if version is None else b"id: %d\n" % version
    return b"retry: %d\n%s\n" % (pause * 1000, known)


async def job_events(subscription: Subscription, now: ObservedJob | None) -> AsyncIterator[bytes]:
    """Yield the events of one job: how it is now, then each change, until its end.

    Args:
        subscription: to that job; its floor is the version of `now`.
        now: how it is; None: its reader knows.
    """
    yield opening(None) + event_of(*now) if now else opening(subscription.floor)
    if now is None or not is_last(now.job):
        async for events in following(subscription):
            yield events


async def list_events(
    subscription: Subscription, since: int, changes: Changes
) -> AsyncIterator[bytes]:
    """Yield the events of all jobs of a filter.

    Args:
        subscription: to them; its floor is the version up to which `changes` go.
        since: the version from which they go on.
        changes: since its reader was here last; where some are not known, it is told to reload.
    """
    yield opening(since) + (b"" if changes.complete else RELOAD)
    for part in _parts(changes.jobs):
        await make_answers(part)
        yield b"".join(event_of(job, changes.observed_at) for job in part)
    async for events in following(subscription):
        yield events


async def following(subscription: Subscription) -> AsyncIterator[bytes]:
    """Yield what comes, comments among it, until the end of the stream."""
    end = time.monotonic() + subscription.life_seconds
    over = False
    while not over:
        events, over = await subscription.take()
        yield events
        if time.monotonic() > end:
            subscription.end(RESUME)


def _parts(jobs: Sequence[CachedJob | Deletion]) -> Iterator[Sequence[CachedJob | Deletion]]:
    for begin in range(0, len(jobs), REPLAYED_AT_ONCE):
        yield jobs[begin : begin + REPLAYED_AT_ONCE]
