"""What only the leader does: begun when this process takes over, ended when another one has."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from splitjob_operator.runtime.controller import Controller
from splitjob_operator.runtime.metrics import LEADER_TRANSITIONS
from splitjob_operator.runtime.resync import Resync

__all__ = ["LeaderWork"]

log = logging.getLogger(__name__)

Loop = Callable[[], Coroutine[Any, Any, None]]


class LeaderWork:
    """The loops that look at SplitJobs, and all that they know by having led.

    Args:
        controller: its queue takes no names while this process stands by.
        resync: lists everything anew where another operator has led before.
        loops: what runs while this process leads, by name; each for ever.
        ended: called with each of their tasks that has ended.
    """

    def __init__(
        self,
        controller: Controller,
        resync: Resync,
        loops: Mapping[str, Loop],
        ended: Callable[[asyncio.Task[None]], None],
    ) -> None:
        self._controller = controller
        self._resync = resync
        self._loops = loops
        self._ended = ended
        self._changes: asyncio.Queue[bool] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._tasks: list[asyncio.Task[None]] = []

    def change(self, leads: bool) -> None:
        """Begin or end the work, one after the other; may be called from any thread."""
        self._loop.call_soon_threadsafe(self._changes.put_nowait, leads)

    async def run(self) -> None:
        """Do for ever what `change` has said last."""
        while True:
            leads = await self._changes.get()
            LEADER_TRANSITIONS.labels("leader" if leads else "standby").inc()
            if leads:
                self._begin()
            else:
                await self.end()

    async def end(self) -> None:
        """End the work; what of it is in a thread finds the fence closed at its next write."""
        self._controller.stand_by()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    def _begin(self) -> None:
        if not self._controller.queue.is_open:
            self._controller.take_over()
            self._resync.begin_anew()
        for name, loop in self._loops.items():
            task = asyncio.create_task(loop(), name=name)
            task.add_done_callback(self._ended)
            self._tasks.append(task)
