"""A real HTTP server of which each path does what a test says."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from splitjob_local.cluster.pki import KeyPair
from splitjob_local.demo.receiver import speak_tls

QUERY = "X-Amz-Signature=do-not-tell-anybody"


class Request(BaseHTTPRequestHandler):
    """One request, whose body is read before it is handled."""

    protocol_version = "HTTP/1.1"
    server: "_Server"
    body: bytes

    def do_GET(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        web = self.server.web
        web.requests.append((f"{self.command} {path}", dict(self.headers), self.body))
        try:
            web.routes.get(path, web.otherwise)(self)
        except OSError:
            self.close_connection = True

    do_HEAD = do_DELETE = do_POST = do_PUT = do_GET  # noqa: N815 - the standard library's names

    def log_message(self, *_: object) -> None:
        pass


Handler = Callable[[Request], None]


@dataclass
class Web:
    """A real HTTP server of which each path does what a test says."""

    url: str
    otherwise: Handler
    routes: dict[str, Handler] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    def serve(self, path: str, handler: Handler) -> str:
        """Let a path do something; return its URL, with a secret in the query."""
        self.routes[path] = handler
        return f"{self.url}{path}?{QUERY}"

    def give(self, path: str, content: bytes) -> str:
        """Let a path give a file, ranges included."""
        return self.serve(path, lambda request: give(request, content))


def give(request: Request, content: bytes, *, cut: int | None = None) -> None:
    """Answer with a file, or with the range asked for; break off after `cut` bytes."""
    begin = 0
    wanted = request.headers.get("Range", "")
    if wanted.startswith("bytes="):
        begin = int(wanted.removeprefix("bytes=").split("-")[0])
        request.send_response(206)
        request.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
    else:
        request.send_response(200)
    request.send_header("ETag", '"one"')
    request.send_header("Content-Length", str(len(content) - begin))
    request.end_headers()
    request.wfile.write(content[begin : None if cut is None else begin + cut])
    if cut is not None:
        request.close_connection = True


def trickle_header(request: BaseHTTPRequestHandler) -> None:
    """Answer with a header that goes on for 20 s, a byte every 50 ms."""
    request.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    with suppress(OSError):
        for _ in range(400):
            request.wfile.write(b"x")
            time.sleep(0.05)


def endless_body(request: Request) -> None:
    """Answer with a body that goes on until the client hangs up."""
    request.send_response(200)
    request.send_header("Transfer-Encoding", "chunked")
    request.end_headers()
    while True:
        request.wfile.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")


def answer(status: int, **headers: str) -> Handler:
    """A handler that answers with a status and headers, and no body."""

    def handle(request: Request) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", "0")
        request.end_headers()

    return handle


def in_turn(*handlers: Handler) -> Handler:
    """Each request is answered by the next of these; the last one stays."""
    left = list(handlers)

    def handle(request: Request) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(request)

    return handle


@contextmanager
def web_server(
    host: str = "127.0.0.1", identity: KeyPair | None = None, otherwise: Handler | None = None
) -> Iterator[Web]:
    """Run such a server on a port of its own.

    Args:
        host: the address that it listens on.
        identity: that it speaks TLS with, if any.
        otherwise: what paths do that have no handler; 404 without one.
    """
    server = (_ServerOfIPv6 if ":" in host else _Server)((host, 0), Request)
    if identity is not None:
        speak_tls(server, identity)
    scheme = "https" if identity else "http"
    web = server.web = Web(
        f"{scheme}://{_bracketed(host)}:{server.server_port}", otherwise or answer(404)
    )
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    web: Web


class _ServerOfIPv6(_Server):
    address_family = socket.AF_INET6


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
