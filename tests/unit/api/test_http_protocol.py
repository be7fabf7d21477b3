"""Connections on which a request never becomes complete: none may stay open."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
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
async def connection() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    config = uvicorn.Config(answer_at_once, log_config=None, lifespan="off")
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: TimedRequestProtocol(config, ServerState(), {}), "127.0.0.1", 0
    )
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    yield reader, writer
    writer.close()
    server.close()


async def closes_after(first: bytes, then: bytes) -> bool:
    """Whether the server ends a connection on which no more than this comes."""
    async with connection() as (reader, writer):
        writer.write(first)
        await reader.readuntil(b"ok")
        writer.write(then)
        async with asyncio.timeout(10 * SECONDS):
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
