"""The work queue: each SplitJob is in one pair of hands at a time."""

import asyncio
from datetime import UTC, datetime, timedelta

from tests.support.operator_samples import NOW

from splitjob_operator.runtime.work_queue import WorkQueue


class TestWorkQueue:
    def test_asked_twice_is_done_once(self) -> None:
        async def run() -> list[str]:
            queue = WorkQueue()
            for name in ("a", "b", "a"):
                queue.add(name)
            return [await queue.take(), await queue.take(), str(len(queue))]

        assert asyncio.run(run()) == ["a", "b", "0"]

    def test_added_while_worked_on_comes_again_afterwards(self) -> None:
        async def run() -> str:
            queue = WorkQueue()
            queue.add("a")
            name = await queue.take()
            queue.add("a")
            waiting = asyncio.create_task(queue.take())
            await asyncio.sleep(0.01)
            assert not waiting.done()
            queue.done(name)
            return await waiting

        assert asyncio.run(run()) == "a"

    def test_closed_it_forgets_all_and_takes_nothing_until_it_is_opened(self) -> None:
        """An operator that stands by for weeks keeps no names, and has none to look at."""

        async def run() -> str:
            queue = WorkQueue(lambda: NOW)
            queue.add("before")
            queue.add_at("later", NOW - timedelta(hours=1))
            queue.close()
            queue.add("meanwhile")
            queue.add_at("meanwhile later", NOW - timedelta(hours=1))
            queue.open()
            queue.add("after")
            return await queue.take() + str(len(queue))

        assert asyncio.run(run()) == "after0"

    def test_later_comes_later_and_the_earlier_time_wins(self) -> None:
        now = [datetime(2026, 1, 1, tzinfo=UTC)]

        async def run() -> None:
            queue = WorkQueue(lambda: now[0])
            queue.add_at("a", now[0] + timedelta(hours=2))
            queue.add_at("a", now[0] + timedelta(hours=1))
            queue.add_at("a", now[0] + timedelta(hours=3))
            now[0] += timedelta(hours=1)
            assert await queue.take() == "a"
            queue.done("a")
            now[0] += timedelta(hours=9)
            queue.add("b")
            assert await queue.take() == "b"
            assert len(queue) == 0

        asyncio.run(run())

    def test_failures_come_back_later_and_later(self) -> None:
        async def run() -> list[float]:
            queue = WorkQueue(lambda: NOW)
            delays = [queue.add_after_failure("a") for _ in range(20)]
            queue.forget_failures("a")
            return [*delays[:3], delays[-1], queue.add_after_failure("a")]

        assert asyncio.run(run()) == [0.2, 0.4, 0.8, 30.0, 0.2]
