"""Deletes files from POST /uploads that no job uses: those that were sent and never asked for."""

import asyncio
import logging
from collections.abc import Sequence

from splitjob_kube.errors import KubernetesError
from splitjob_operator.core.cached_splitjob import CachedSplitJob
from splitjob_operator.core.inputs import StoredInput, orphans
from splitjob_operator.core.ports import BucketError, InputStorePort, ListingPort
from splitjob_operator.runtime import metrics
from splitjob_operator.runtime.cache import SplitJobCache
from splitjob_operator.runtime.clock import Clock, utc_now
from splitjob_operator.runtime.thread_pool import ThreadPool

__all__ = ["InputSweeper"]

log = logging.getLogger(__name__)

SWEEP_SECONDS = 3600.0
MAX_PAGES = 100  # of a thousand keys, in one sweep; the next one goes on behind them


class InputSweeper:
    """Looks through the files once an hour, a page at a time.

    Args:
        store: the files.
        kubernetes: says once more, before any is deleted, which of them are read.
        cache: says which of them jobs that have not ended read; complete before the first sweep.
        orphan_seconds: how old a file may become that none of them reads.
        clock: the time, in UTC.
    """

    def __init__(
        self,
        store: InputStorePort,
        kubernetes: ListingPort,
        cache: SplitJobCache,
        orphan_seconds: float,
        clock: Clock = utc_now,
    ) -> None:
        self._store = store
        self._kubernetes = kubernetes
        self._cache = cache
        self._orphan_seconds = orphan_seconds
        self._clock = clock
        self._threads = ThreadPool(1, "inputs")
        self._after = ""
        self._failing = False

    async def run(self) -> None:
        """Sweep for ever."""
        while True:
            await self.try_to_sweep()
            await asyncio.sleep(SWEEP_SECONDS)

    async def try_to_sweep(self) -> None:
        """Look through them once, and tell when that begins to fail and when it works again."""
        try:
            await self.sweep()
        except (BucketError, KubernetesError) as error:
            metrics.INPUT_SWEEPS.labels("failed").inc()
            if not self._failing:
                log.warning(
                    "Files from POST /uploads that no job uses stay, tried again every hour: %s",
                    error,
                )
            self._failing = True
            return
        metrics.INPUT_SWEEPS.labels("done").inc()
        if self._failing:
            log.info("Files from POST /uploads that no job uses are deleted again")
        self._failing = False

    async def sweep(self) -> None:
        """Look through them once, from where the sweep before had to stop.

        What cannot be deleted keeps nothing behind it from going.

        Raises:
            BucketError: the bucket refused, or could not be reached.
            KubernetesError: the API server refused, or could not be reached.
        """
        failure: BucketError | None = None
        for _ in range(MAX_PAGES):
            files, self._after = await self._threads.run(self._store.page, self._after)
            try:
                await self._delete_orphans(files)
            except BucketError as error:
                failure = error
            if not self._after:
                break
        if failure:
            raise failure

    async def _delete_orphans(self, files: Sequence[StoredInput]) -> None:
        """Delete those of a page that are old, and that no job which has not ended reads.

        The API server is asked only where the cache knows of no reader. A job that comes between
        its answer and the bucket's, for a file of a day, ends with `source_not_found`.
        """
        if not self._orphans(files, self._cache.inputs_in_use()):
            return
        keys = self._orphans(files, await self._threads.run(self._inputs_in_use))
        if keys:
            await self._threads.run(self._store.delete_all, keys)
            metrics.INPUTS_SWEPT.inc(len(keys))
            log.info("Deleted %d files from POST /uploads that no job uses", len(keys))

    def _orphans(self, files: Sequence[StoredInput], in_use: frozenset[str]) -> list[str]:
        return orphans(files, in_use, self._clock(), self._orphan_seconds)

    def _inputs_in_use(self) -> frozenset[str]:
        """Return what jobs that have not ended read, by the API server itself."""
        entries = map(CachedSplitJob.of, self._kubernetes.splitjobs())
        return frozenset(one.input for one in entries if one.input and not one.state.finished)

    def close(self) -> None:
        """Take up nothing more."""
        self._threads.close()
