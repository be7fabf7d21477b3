"""Keeps the totals: adds finished SplitJobs to the ConfigMap, batch by batch, and marks them.

The mark, `status.counted`, is the one part of a status that `reconcile` does not decide: it may be
set only once the ConfigMap holds the batch, and the next batch waits for it. So what writes the
ConfigMap sets the mark, under the resourceVersion that it has read, and changes nothing else.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any

from splitjob.totals import Totals
from splitjob_kube.errors import AlreadyExistsError, ConflictError, KubernetesError, NotFoundError
from splitjob_operator.core.cached_splitjob import CachedSplitJob
from splitjob_operator.core.ports import TotalsPort
from splitjob_operator.core.settings import Settings
from splitjob_operator.runtime.cache import SplitJobCache
from splitjob_operator.runtime.readiness import Readiness
from splitjob_operator.runtime.thread_pool import ThreadPool

__all__ = ["TotalsCounter", "uncounted_in"]

log = logging.getLogger(__name__)

Json = dict[str, Any]

GATHER_SECONDS = 0.5
MAX_BATCH = 100
RETRY_SECONDS = 5.0


class TotalsCounter:
    """Counts each finished SplitJob once.

    Args:
        kubernetes: where SplitJobs and totals are.
        threads: where blocking calls run.
        cache: says which SplitJobs are finished and not counted.
        settings: the installation's.
        readiness: says when nothing may be written.
        counted: takes in each SplitJob as it was marked, so that the watch brings no news of it.
    """

    def __init__(
        self,
        kubernetes: TotalsPort,
        threads: ThreadPool,
        cache: SplitJobCache,
        settings: Settings,
        readiness: Readiness,
        counted: Callable[[Json], object],
    ) -> None:
        self._kubernetes = kubernetes
        self._threads = threads
        self._cache = cache
        self._settings = settings
        self._readiness = readiness
        self._counted = counted
        self._wanted = asyncio.Event()

    def wake(self) -> None:
        """Say that there may be something to count."""
        self._wanted.set()

    async def run(self) -> None:
        """Count for ever."""
        await self._load()
        while True:
            await self._wanted.wait()
            await self._readiness.may_work.wait()
            await asyncio.sleep(GATHER_SECONDS)
            self._wanted.clear()
            try:
                while await self.count_batch():
                    pass
            except (KubernetesError, ValueError) as error:
                log.warning("Totals: %s; trying again", error)
                await asyncio.sleep(RETRY_SECONDS)
                self._wanted.set()

    async def count_batch(self) -> bool:
        """Finish the last batch and add the next one; return whether there was one.

        Raises:
            KubernetesError: the API server could not be reached, or another operator was faster.
        """
        configmap = await self._threads.run(
            self._kubernetes.configmap, self._settings.totals_configmap
        )
        totals = Totals.parse(configmap.get("data") or {}) if configmap else Totals()
        self._cache.run_seconds = totals.run_seconds
        uncounted = uncounted_in(self._cache)
        last = set(totals.batch)
        # Also those whose end the watch has not brought yet, as right after another one led.
        for entry in [one for one in self._cache if one.uid in last and not one.counted]:
            await self._mark(entry)
        fresh = [e for e in uncounted if e.uid not in last][:MAX_BATCH]
        read = [(entry, await self._still_uncounted(entry)) for entry in fresh]
        batch = [(entry, raw) for entry, raw in read if raw is not None]
        if not batch:
            return False
        totals = totals.plus([entry for entry, _ in batch], self._settings.device)
        await self._threads.run(self._write, configmap, totals)
        self._cache.run_seconds = totals.run_seconds
        for entry, raw in batch:
            await self._mark(entry, raw)
        return True

    async def _load(self) -> None:
        try:
            name = self._settings.totals_configmap
            configmap = await self._threads.run(self._kubernetes.configmap, name)
            totals = Totals.parse((configmap or {}).get("data") or {})
            self._cache.run_seconds = totals.run_seconds
        except (KubernetesError, ValueError) as error:
            log.warning("Totals could not be read at the start: %s", error)
        self._wanted.set()

    def _write(self, configmap: dict[str, Any] | None, totals: Totals) -> None:
        body = configmap or {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": self._settings.totals_configmap,
                "namespace": self._settings.namespace,
            },
        }
        try:
            self._kubernetes.write_configmap({**body, "data": totals.data()})
        except AlreadyExistsError as error:
            raise ConflictError(str(error)) from None

    async def _still_uncounted(self, entry: CachedSplitJob) -> Json | None:
        """Return a SplitJob as it is now; None where it needs no counting."""
        try:
            raw = await self._threads.run(self._kubernetes.splitjob, entry.name)
        except NotFoundError:
            self._cache.drop(entry.name)
            return None
        known = self._cache.put(raw)
        return raw if known.uid == entry.uid and not known.counted else None

    async def _mark(self, entry: CachedSplitJob, raw: Json | None = None) -> None:
        """Mark a SplitJob as counted; one that is gone needs no mark.

        Args:
            entry: the SplitJob.
            raw: as it was last read; None: it has to be.
        """
        while raw := raw or await self._still_uncounted(entry):
            try:
                status = {**raw["status"], "counted": True}
                marked = await self._threads.run(self._kubernetes.write_status, raw, status)
            except ConflictError:
                raw = None
                continue
            except NotFoundError:
                self._cache.drop(entry.name)
            else:
                self._counted(marked)
            return


def uncounted_in(entries: Iterable[CachedSplitJob]) -> list[CachedSplitJob]:
    """Return the finished SplitJobs that are not marked as counted."""
    return [e for e in entries if e.state.finished and not e.counted and e.event]
