"""What only the leader does is begun and ended with its term, and nothing is kept from before."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from splitjob_operator.runtime.leader_work import LeaderWork
from splitjob_operator.runtime.metrics import LEADER_TRANSITIONS
from splitjob_operator.runtime.work_queue import WorkQueue


class Work:
    """A leader's work with one loop; what is done about it, in order."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.queue = WorkQueue()
        controller = SimpleNamespace(
            queue=self.queue, cache=(), stand_by=self.queue.close, take_over=self._take_over
        )
        resync = SimpleNamespace(begin_anew=lambda: self.done.append("all is listed anew"))
        self.work = LeaderWork(
            cast("Any", controller), cast("Any", resync), {"loop": self._loop}, lambda _: None
        )

    def _take_over(self) -> None:
        self.queue.open()
        self.done.append("all is queued anew")

    async def _loop(self) -> None:
        self.done.append("begins")
        try:
            await asyncio.Event().wait()
        finally:
            self.done.append("ends")


def after(*changes: bool) -> Work:
    """Return what has become of the work after some changes."""

    async def run() -> Work:
        found = Work()
        running = asyncio.create_task(found.work.run())
        for leads in changes:
            found.work.change(leads)
            for _ in range(10):
                await asyncio.sleep(0)
        found.queue.add("a")
        running.cancel()
        return found

    return asyncio.run(run())


def test_one_that_leads_from_its_start_goes_by_its_first_listing() -> None:
    found = after(True)
    assert found.done == ["begins", "ends"]  # the loop ends with the process
    assert len(found.queue) == 1


def test_one_that_stands_by_queues_nothing() -> None:
    found = after(False)
    assert found.done == []
    assert len(found.queue) == 0


def test_one_that_takes_over_begins_with_what_the_other_has_left() -> None:
    found = after(False, True)
    assert found.done[:3] == ["all is queued anew", "all is listed anew", "begins"]
    assert len(found.queue) == 1


def test_one_that_is_replaced_ends_all_that_it_did() -> None:
    found = after(True, False)
    assert found.done == ["begins", "ends"]
    assert len(found.queue) == 0


def test_each_change_is_counted() -> None:
    def count(to: str) -> float:
        found: float = LEADER_TRANSITIONS.labels(to)._value.get()
        return found

    before = count("leader"), count("standby")
    after(False, True, False)
    assert (count("leader"), count("standby")) == (before[0] + 1, before[1] + 2)
