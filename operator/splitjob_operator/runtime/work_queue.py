"""A queue of names: each is worked on by one worker at a time, and asked for twice is done once.

The same rules as client-go's workqueue: a name added while it is being worked on is worked on
again afterwards; failures come back later and later.
"""

import asyncio
import heapq
from collections import deque
from datetime import UTC, datetime

from splitjob_operator.runtime.clock import Clock, utc_now

__all__ = ["WorkQueue"]

FIRST_BACKOFF = 0.2
LAST_BACKOFF = 30.0


class WorkQueue:
    """Names to be worked on, now or later.

    Args:
        clock: the time, in UTC.

    Attributes:
        is_open: whether it takes names; an operator that stands by has nothing to work on.
    """

    def __init__(self, clock: Clock = utc_now) -> None:
        self._clock = clock
        self._ready: deque[str] = deque()
        self._queued: set[str] = set()
        self._working: set[str] = set()
        self._later: list[tuple[datetime, str]] = []
        self._due: dict[str, datetime] = {}
        self._failures: dict[str, int] = {}
        self._changed = asyncio.Event()
        self.is_open = True

    def open(self) -> None:
        """Take names from now on."""
        self.is_open = True

    def close(self) -> None:
        """Forget all names, and take none until it is opened again."""
        self.is_open = False
        self._ready.clear()
        self._queued.clear()
        self._later.clear()
        self._due.clear()
        self._failures.clear()

    def add(self, name: str) -> None:
        """Have a name worked on as soon as possible."""
        if name in self._queued or not self.is_open:
            return
        self._queued.add(name)
        if name not in self._working:
            self._ready.append(name)
            self._changed.set()

    def add_at(self, name: str, when: datetime) -> None:
        """Have a name worked on at a time, unless an earlier one is set already."""
        due = self._due.get(name)
        if (due is not None and due <= when) or not self.is_open:
            return
        self._due[name] = when
        heapq.heappush(self._later, (when, name))
        self._changed.set()

    def add_after_failure(self, name: str) -> float:
        """Have a name worked on again after a failure; return in how many seconds."""
        failures = self._failures[name] = self._failures.get(name, 0) + 1
        delay = min(FIRST_BACKOFF * 2.0 ** min(failures - 1, 10), LAST_BACKOFF)
        self.add_at(name, datetime.fromtimestamp(self._clock().timestamp() + delay, UTC))
        return delay

    def forget_failures(self, name: str) -> None:
        """Start over with short delays."""
        self._failures.pop(name, None)

    async def take(self) -> str:
        """Return the next name; `done` must follow.

        What it was to be worked on for later is done now, too: who works on it says again when.
        """
        while True:
            self._move_due()
            if self._ready:
                name = self._ready.popleft()
                self._queued.discard(name)
                self._due.pop(name, None)
                self._working.add(name)
                return name
            await self._wait()

    def done(self, name: str) -> None:
        """Say that the work on a name has ended."""
        self._working.discard(name)
        if name in self._queued:
            self._ready.append(name)
            self._changed.set()

    def __len__(self) -> int:
        """Return how many names wait to be worked on now."""
        return len(self._queued)

    def _move_due(self) -> None:
        now = self._clock()
        while self._later and self._later[0][0] <= now:
            when, name = heapq.heappop(self._later)
            if self._due.get(name) == when:
                del self._due[name]
                self.add(name)

    async def _wait(self) -> None:
        self._changed.clear()
        timeout = None
        if self._later:
            timeout = max(0.0, (self._later[0][0] - self._clock()).total_seconds())
        try:
            async with asyncio.timeout(timeout):
                await self._changed.wait()
        except TimeoutError:
            return
