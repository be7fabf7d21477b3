"""What is written of an answer in one turn of the event loop is sent as one piece."""

import asyncio
from collections.abc import Awaitable, Callable

from splitjob_api.gathering_transport import MOST_GATHERED_BYTES, GatheringTransport


class Behind(asyncio.Transport):
    """Notes what is done with it."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[bytes | str] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.done.append(bytes(data))

    def close(self) -> None:
        self.done.append("closed")

    def abort(self) -> None:
        self.done.append("aborted")

    def get_write_buffer_size(self) -> int:
        return 7


def with_transport(
    test: Callable[[GatheringTransport, Behind], Awaitable[None]],
) -> Callable[[], None]:
    """Run a test on an event loop, with a transport and what is behind it."""

    async def run() -> None:
        behind = Behind()
        await test(GatheringTransport(behind, asyncio.get_running_loop()), behind)

    def wrapped() -> None:
        asyncio.run(run())

    return wrapped


@with_transport
async def test_head_and_body_go_as_one(transport: GatheringTransport, behind: Behind) -> None:
    transport.write(b"head ")
    transport.write(b"body")
    transport.write(b"")
    assert (behind.done, transport.get_write_buffer_size()) == ([], 9 + 7)
    await asyncio.sleep(0)
    assert (behind.done, transport.get_write_buffer_size()) == ([b"head body"], 7)
    transport.write(b"next")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert behind.done == [b"head body", b"next"]


@with_transport
async def test_nothing_large_is_gathered(transport: GatheringTransport, behind: Behind) -> None:
    half = b"x" * (MOST_GATHERED_BYTES // 2)
    transport.write(half)
    transport.write(half)
    assert behind.done == [half + half]
    await asyncio.sleep(0)
    assert len(behind.done) == 1, "nothing is sent twice"


@with_transport
async def test_what_was_written_is_sent_before_it_is_closed(
    transport: GatheringTransport, behind: Behind
) -> None:
    transport.write(b"last words")
    transport.close()
    await asyncio.sleep(0)
    assert behind.done == [b"last words", "closed"]


@with_transport
async def test_nothing_is_sent_after_it_was_aborted(
    transport: GatheringTransport, behind: Behind
) -> None:
    transport.write(b"half an answer")
    transport.abort()
    await asyncio.sleep(0)
    assert behind.done == ["aborted"]
