"""HTTP/1.1 to a server that keeps to it, to one that does not, and to one that is slow."""

import asyncio
import select
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httptools
import pytest
from tests.support.waiting import patience

from splitjob_kube import http_connection
from splitjob_kube.http_connection import Answer, ConnectionPool, HttpConnection, Server

REQUEST = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@dataclass
class RawServer:
    """Answers each request with the next of some pieces of bytes, one connection after the other.

    Attributes:
        answers: to come; each the pieces in which it is written. After the last one it closes.
        connections: how many were opened.
        left: set once a client has closed one.
        pool: of a client of it.
    """

    answers: list[Sequence[bytes]]
    connections: int = 0
    left: asyncio.Event = field(default_factory=asyncio.Event)
    pool: ConnectionPool = field(init=False)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while self.answers:
            try:
                await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                self.left.set()
                break
            for piece in self.answers.pop(0):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.01)
        writer.close()

    async def ask(self) -> Answer:
        return await self.pool.exchange(await self.pool.connection(), REQUEST)


@asynccontextmanager
async def answering(*answers: Sequence[bytes], seconds: float = 5) -> AsyncIterator[RawServer]:
    raw = RawServer(list(answers))
    server = await asyncio.start_server(raw.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    raw.pool = ConnectionPool(Server("127.0.0.1", port, None, None), seconds, seconds)
    async with server, asyncio.timeout(patience()):
        yield raw
        raw.pool.close()


@pytest.mark.parametrize(
    ("answer", "content"),
    [
        ([GOOD], b"{}"),
        ([GOOD[:10], GOOD[10:40], GOOD[40:]], b"{}"),
        (
            [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", b"0\r\n\r\n"],
            b"{}",
        ),
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], b""),
    ],
)
def test_an_answer_is_read_however_it_comes_and_the_connection_used_again(
    answer: Sequence[bytes], content: bytes
) -> None:
    async def run() -> None:
        async with answering(answer, [GOOD], [GOOD]) as server:
            assert (await server.ask()).content == content
            assert (await server.ask()).content == b"{}"
            assert server.connections == 1

    asyncio.run(run())


def test_what_a_refusal_says_is_handed_on() -> None:
    refusal = b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 3\r\nContent-Length: 0\r\n\r\n"

    async def run() -> None:
        async with answering([refusal]) as server:
            assert await server.ask() == Answer(429, "Too Many Requests", 3, b"")

    asyncio.run(run())


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        GOOD + GOOD,
        GOOD + b"x",
    ],
)
def test_a_connection_that_ends_or_holds_more_than_was_asked_for_is_not_used_again(
    answer: bytes,
) -> None:
    async def run() -> None:
        async with answering([answer], [GOOD]) as server:
            assert (await server.ask()).content == b"{}"
            assert (await server.ask()).content == b"{}"
            assert server.connections == 2

    asyncio.run(run())


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", ConnectionResetError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", ConnectionResetError),
        (b"HTTP/1.1 200 OK\r\n\r\n{}", ConnectionResetError),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n", ConnectionError),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2\r\n\r\n", ConnectionError),
        (b"HTTP/2 200\r\n\r\n", httptools.HttpParserError),
        (b"SSH-2.0-OpenSSH_9.2\r\n", httptools.HttpParserError),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
            httptools.HttpParserError,
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
            httptools.HttpParserError,
        ),
    ],
)
def test_what_is_no_whole_answer_is_none(answer: bytes, error: type[Exception]) -> None:
    async def run() -> None:
        async with answering([answer]) as server:
            with pytest.raises(error):
                await server.ask()

    asyncio.run(run())


def test_an_answer_that_goes_on_coming_has_the_time_it_takes() -> None:
    """The time is between two pieces, as an API server takes long over a long list."""
    pieces = [GOOD[at : at + 1] for at in range(len(GOOD))]

    async def run() -> None:
        async with answering(pieces, seconds=0.3) as server:
            assert (await server.ask()).content == b"{}"

    asyncio.run(run())


def test_a_connection_that_was_long_idle_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_connection, "IDLE_SECONDS", 0.05)

    async def run() -> None:
        async with answering([GOOD], [GOOD]) as server:
            await server.ask()
            await server.left.wait()

    asyncio.run(run())


def test_a_connection_that_the_server_has_closed_is_not_usable_before_the_loop_sees_it() -> None:
    async def run() -> None:
        ours, theirs = socket.socketpair()
        _, connection = await asyncio.get_running_loop().create_connection(
            HttpConnection, sock=ours
        )
        assert connection.is_usable()
        theirs.close()
        assert select.select([ours], [], [], patience())[0], "the end has come"
        assert not connection.is_usable()
        connection.close()

    asyncio.run(run())


def test_a_pool_that_is_closed_can_be_used_again() -> None:
    async def run() -> None:
        async with answering([GOOD], [GOOD]) as server:
            await server.ask()
            server.pool.close()
            assert (await server.ask()).content == b"{}"
            assert server.connections == 2

    asyncio.run(run())


@pytest.mark.parametrize(
    ("status", "retry_after", "seconds"),
    [(429, 1, 1), (503, 60, 2), (429, 0, 0), (404, 1, 0), (200, 1, 0)],
)
def test_a_server_that_is_busy_says_after_how_long_to_ask_again_within_reason(
    status: int, retry_after: int, seconds: float
) -> None:
    assert Answer(status, "", retry_after, b"").seconds_to_wait == seconds
