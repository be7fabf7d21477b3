"""How many requests may wait for the cluster at once.

Each holds a thread while the API server answers. Without a limit below that of the threads, an API
server that hangs would take them all, and with them what needs no cluster.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from splitjob_api.problems import retry_later

__all__ = ["ClusterPlaces"]

PLACES = 32  # the framework has 40 threads
PATIENCE_SECONDS = 5.0


class ClusterPlaces:
    """The places of requests that ask the cluster; of the event loop's thread alone.

    Args:
        count: how many there are.
        patience_seconds: how long one waits for a place.
        waiting: what waits, for the refusal.
    """

    def __init__(
        self,
        count: int = PLACES,
        patience_seconds: float = PATIENCE_SECONDS,
        waiting: str = "requests",
    ) -> None:
        self._free = asyncio.Semaphore(count)
        self._patience_seconds = patience_seconds
        self._waiting = waiting

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Hold a place.

        Raises:
            ApiError: 503; none became free in time.
        """
        try:
            async with asyncio.timeout(self._patience_seconds):
                await self._free.acquire()
        except TimeoutError:
            raise retry_later(
                503,
                "cluster_unavailable",
                f"too many {self._waiting} wait for the Kubernetes API's answer",
            ) from None
        try:
            yield
        finally:
            self._free.release()
