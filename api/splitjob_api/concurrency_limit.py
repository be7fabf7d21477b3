"""Limits on how many requests do at once what holds a thread, or a connection, for long."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from splitjob_api.caller import Caller
from splitjob_api.problems import ApiError

__all__ = ["ConcurrencyLimit", "FairConcurrencyLimit"]


class ConcurrencyLimit:
    """A semaphore that is waited for only so long; of the event loop's thread alone.

    Args:
        count: how many requests may hold it at once.
        patience_seconds: how long a further one waits.
        full: returns the error for a request that has waited for so long.
    """

    def __init__(self, count: int, patience_seconds: float, full: Callable[[], ApiError]) -> None:
        self._free = asyncio.Semaphore(count)
        self._patience_seconds = patience_seconds
        self._full = full

    async def acquire(self) -> None:
        """Wait until fewer than `count` requests hold the limit, and hold it until `release`.

        Raises:
            ApiError: none was released in time.
        """
        if not self._free.locked():
            await self._free.acquire()
            return
        try:
            async with asyncio.timeout(self._patience_seconds):
                await self._free.acquire()
        except TimeoutError:
            raise self._full() from None

    def release(self) -> None:
        """Let another request hold it."""
        self._free.release()

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Hold the limit within a `with`.

        Raises:
            ApiError: none was released in time.
        """
        await self.acquire()
        try:
            yield
        finally:
            self.release()


class FairConcurrencyLimit:
    """A limit of which one caller may use only a share: there is room left for another.

    Who has used up the share waits for the caller's own requests to end, and stands in nobody's
    way. For use on the event loop's thread alone.

    Args:
        limit: of all callers together.
        new_share: returns the limit of one caller.
    """

    def __init__(self, limit: ConcurrencyLimit, new_share: Callable[[], ConcurrencyLimit]) -> None:
        self._limit = limit
        self._new_share = new_share
        self._shares: dict[Caller | None, ConcurrencyLimit] = {}
        self._users: Counter[Caller | None] = Counter()  # of a share, those that wait included

    async def acquire(self, caller: Caller | None) -> None:
        """Hold the limit for a request of a caller, until `release`.

        Raises:
            ApiError: none was released in time, of all or of the caller's.
        """
        share = self._shares.setdefault(caller, self._new_share())
        self._users[caller] += 1
        try:
            await share.acquire()
            try:
                await self._limit.acquire()
            except BaseException:
                share.release()
                raise
        except BaseException:
            self._forget(caller)
            raise

    def release(self, caller: Caller | None) -> None:
        """Let another request hold it in the place of a caller's."""
        self._limit.release()
        self._shares[caller].release()
        self._forget(caller)

    def _forget(self, caller: Caller | None) -> None:
        """Keep nothing of a caller without a request."""
        self._users[caller] -= 1
        if not self._users[caller]:
            del self._users[caller], self._shares[caller]
