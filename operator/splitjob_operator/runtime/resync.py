"""The resync: lists everything every 30 s, whatever the watches brought or missed."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from splitjob.resource import LABEL_SPLITJOB
from splitjob_kube.errors import KubernetesError, NotFoundError
from splitjob_kube.preconditions import Unready, UnreadyReason
from splitjob_operator.core.observed import is_orphan
from splitjob_operator.core.ports import ListingPort
from splitjob_operator.runtime.clock import Clock, utc_now
from splitjob_operator.runtime.controller import Controller
from splitjob_operator.runtime.leadership import NotLeadingError
from splitjob_operator.runtime.long_lived import LongLived
from splitjob_operator.runtime.metrics import RESYNCS
from splitjob_operator.runtime.position_refresher import moved
from splitjob_operator.runtime.readiness import Readiness

__all__ = ["Resync"]

log = logging.getLogger(__name__)

FIRST_RETRY_SECONDS = 1.0
RETRY_SECONDS = 5.0
BATCH = 200  # SplitJobs taken in between two turns of the event loop
MIN_LIVENESS_SECONDS = 300.0


class Resync:
    """Lists the namespace again and again, and looks before whether work may be done there.

    Args:
        controller: is told what there is.
        kubernetes: the namespace.
        preconditions: returns what of the cluster is not as the operator needs it.
        readiness: is told what is in the way.
        leads: says whether this operator does what follows from a listing, or only remembers it.
        exit_process: ends the process, called when a watch has gone silent.
        clock: the time, in UTC.
    """

    def __init__(
        self,
        controller: Controller,
        kubernetes: ListingPort,
        preconditions: Callable[[], tuple[Unready, ...]],
        readiness: Readiness,
        leads: Callable[[], bool],
        exit_process: Callable[[], None],
        clock: Clock = utc_now,
    ) -> None:
        self._controller = controller
        self._kubernetes = kubernetes
        self._preconditions = preconditions
        self._leads = leads
        self._exit = exit_process
        self._clock = clock
        self._started = time.monotonic()
        self._last: float | None = None
        self._answered = self._started
        self.readiness = readiness
        self.first = asyncio.Event()
        self._anew = True
        self._at_once = asyncio.Event()
        self._long_lived = LongLived()

    @property
    def age(self) -> float:
        """Seconds since the last full resync, or since the start while there was none."""
        return time.monotonic() - (self._last or self._started)

    @property
    def alive(self) -> bool:
        """Whether the last full resync, or the last word on why there is none, is recent enough.

        Where the API server says what is missing, starting afresh would not bring it.
        """
        every = self._controller.settings.resync_seconds
        silent = time.monotonic() - max(self._last or self._started, self._answered)
        return silent < max(MIN_LIVENESS_SECONDS, 5 * every)

    async def run(self) -> None:
        """Resync for ever."""
        while True:
            self._at_once.clear()
            unready = await self._look_and_list()
            self.readiness.report(unready)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause(unready)):
                    await self._at_once.wait()

    def list_again(self) -> None:
        """List everything at once."""
        self._at_once.set()

    def begin_anew(self) -> None:
        """List everything at once, and note what is at rest: nothing is known of it any more."""
        self._anew = True
        self._at_once.set()

    def _pause(self, unready: Sequence[Unready]) -> float:
        every = self._controller.settings.resync_seconds
        if not unready:
            return every
        return min(every, FIRST_RETRY_SECONDS if self._last is None else RETRY_SECONDS)

    async def _look_and_list(self) -> tuple[Unready, ...]:
        """Return what is in the way; where it forbids no work, everything was listed."""
        unmet: tuple[Unready, ...] = ()
        c = self._controller
        try:
            unmet = await c.threads.run(self._preconditions)
            if unmet:
                self._answered = time.monotonic()
            if any(one.forbids_work for one in unmet):
                c.guard.reset()
                return unmet
            with RESYNCS.time():
                await self.once()
        except KubernetesError as error:
            c.guard.reset()
            return unmet or (Unready(UnreadyReason.CLUSTER_UNAVAILABLE, str(error)),)
        except Exception as error:
            log.exception("Resync failed by a defect")
            return (*unmet, Unready(UnreadyReason.NOT_LISTED, f"a defect: {type(error).__name__}"))
        self._last = time.monotonic()
        self.first.set()
        self.readiness.may_work.set()
        self._end_if_a_watch_is_silent()
        return unmet

    def _end_if_a_watch_is_silent(self) -> None:
        if missed := self._controller.guard.silent():
            log.error("The watch has not brought a change of %s %s; starting afresh", *missed)
            self._exit()

    async def once(self) -> None:
        """List everything once.

        Raises:
            KubernetesError: it could not be listed.
        """
        c, anew = self._controller, self._anew
        jobs = await self._metadata("Job")
        c.observer.replace_jobs((one["labels"][LABEL_SPLITJOB], one["name"]) for one in jobs)
        c.guard.listed("Job", _versions(jobs))
        versions = await self._splitjobs(anew=anew)
        self._long_lived.keep(len(versions))
        c.guard.listed("SplitJob", versions)
        pods = await self._metadata("Pod")
        c.guard.listed("Pod", _versions(pods))
        c.observer.forget_told({one["uid"] for one in (*jobs, *pods)})
        if c.queue.is_open and anew is self._anew:
            self._anew = False
            await self._follow_up(versions, pods)

    async def _follow_up(
        self, versions: Mapping[str, str], pods: Iterable[Mapping[str, Any]]
    ) -> None:
        """Do what follows from a listing, where this operator leads or may come to."""
        c = self._controller
        await c.observer.node_monitor.refresh({e.node for e in c.cache if e.active and e.node})
        await self._enqueue(versions)
        if self._leads():
            with suppress(NotLeadingError):
                await self._orphaned_secrets()
                await self._orphaned_pods(pods)

    async def _metadata(self, kind: str) -> list[dict[str, Any]]:
        """Return the metadata of all objects of a kind: what is not read costs nothing."""
        c = self._controller
        return await c.threads.run(lambda: list(self._kubernetes.metadata(kind)))

    async def _splitjobs(self, *, anew: bool) -> dict[str, str]:
        """Take in what has changed, or all anew; return the resource version of each."""
        c = self._controller
        known = {entry.name for entry in c.cache}  # what comes while it is listed is not listed
        if anew:
            versions = await self._all(self._note_at_rest)
        else:
            listed = await c.threads.run(self._list)
            changed = [name for name, *state in listed if not c.cache.has(name, *state)]
            if len(changed) > BATCH:
                versions = await self._all(c.take_in)
            else:
                versions = {name: version for name, _, version in listed}
                await self._read(changed)
        for name in known - versions.keys():
            c.cache.drop(name)
            c.reconciled.pop(name, None)
        return versions

    def _note_at_rest(self, raw: Mapping[str, Any]) -> None:
        """Note one as reconciled where nothing is to be done for it, unless it has been since."""
        c = self._controller
        (c.take_in if raw["metadata"]["name"] in c.reconciled else c.note_at_rest)(raw)

    def _list(self) -> list[tuple[str, str, str]]:
        """Return name, uid and resource version of each SplitJob."""
        listed = self._kubernetes.metadata("SplitJob")
        return [(one["name"], one["uid"], one["resourceVersion"]) for one in listed]

    async def _all(self, take_in: Callable[[Mapping[str, Any]], None]) -> dict[str, str]:
        """Take in all SplitJobs; return the resource version of each."""
        c = self._controller
        versions: dict[str, str] = {}
        pages = iter(self._kubernetes.splitjobs())
        while batch := await c.threads.run(lambda: list(islice(pages, BATCH))):
            for raw in batch:
                take_in(raw)
            versions |= _versions(raw["metadata"] for raw in batch)
        return versions

    async def _read(self, names: Iterable[str]) -> None:
        """Take in a few SplitJobs; of one that is gone by now the watch will tell."""
        c = self._controller
        for name in names:
            with suppress(NotFoundError):
                c.take_in(await c.threads.run(self._kubernetes.splitjob, name))

    async def _enqueue(self, versions: Mapping[str, str]) -> None:
        """Have those looked at that may need it: under way, changed, moved, or next."""
        c = self._controller
        places = c.cache.places()
        for number, entry in enumerate(c.cache, 1):
            if number % BATCH == 0:
                await asyncio.sleep(0)  # what the watches bring need not wait for all of it
            changed = c.reconciled.get(entry.name) != versions.get(entry.name)
            if entry.active or c.observer.has_jobs(entry.name):
                c.read_again(entry.name)
            elif changed or moved(entry, places.get(entry.name)):
                c.queue.add(entry.name)
        c.queue_next()
        c.wake_counter()

    async def _orphaned_secrets(self) -> None:
        """Delete Secrets of requests that never became SplitJobs."""
        c = self._controller
        before = self._clock() - timedelta(seconds=c.settings.orphan_secret_seconds)
        secrets = await self._metadata("Secret")
        used = {entry.secret for entry in c.cache}
        for metadata in secrets:
            owned, name = metadata.get("ownerReferences"), metadata["name"]
            created_at = datetime.fromisoformat(metadata["creationTimestamp"])
            if owned or name in used or created_at > before:
                continue
            log.info("Deleting Secret %s: no SplitJob refers to it", name)
            await c.threads.run(self._kubernetes.delete_secret, {"metadata": metadata})

    async def _orphaned_pods(self, pods: Iterable[Mapping[str, Any]]) -> None:
        """Delete pods without a Job whose SplitJob has ended, or is gone: nobody else would.

        Those of one that has not ended are found whenever it is looked at.
        """
        c = self._controller
        for metadata in filter(is_orphan, pods):
            name, owner = metadata["name"], c.cache.get(metadata["labels"][LABEL_SPLITJOB])
            if owner is None or owner.state.finished:
                log.info("Deleting pod %s: its Job was deleted without it", name)
                await c.threads.run(self._delete_pod, name, metadata["uid"])

    def _delete_pod(self, name: str, uid: str) -> None:
        self._kubernetes.delete_pod(name, uid, force=False)


def _versions(listed: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    return {metadata["name"]: metadata["resourceVersion"] for metadata in listed}
