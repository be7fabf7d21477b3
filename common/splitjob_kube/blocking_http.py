"""HTTP/1.1 to the API server from threads: whole requests and answers over connections kept open.

urllib3 and http.client take four times the processor time for a call, for which an operator has two
dozen in the life of a job. The parser is llhttp, Node's; redirects, compression and proxies are not
for an API server.
"""

import socket
import time
from collections import deque
from http import HTTPStatus

import httptools
from urllib3.util.wait import wait_for_read

from splitjob_kube.http_connection import Answer, Server

__all__ = ["BlockingPool"]

IDLE_SECONDS = 60.0  # after which a connection is not used again: who is on the way may drop it
CHUNK_BYTES = 65536


class BlockingPool:
    """The connections to one server; may be used from any thread, and sets no limit on them.

    Args:
        server: who is called.
        connect_seconds: time for a new connection, TLS included.
    """

    def __init__(self, server: Server, connect_seconds: float) -> None:
        self.server = server
        self._connect_seconds = connect_seconds
        self._idle: deque[_Connection] = deque()  # the one used last at the end

    def exchange(self, request: bytes, read_seconds: float) -> Answer:
        """Send a request once; return its answer.

        Args:
            request: head and body.
            read_seconds: between two pieces of the answer.

        Raises:
            OSError: there is no way to the server, or no answer.
        """
        connection = self._used_before() or _Connection(self._connect())
        try:
            answer = connection.exchange(request, read_seconds)
        except BaseException:
            connection.close()
            raise
        if connection.keeps_alive:
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def _connect(self) -> socket.socket:
        server = self.server
        plain = socket.create_connection((server.host, server.port), self._connect_seconds)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if server.tls is None:
            return plain
        try:
            return server.tls.wrap_socket(plain, server_hostname=server.name or server.host)
        except BaseException:
            plain.close()
            raise

    def _used_before(self) -> "_Connection | None":
        """Return a connection that can be used; None where there is none left."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if connection.is_usable():
                return connection
            connection.close()


class _Connection:
    """One connection, for one request after the other; httptools calls its `on_` methods."""

    def __init__(self, to: socket.socket) -> None:
        self._socket = to
        self._used_at = time.monotonic()
        self._parser = httptools.HttpResponseParser(self)
        self._phrase, self._body, self._complete = b"", list[bytes](), False
        self.keeps_alive = True

    def is_usable(self) -> bool:
        """Return whether a request can be sent: nothing came that was not asked for, no end."""
        fresh = time.monotonic() - self._used_at < IDLE_SECONDS
        return fresh and not wait_for_read(self._socket, timeout=0)

    def exchange(self, request: bytes, read_seconds: float) -> Answer:
        """Send a request; return its answer.

        Raises:
            OSError: there is none.
        """
        self._phrase, self._body, self._complete = b"", [], False
        self._socket.settimeout(read_seconds)
        self._socket.sendall(request)
        while not self._complete:
            data = self._socket.recv(CHUNK_BYTES)
            if not data:
                raise ConnectionResetError("the server has closed the connection")
            try:
                self._parser.feed_data(data)
            except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
                raise ConnectionError(f"no answer in HTTP: {error}") from None
        self._used_at = time.monotonic()
        status = self._parser.get_status_code()
        return Answer(status, self._phrase.decode("latin-1"), 0, b"".join(self._body))

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def on_status(self, phrase: bytes) -> None:
        """Take in the status in words."""
        self._phrase += phrase

    def on_body(self, body: bytes) -> None:
        """Take in a piece of the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Note that the answer is whole; one in between (1xx) is none, a second was not asked."""
        if self._parser.get_status_code() < HTTPStatus.OK:
            self._phrase, self._body = b"", []
            return
        self.keeps_alive = not self._complete and self._parser.should_keep_alive()
        self._complete = True
