"""Deletes files from POST /uploads that no job uses: those that were sent and never asked for."""

import asyncio
import logging
from collections.abc import Iterable

from splitjob_operator.core.inputs import StoredInput, orphans
from splitjob_operator.core.ports import BucketError, InputStorePort
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
        cache: says which of them jobs that have not ended read; complete before the first sweep.
        orphan_seconds: how old a file may become that none of them reads.
        clock: the time, in UTC.
    """

    def __init__(
        self,
        store: InputStorePort,
        cache: SplitJobCache,
        orphan_seconds: float,
        clock: Clock = utc_now,
    ) -> None:
        self._store = store
        self._cache = cache
        self._orphan_seconds = orphan_seconds
        self._clock = clock
        self._threads = ThreadPool(1, "inputs")
        self._after = ""

    async def run(self) -> None:
        """Sweep for ever."""
        while True:
            try:
                await self.sweep()
            except BucketError as error:
                log.warning("Files from POST /uploads could not be looked through: %s", error)
            await asyncio.sleep(SWEEP_SECONDS)

    async def sweep(self) -> None:
        """Look through them once, from where the sweep before had to stop.

        What cannot be deleted keeps nothing behind it from going.

        Raises:
            BucketError: the bucket refused, or could not be reached.
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

    async def _delete_orphans(self, files: Iterable[StoredInput]) -> None:
        in_use = self._cache.inputs_in_use()
        keys = orphans(files, in_use, self._clock(), self._orphan_seconds)
        if keys:
            await self._threads.run(self._store.delete_all, keys)
            log.info("Deleted %d files from POST /uploads that no job uses", len(keys))

    def close(self) -> None:
        """Take up nothing more."""
        self._threads.close()
