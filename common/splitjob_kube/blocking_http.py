"""HTTP/1.1 to the API server from threads: whole requests and answers over connections kept open.

urllib3 and http.client take four times the processor time for a call, for which an operator has two
dozen in the life of a job. The parser is llhttp, Node's; redirects and compression are not for an
API server.
"""

import socket
import ssl
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import cast

import httptools
from urllib3.util.ssltransport import SSLTransport
from urllib3.util.wait import wait_for_read

from splitjob_kube.http_connection import Answer, AnswerParts, Server
from splitjob_kube.proxies import open_tunnel

__all__ = ["BlockingConnection", "BlockingPool", "Streamed"]

IDLE_SECONDS = 60.0  # after which a connection is not used again: who is on the way may drop it
CHUNK_BYTES = 65536
Socket = socket.socket | SSLTransport


class BlockingPool:
    """The connections to one server; may be used from any thread, and sets no limit on them.

    Args:
        server: who is called.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self._idle: deque[BlockingConnection] = deque()  # the one used last at the end

    def connection(self, connect_seconds: float) -> "BlockingConnection":
        """Return a connection that can be used, a new one where none is left.

        Args:
            connect_seconds: time for a new connection, and the same for TLS on it.

        Raises:
            OSError: there is no way to the server.
        """
        return self._used_before() or BlockingConnection(self._connect(connect_seconds))

    def exchange(
        self, connection: "BlockingConnection", request: bytes, read_seconds: float
    ) -> Answer:
        """Send a request once, over one of the connections; return its answer.

        Args:
            connection: over which.
            request: head and body.
            read_seconds: between two pieces of the answer.

        Raises:
            OSError: there is no answer.
        """
        with self.streaming(connection, request, read_seconds) as answer:
            return answer.whole()

    @contextmanager
    def streaming(
        self, connection: "BlockingConnection", request: bytes, read_seconds: float
    ) -> Iterator["Streamed"]:
        """Send a request; yield its answer, whose body is yet to come. See `exchange`."""
        try:
            connection.send(request, read_seconds)
            yield Streamed(connection)
        finally:
            if connection.keeps_alive:
                self._idle.append(connection)
            else:
                connection.close()

    def _connect(self, seconds: float) -> Socket:
        server = self.server
        to = server.proxy or server
        plain = socket.create_connection((to.host, to.port), seconds)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if server.proxy:
                plain = open_tunnel(plain, server.proxy, server.host, server.port)
            return plain if server.tls is None else _encrypted(plain, server, server.tls)
        except BaseException:
            plain.close()
            raise

    def _used_before(self) -> "BlockingConnection | None":
        """Return a connection that can be used; None where there is none left."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if connection.is_usable():
                return connection
            connection.close()


class BlockingConnection(AnswerParts):
    """One connection, for one request after the other.

    Attributes:
        keeps_alive: whether the last answer has come whole, and the server takes another request.
    """

    def __init__(self, to: Socket) -> None:
        self._socket = to
        super().__init__()
        self._used_at = time.monotonic()
        self._begin()

    def _begin(self) -> None:
        self._forget()
        self._has_head = self._complete = False
        self.keeps_alive = False

    def is_usable(self) -> bool:
        """Return whether a request can be sent: nothing came that was not asked for, no end."""
        fresh = time.monotonic() - self._used_at < IDLE_SECONDS
        return fresh and not wait_for_read(self._socket, timeout=0)  # type: ignore[arg-type]

    def send(self, request: bytes, read_seconds: float) -> None:
        """Send a request, and take in its answer's head.

        Raises:
            OSError: there is none.
        """
        self._begin()
        self._socket.settimeout(read_seconds)
        self._socket.sendall(request)
        while not self._has_head:
            self._take_in()

    def head(self) -> Answer:
        """Return the answer without its body."""
        return self._head()

    def pieces(self) -> Iterator[bytes]:
        """Yield the body as it comes.

        Raises:
            OSError: it does not come whole.
        """
        while True:
            come, self._body = self._body, []
            yield from come
            if self._complete:
                return
            if not self._body:
                self._take_in()

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def _take_in(self) -> None:
        data = cast("bytes", self._socket.recv(CHUNK_BYTES))  # no buffer is given, so no number
        if not data:
            raise ConnectionResetError("the server has closed the connection")
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.keeps_alive = False
            raise ConnectionError(f"no answer in HTTP: {error}") from None
        self._used_at = time.monotonic()

    def on_headers_complete(self) -> None:
        """Note that the head is whole; one in between (1xx) is none."""
        self._has_head = self._parser.get_status_code() >= HTTPStatus.OK

    def on_message_complete(self) -> None:
        """Note that the answer is whole; a second one was not asked for."""
        if not self._has_head:
            self._begin()
            return
        self.keeps_alive = not self._complete and self._parser.should_keep_alive()
        self._complete = True


class Streamed:
    """An answer whose body is yet to come.

    Args:
        connection: over which it comes.

    Attributes:
        head: all but the body.
    """

    def __init__(self, connection: BlockingConnection) -> None:
        self._connection = connection
        self.head = connection.head()

    def pieces(self) -> Iterator[bytes]:
        """Yield the body as it comes; see `BlockingConnection.pieces`."""
        return self._connection.pieces()

    def whole(self) -> Answer:
        """Return the answer with all of its body."""
        return self.head._replace(content=b"".join(self.pieces()))


def _encrypted(plain: socket.socket, server: Server, tls: ssl.SSLContext) -> Socket:
    """Return a connection with TLS; within the TLS of a proxy, where that has its own."""
    name = server.name or server.host
    if isinstance(plain, ssl.SSLSocket):
        return SSLTransport(plain, tls, server_hostname=name)
    return tls.wrap_socket(plain, server_hostname=name)
