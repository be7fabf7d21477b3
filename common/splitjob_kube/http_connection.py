"""HTTP/1.1 to one server from an event loop: connections that are used again, and no more.

A general library takes two to three times the processor time for a call, and several megabytes
which a program at rest has no use for. The parser is llhttp, Node's, in its strict mode; redirects,
cookies, compression and proxies are not for an API server.
"""

import asyncio
import select
import ssl
from collections import deque
from dataclasses import dataclass
from http import HTTPStatus
from typing import NamedTuple, cast

import httptools

from splitjob.egress import Proxy

__all__ = ["BROKEN", "Answer", "AnswerParts", "ConnectionPool", "HttpConnection", "Server"]

# After which a connection is closed: servers do that later, and each holds a quarter of a megabyte.
IDLE_SECONDS = 30.0
LONGEST_RETRY_AFTER_SECONDS = 2.0  # that a read waits for
_BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
# What a call ends with that nobody has answered.
BROKEN = (OSError, TimeoutError, httptools.HttpParserError)


@dataclass(frozen=True)
class Server:
    """Who is called.

    Attributes:
        host, port: where.
        tls: with which its connections are made; None: in the clear.
        name: whom its certificate must name.
        proxy: the one on the way, which threads alone can take.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None
    name: str | None
    proxy: Proxy | None = None


class Answer(NamedTuple):
    """What a server has answered.

    Attributes:
        status: the HTTP status.
        phrase: the same in words.
        retry_after: of that header, in seconds; 0: there is none.
        content: the body.
    """

    status: int
    phrase: str
    retry_after: int
    content: bytes

    @property
    def seconds_to_wait(self) -> float:
        """After how long to ask again, where the server is busy and says when; 0: it stands."""
        if self.status in _BUSY:
            return min(self.retry_after, LONGEST_RETRY_AFTER_SECONDS)
        return 0


class AnswerParts:
    """What has come of an answer; httptools calls the `on_` methods."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._forget()

    def _forget(self) -> None:
        """Begin another answer."""
        self._phrase, self._retry_after, self._body = b"", b"", list[bytes]()

    def on_status(self, phrase: bytes) -> None:
        """Take in the status in words."""
        self._phrase += phrase

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take in a header."""
        if name.lower() == b"retry-after":
            self._retry_after = value

    def on_body(self, body: bytes) -> None:
        """Take in a piece of the body."""
        self._body.append(body)

    def _head(self) -> Answer:
        """Return what has come without the body."""
        status, phrase = self._parser.get_status_code(), self._phrase.decode("latin-1")
        seconds = int(self._retry_after) if self._retry_after.isdigit() else 0
        return Answer(status, phrase, seconds, b"")


class HttpConnection(AnswerParts, asyncio.Protocol):
    """One connection, for one request after the other."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._readable = select.poll()
        self._awaited: asyncio.Future[Answer] | None = None
        self._keeps_alive = True
        self._heard_at = self._loop.time()

    @property
    def idle_since(self) -> float:
        """When something was heard of the server last, by the loop's clock."""
        return self._heard_at

    def is_usable(self) -> bool:
        """Return whether a request can be sent: nothing has come that was not asked for.

        That the server has closed its side shows at the socket before the loop has got to it.
        """
        if self._transport is None or self._transport.is_closing():
            return False
        return not self._readable.poll(0)

    async def exchange(self, request: bytes, read_seconds: float) -> Answer:
        """Send a request; return its answer. Whatever else comes of it, the connection is closed.

        Args:
            request: head and body.
            read_seconds: between two pieces of the answer.

        Raises:
            OSError, TimeoutError, httptools.HttpParserError: there is none (`BROKEN`).
        """
        if self._transport is None:
            raise ConnectionResetError("the connection is closed")
        awaited: asyncio.Future[Answer] = self._loop.create_future()
        self._awaited = awaited
        self._heard_at = self._loop.time()
        self._timer = self._loop.call_later(read_seconds, self._give_up, read_seconds)
        self._transport.write(request)
        answered = False
        try:
            answer = await awaited
            answered = True
            return answer
        finally:
            self._awaited = None
            self._timer.cancel()
            if not answered or not self._keeps_alive:
                self.close()

    def close(self) -> None:
        """End the connection, without a farewell that the server might keep waiting for."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._readable.register(transport.get_extra_info("socket"), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        """Take in a piece of an answer; what nobody has asked for ends the connection."""
        self._heard_at = self._loop.time()
        if self._awaited is None or self._awaited.done():
            self.close()
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._keeps_alive = False
            self._fail(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """End, and with it the request that waits."""
        self._transport = None
        self._fail(exc or ConnectionResetError("the server has closed the connection"))

    def on_message_begin(self) -> None:
        """Begin an answer; a second one to the same request was not asked for."""
        if self._awaited is None or self._awaited.done():
            self._keeps_alive = False
        self._forget()

    def on_message_complete(self) -> None:
        """Hand the answer over."""
        status = self._parser.get_status_code()
        if status < HTTPStatus.OK:
            self._fail(ConnectionError(f"an answer {status} that nobody has asked for"))
        elif self._awaited is not None and not self._awaited.done():
            self._keeps_alive = self._parser.should_keep_alive()
            content = b"".join(self._body)
            self._awaited.set_result(self._head()._replace(content=content))

    def _fail(self, error: Exception) -> None:
        if self._awaited is not None and not self._awaited.done():
            self._awaited.set_exception(error)

    def _give_up(self, read_seconds: float) -> None:
        """Give up where nothing has been heard for so long; else look again."""
        left = self._heard_at + read_seconds - self._loop.time()
        if left <= 0:
            self._fail(TimeoutError(f"nothing was heard for {read_seconds:g} seconds"))
        else:
            self._timer = self._loop.call_later(left, self._give_up, read_seconds)


class ConnectionPool:
    """The connections to one server; it sets no limit on their number, its user does.

    Args:
        server: who is called.
        connect_seconds: time for a new connection, TLS included.
        read_seconds: between two pieces of an answer.
    """

    def __init__(self, server: Server, connect_seconds: float, read_seconds: float) -> None:
        self.server = server
        self._connect_seconds = connect_seconds
        self._read_seconds = read_seconds
        self._idle: deque[HttpConnection] = deque()  # the one used last at the end
        self._sweep: asyncio.TimerHandle | None = None

    async def connection(self) -> HttpConnection:
        """Return a connection that can be used, a new one where none is left.

        Raises:
            OSError, TimeoutError: there is no way to the server.
        """
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable():
                return connection
            connection.close()
        return await self._connect()

    async def exchange(self, connection: HttpConnection, request: bytes) -> Answer:
        """Return the answer to a request, sent over one of the connections.

        Raises:
            OSError, TimeoutError, httptools.HttpParserError: there is none (`BROKEN`).
        """
        answer = await connection.exchange(request, self._read_seconds)
        self._idle.append(connection)
        self._sweep_later()
        return answer

    def close(self) -> None:
        """Close the connections that nobody uses."""
        while self._idle:
            self._idle.pop().close()
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None

    async def _connect(self) -> HttpConnection:
        server = self.server
        async with asyncio.timeout(self._connect_seconds):
            _, connection = await asyncio.get_running_loop().create_connection(
                HttpConnection,
                server.host,
                server.port,
                ssl=server.tls,
                server_hostname=(server.name or server.host) if server.tls else None,
            )
        return connection

    def _sweep_later(self) -> None:
        """Have idle connections closed once they are due, the one used longest ago first."""
        if self._sweep is None:
            loop = asyncio.get_running_loop()
            due = self._idle[0].idle_since + IDLE_SECONDS
            self._sweep = loop.call_at(due, self._close_idle)

    def _close_idle(self) -> None:
        self._sweep = None
        oldest = asyncio.get_running_loop().time() - IDLE_SECONDS
        while self._idle and self._idle[0].idle_since <= oldest:
            self._idle.popleft().close()
        if self._idle:
            self._sweep_later()
