"""How many may do at once what holds a thread, or a connection, while somebody else answers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from splitjob_api.problems import ApiError

__all__ = ["Places"]


class Places:
    """A number of places; of the event loop's thread alone.

    Args:
        count: how many there are.
        patience_seconds: how long one waits for a place.
        full: returns what is told where none became free in time.
    """

    def __init__(self, count: int, patience_seconds: float, full: Callable[[], ApiError]) -> None:
        self._free = asyncio.Semaphore(count)
        self._patience_seconds = patience_seconds
        self._full = full

    async def take(self) -> None:
        """Take a place, to be given back.

        Raises:
            ApiError: none became free in time.
        """
        if not self._free.locked():
            await self._free.acquire()
            return
        try:
            async with asyncio.timeout(self._patience_seconds):
                await self._free.acquire()
        except TimeoutError:
            raise self._full() from None

    def give_back(self) -> None:
        """Give a place back that was taken."""
        self._free.release()

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Hold a place.

        Raises:
            ApiError: none became free in time.
        """
        await self.take()
        try:
            yield
        finally:
            self.give_back()
