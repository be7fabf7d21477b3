"""Whether an event loop is at work, as another thread sees it."""

import asyncio
import threading

from splitjob_operator.runtime.heartbeat import Heartbeat


def test_a_loop_at_work_answers() -> None:
    async def asked() -> bool:
        return await asyncio.to_thread(Heartbeat(asyncio.get_running_loop(), 60).answered)

    assert asyncio.run(asked())


def test_a_loop_that_is_blocked_does_not_answer() -> None:
    said: list[bool] = []

    async def blocked() -> None:
        heartbeat = Heartbeat(asyncio.get_running_loop(), 0.05)
        thread = threading.Thread(target=lambda: said.append(heartbeat.answered()))
        thread.start()
        thread.join()

    asyncio.run(blocked())
    assert said == [False]


def test_a_loop_that_is_closed_does_not_answer() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    assert not Heartbeat(loop, 60).answered()
