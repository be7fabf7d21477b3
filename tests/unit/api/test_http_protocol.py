"""Connections on which a request never becomes complete, or no answer is taken: none stays open."""

import asyncio
import json
import socket
from asyncio import selector_events
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from operator import attrgetter

import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from tests.support.waiting import patience
from uvicorn.server import ServerState

from splitjob_api import http_protocol
from splitjob_api.http_protocol import TimedRequestProtocol

SECONDS = 0.4
HEAD = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"


async def answer_at_once(_scope: Scope, _receive: Receive, send: Send) -> None:
    """Answer without a look at the body, as open paths do."""
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def serving(app: ASGIApp = answer_at_once) -> AsyncIterator[tuple[str, int]]:
    """A server; yields its address."""
    config = uvicorn.Config(app, log_config=None, lifespan="off", interface="asgi3")
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: TimedRequestProtocol(config, ServerState(), {}, slow_reader_seconds=SECONDS),
        "127.0.0.1",
        0,
    )
    host, port = server.sockets[0].getsockname()
    yield host, port
    server.close()


@asynccontextmanager
async def connection() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with serving() as address:
        reader, writer = await asyncio.open_connection(*address)
        yield reader, writer
        writer.close()


async def closes_after(first: bytes, then: bytes) -> bool:
    """Whether the server ends a connection on which no more than this comes."""
    async with connection() as (reader, writer):
        writer.write(first)
        await reader.readuntil(b"ok")
        writer.write(then)
        async with asyncio.timeout(patience(10 * SECONDS)):
            return await reader.read() == b""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", SECONDS)


def test_a_body_that_stops_after_the_answer() -> None:
    """Its first byte ends uvicorn's own timeout, which begins with the answer."""
    assert asyncio.run(closes_after(HEAD + b"Content-Length: 10\r\n\r\n", b"x"))


def test_a_further_head_that_stops() -> None:
    assert asyncio.run(closes_after(HEAD + b"\r\n", b"GET"))


def test_a_body_after_the_answer_leaves_the_connection_usable() -> None:
    async def two_requests() -> bytes:
        async with connection() as (reader, writer):
            writer.write(HEAD + b"Content-Length: 2\r\n\r\n")
            await reader.readuntil(b"ok")
            writer.write(b"{}" + HEAD + b"\r\n")
            await asyncio.sleep(2 * SECONDS)
            return await reader.readuntil(b"ok")

    assert asyncio.run(two_requests()).startswith(b"HTTP/1.1 200")


def test_a_head_that_stops_behind_a_request_that_is_answered_late() -> None:
    """Its bytes came while the answer was under way, and no more come after it."""

    async def answers_after_a_while(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(SECONDS / 4)
        await answer_at_once(scope, receive, send)

    async def closed() -> bool:
        async with serving(answers_after_a_while) as address:
            reader, writer = await asyncio.open_connection(*address)
            writer.write(HEAD + b"\r\nGET /heal")
            await reader.readuntil(b"ok")
            async with asyncio.timeout(patience(10 * SECONDS)):
                return await reader.read() == b""

    assert asyncio.run(closed())


def test_head_and_body_of_an_answer_are_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[bytes] = []
    transport = attrgetter("_SelectorSocketTransport")(selector_events)
    write = transport.write

    def noted(self: asyncio.Transport, data: bytes) -> None:
        sent.append(bytes(data))
        write(self, data)

    monkeypatch.setattr(transport, "write", noted)

    async def ask() -> None:
        async with connection() as (reader, writer):
            writer.write(HEAD + b"\r\n")
            await reader.readuntil(b"ok")

    asyncio.run(ask())
    asked, *answers = sent
    assert asked.startswith(b"GET")
    assert [one[:8] + one[-6:] for one in answers] == [b"HTTP/1.1\r\n\r\nok"]


def test_an_upgrade_is_passed_over_without_advice_to_install_something(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def asked() -> bytes:
        async with connection() as (reader, writer):
            writer.write(HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            return await reader.readuntil(b"ok")

    assert asyncio.run(asked()).startswith(b"HTTP/1.1 200")
    assert caplog.messages == []


def test_what_is_no_http_gets_an_id_like_every_other_answer() -> None:
    async def answered() -> bytes:
        async with connection() as (reader, writer):
            writer.write(b"nonsense\r\n\r\n")
            return await reader.read()

    head, _, body = asyncio.run(answered()).partition(b"\r\n\r\n")
    assert b"x-request-id: " in head.lower()
    assert json.loads(body)["code"] == "http_invalid"


class Flood:
    """An app with long answers, and a client that asks for them and does as a test says."""

    def __init__(self, answer_bytes: int) -> None:
        self._content = b"x" * answer_bytes
        self.begun = 0
        self.done = 0

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.begun += 1
        headers = [(b"content-length", str(len(self._content)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": self._content})
        self.done += 1

    async def client(self, address: tuple[str, int]) -> socket.socket:
        """A connection with many requests on it, of whose answers nothing is read."""
        loop = asyncio.get_running_loop()
        connected = socket.socket()
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connected.setblocking(False)
        await loop.sock_connect(connected, address)
        with suppress(TimeoutError):
            async with asyncio.timeout(SECONDS / 2):
                await loop.sock_sendall(connected, (HEAD + b"\r\n") * 100_000)
        return connected


async def is_dropped(connected: socket.socket) -> bool:
    """Whether the server ends a connection; what it had sent before is read only then."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(patience(20 * SECONDS)):
        while True:
            try:
                await loop.sock_sendall(connected, b"x" * 65536)
            except OSError:
                return True


def test_who_pipelines_and_never_reads_holds_one_answer_and_is_dropped() -> None:
    """Acceptance 11a."""

    async def run() -> Flood:
        flood = Flood(200_000)
        async with serving(flood.app) as address:
            connected = await flood.client(address)
            assert await is_dropped(connected)
            connected.close()
        return flood

    flood = asyncio.run(run())
    kernel = 4 * http_protocol.KERNEL_BUFFER_BYTES
    assert 1 <= flood.begun <= 2 + kernel // 200_000
    assert flood.begun - flood.done <= 1


def test_who_reads_slowly_but_reads_gets_the_whole_answer() -> None:
    """Acceptance 11a."""
    size = 3_000_000

    async def run() -> int:
        async with serving(Flood(size).app) as address:
            reader, writer = await asyncio.open_connection(*address, limit=2**16)
            writer.write(HEAD + b"Connection: close\r\n\r\n")
            taken = 0
            while block := await reader.read(2**17):
                taken += len(block)
                await asyncio.sleep(SECONDS / 4)
            writer.close()
            return taken

    assert asyncio.run(run()) > size
