"""How many may do at once what holds a thread, or a connection, while somebody else answers."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from splitjob_api.caller import Caller
from splitjob_api.problems import ApiError

__all__ = ["Places", "SharedPlaces"]


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


class SharedPlaces:
    """Places of which one caller may hold only some: there is one left for another.

    Who may hold no more waits for one of the caller's own places, and stands in nobody's way. For
    use on the event loop's thread alone.

    Args:
        places: all of them.
        new_share: returns the places that one caller may hold.
    """

    def __init__(self, places: Places, new_share: Callable[[], Places]) -> None:
        self._places = places
        self._new_share = new_share
        self._shares: dict[Caller | None, Places] = {}
        self._users: Counter[Caller | None] = Counter()  # of a share: they hold a place, or wait

    async def take(self, caller: Caller | None) -> None:
        """Take a place, to be given back.

        Raises:
            ApiError: none became free in time, of all or of the caller's.
        """
        share = self._shares.setdefault(caller, self._new_share())
        self._users[caller] += 1
        try:
            await share.take()
            try:
                await self._places.take()
            except BaseException:
                share.give_back()
                raise
        except BaseException:
            self._forget(caller)
            raise

    def give_back(self, caller: Caller | None) -> None:
        """Give a place back that a caller has taken."""
        self._places.give_back()
        self._shares[caller].give_back()
        self._forget(caller)

    def _forget(self, caller: Caller | None) -> None:
        """Keep nothing of a caller who holds no place and waits for none."""
        self._users[caller] -= 1
        if not self._users[caller]:
            del self._users[caller], self._shares[caller]
