"""A real egress proxy: it takes CONNECT, and does to it what a test says."""

import selectors
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from splitjob_local.cluster.pki import KeyPair

Reply = Callable[["socket.socket"], None]


@dataclass
class ConnectProxy:
    """A proxy on a port of this machine.

    Attributes:
        port: where it listens.
        asked: the authority of each CONNECT, as it came.
        credentials: what Proxy-Authorization must be; blank: nothing.
        replies: in the place of a tunnel, for the next CONNECTs; after that they get one.
        names: where it finds names.
    """

    port: int = 0
    asked: list[str] = field(default_factory=list)
    credentials: str = ""
    replies: list[Reply] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def take(self, connection: socket.socket) -> None:
        """Serve one connection."""
        head = _head_of(connection)
        line, *headers = head.decode("latin-1").split("\r\n")
        method, authority, _ = line.split(" ")
        self.asked.append(authority)
        if self.replies:
            self.replies.pop(0)(connection)
        elif method != "CONNECT":
            connection.sendall(b"HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n")
        elif self.credentials and f"Proxy-Authorization: {self.credentials}" not in headers:
            status(407)(connection)
        else:
            self._tunnel(connection, authority)

    def _tunnel(self, connection: socket.socket, authority: str) -> None:
        host, _, port = authority.rpartition(":")
        try:
            there = socket.create_connection((self.names.get(host, host.strip("[]")), int(port)), 5)
        except OSError:
            status(502)(connection)
            return
        with there:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            _pass_on(connection, there)


def says(answer: bytes) -> Reply:
    """Return a reply that is these bytes, and the end of the connection."""
    return lambda connection: connection.sendall(answer)


def status(code: int) -> Reply:
    """Return a refusal."""
    return says(f"HTTP/1.1 {code} Whatever the proxy likes\r\nContent-Length: 0\r\n\r\n".encode())


def hangs(connection: socket.socket) -> None:
    """Say nothing until the other side is gone."""
    with suppress(OSError):
        connection.recv(1)


def trickles(connection: socket.socket) -> None:
    """Send an answer that never ends, byte by byte."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    gone = threading.Event()
    with suppress(OSError):
        while not gone.wait(0.02):
            connection.sendall(b"x")


@contextmanager
def connect_proxy(identity: KeyPair | None = None) -> Iterator[ConnectProxy]:
    """Run a proxy until the block ends; with a certificate it speaks TLS itself."""
    proxy = ConnectProxy()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                proxy.take(self.request)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *_: object) -> None:
            pass

    with Server(("127.0.0.1", 0), Handler) as server:
        if identity:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(identity.certificate, identity.key)
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        proxy.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield proxy
        server.shutdown()


def _head_of(connection: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        piece = connection.recv(4096)
        if not piece:
            raise ConnectionResetError
        head += piece
    return head.partition(b"\r\n\r\n")[0]


def _pass_on(one: socket.socket, other: socket.socket) -> None:
    """Pass on what either side says until one of them ends."""
    with selectors.DefaultSelector() as waiting:
        waiting.register(one, selectors.EVENT_READ, other)
        waiting.register(other, selectors.EVENT_READ, one)
        while True:
            for key, _ in waiting.select():
                source: socket.socket = key.fileobj  # type: ignore[assignment]
                piece = source.recv(65536)
                while isinstance(source, ssl.SSLSocket) and source.pending():
                    piece += source.recv(65536)
                if not piece:
                    return
                key.data.sendall(piece)
