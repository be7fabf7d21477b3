"""Keeps the first positions of the queue true between two resyncs."""

import asyncio

from splitjob.status import Queue
from splitjob_operator.core.cached_splitjob import CachedSplitJob
from splitjob_operator.core.observed import QueueDecision
from splitjob_operator.core.queue import EXACT_UP_TO, QueuePlace, queue_status
from splitjob_operator.runtime.cache import SplitJobCache
from splitjob_operator.runtime.work_queue import WorkQueue

__all__ = ["PositionRefresher", "moved"]

REFRESH_SECONDS = 2.0  # each start moves everybody: that much is written at once


class PositionRefresher:
    """Has those at the head of the queue looked at whose position their status does not say.

    Args:
        cache: says who is where.
        queue: takes the names of those to look at.
    """

    def __init__(self, cache: SplitJobCache, queue: WorkQueue) -> None:
        self._cache = cache
        self._queue = queue
        self._seen = 0

    async def run(self) -> None:
        """Look for ever, every other second."""
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            self.look()

    def look(self) -> None:
        """Look once; nothing is done where nobody has moved since."""
        if self._cache.moves == self._seen:
            return
        places = self._cache.places()
        self._seen = self._cache.placed_at  # they may be from before the last move
        for entry in self._cache:
            place = places.get(entry.name)
            if place and (place.position or 0) <= EXACT_UP_TO and moved(entry, place):
                self._queue.add(entry.name)


def moved(entry: CachedSplitJob, place: QueuePlace | None) -> bool:
    """Return whether a place in the queue is noticeably another than the status of its owner says.

    Args:
        entry: whose place it is.
        place: where it stands; None: it has no place.
    """
    if not entry.has_place or entry.blocked or place is None:
        return False
    before = entry.queue or Queue()
    if (before.position, before.eta_seconds) == (place.position, place.eta_seconds):
        return False
    decision = QueueDecision(position=place.position, eta_seconds=place.eta_seconds)
    after = queue_status(before, decision, before.reason, before.message, before.retry_at)
    return after is not before
