"""Streams as they are served: over sockets, to readers who read, who do not, and who go away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from tests.support.api_samples import World, splitjob
from tests.support.waiting import eventually, patience
from uvicorn.server import ServerState

from splitjob_api import deps
from splitjob_api.cached_job import JobFilter
from splitjob_api.caller import Caller
from splitjob_api.cluster_limit import ClusterLimit
from splitjob_api.http_protocol import TimedRequestProtocol
from splitjob_api.middleware.head import HeadMiddleware
from splitjob_api.problems import install_handlers
from splitjob_api.routes import events
from splitjob_api.streams import Streams, Subscription

SLOW_READER_SECONDS = 0.3


class Served:
    """The streams of a cache, on a port of this machine.

    Attributes:
        world: the cache.
        streams: two may be open.
        port: where they are served.
    """

    def __init__(self, port: int, world: World, streams: Streams) -> None:
        self.port = port
        self.world = world
        self.streams = streams

    async def open(
        self, path: str, *headers: str, method: str = "GET"
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, bytes]:
        """Send a request; return the connection, and the status line of the answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1024)
        lines = "".join(f"{line}\r\n" for line in ("Host: x", *headers))
        writer.write(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode())
        return reader, writer, await reader.readline()

    async def change(self, version: int, **given: Any) -> None:
        changed = splitjob(f"job-{version}", version, **given)
        await asyncio.to_thread(self.world.jobs.apply, "ADDED", changed)


@asynccontextmanager
async def served() -> AsyncIterator[Served]:
    world = World()
    world.list(5, splitjob("a", 3), splitjob("b", 4, state="completed"))
    streams = Streams(world.jobs, 2)
    streams.start()
    app = FastAPI()
    app.state.services = SimpleNamespace(
        jobs=world.jobs, streams=streams, cluster_limit=ClusterLimit()
    )
    app.include_router(events.router)
    app.add_middleware(HeadMiddleware)
    install_handlers(app)
    config = uvicorn.Config(app, log_config=None, lifespan="off")
    server = await asyncio.get_running_loop().create_server(
        lambda: TimedRequestProtocol(
            config, ServerState(), {}, slow_reader_seconds=SLOW_READER_SECONDS
        ),
        "127.0.0.1",
        0,
    )
    async with asyncio.timeout(patience()):
        yield Served(server.sockets[0].getsockname()[1], world, streams)
    streams.close()
    server.close()


async def none_is_open(streams: Streams) -> None:
    await asyncio.to_thread(eventually, lambda: streams.count == 0, pause=0.01)


def test_a_stream_is_sent_as_it_comes_and_given_back_once_its_reader_leaves() -> None:
    async def run() -> None:
        async with served() as here:
            reader, writer, status = await here.open("/events")
            assert status == b"HTTP/1.1 200 OK\r\n"
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"content-type: text/event-stream" in head
            await reader.readuntil(b"id: 5\n")
            await here.change(6)
            await reader.readuntil(b'"jobId":"job-6"')
            writer.close()
            await none_is_open(here.streams)

    asyncio.run(run())


def test_one_that_is_opened_and_never_read_is_ended_and_holds_nothing() -> None:
    async def run() -> None:
        async with served() as here:
            _, writer, _ = await here.open("/events")
            version = 6
            while here.streams.count:
                for _ in range(50):
                    await here.change(version, correlationId="x" * 4000)
                    version += 1
            writer.close()

    asyncio.run(run())


def test_one_too_many_is_told_when_to_come_back() -> None:
    async def run() -> None:
        async with served() as here:
            opened = [await here.open("/events") for _ in range(2)]
            reader, _, status = await here.open("/jobs/a/events")
            assert status.startswith(b"HTTP/1.1 503")
            assert b"retry-after: " in await reader.readuntil(b"\r\n\r\n")
            for _, writer, _ in opened:
                writer.close()
            await none_is_open(here.streams)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("path", "header", "status"),
    [
        ("/jobs/b/events", "Last-Event-ID: 4", b"204"),
        ("/jobs/b/events", "Last-Event-ID: 3", b"200"),
        ("/jobs/none/events", "X: y", b"404"),
        ("/events", "Last-Event-ID: x", b"422"),
        ("/events?status=done", "X: y", b"422"),
        ("/events?cursor=a", "X: y", b"422"),
    ],
)
def test_what_is_asked_for_is_looked_at_before_a_stream_begins(
    path: str, header: str, status: bytes
) -> None:
    async def run() -> None:
        async with served() as here:
            _, writer, line = await here.open(path, header)
            assert line.split(b" ")[1] == status
            writer.close()
            await none_is_open(here.streams)

    asyncio.run(run())


def test_a_job_that_is_deleted_as_its_stream_begins_is_not_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between the look and the subscription nobody is told of it."""

    async def run() -> None:
        async with served() as here:
            subscribe = here.streams.subscribe

            def late(wanted: JobFilter, name: str | None, caller: Caller | None) -> Subscription:
                here.world.jobs.apply("DELETED", splitjob("a", 6))
                return subscribe(wanted, name, caller)

            monkeypatch.setattr(here.streams, "subscribe", late)
            _, writer, line = await here.open("/jobs/a/events")
            assert line.startswith(b"HTTP/1.1 404")
            assert here.world.asked == ["a"]
            await none_is_open(here.streams)
            writer.close()

    asyncio.run(run())


@pytest.mark.parametrize("path", ["/events", "/jobs/a/events"])
def test_a_head_opens_no_stream(path: str) -> None:
    async def run() -> None:
        async with served() as here:
            reader, writer, line = await here.open(path, "Connection: close", method="HEAD")
            assert line == b"HTTP/1.1 200 OK\r\n"
            assert (await reader.read()).endswith(b"\r\n\r\n")
            assert here.streams.count == 0
            writer.close()

    asyncio.run(run())


def test_without_a_current_cache_no_stream_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deps, "CURRENT_TRIES", 1)

    async def run() -> None:
        async with served() as here:
            here.world.jobs.mark_stale()
            _, writer, line = await here.open("/events")
            assert line.startswith(b"HTTP/1.1 503")
            writer.close()

    asyncio.run(run())
