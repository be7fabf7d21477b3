"""A server that answers as the Kubernetes API server would, as a test has scripted it."""

import json
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml
from tests.support.waiting import patience


@dataclass(frozen=True)
class Answer:
    """One answer.

    Attributes:
        status: the HTTP status.
        body: sent as it is.
        broken: whether the connection ends before the answer is complete.
        chunked: whether its length is not said beforehand, as with a watch.
        held: whether it comes only once the server is told to release it.
        headers: more of them.
    """

    status: int = 200
    body: bytes = b"{}"
    broken: bool = False
    chunked: bool = False
    held: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, content: object, status: int = 200) -> "Answer":
        """Return an answer that holds JSON."""
        return cls(status, json.dumps(content).encode())

    @classmethod
    def refusal(cls, status: int, reason: str, message: str = "") -> "Answer":
        """Return a refusal as the API server words it."""
        return cls.json({"kind": "Status", "reason": reason, "message": message}, status)


@dataclass
class ScriptedApiServer:
    """What is answered, and what was asked.

    Attributes:
        url: where it listens.
        tokens: those it takes; empty: any, or none.
        answers: to come, the next one first; then empty objects.
        asked: method, path with its query, and token of each request.
        sent: the body of each request.
        connections: all that were opened.
    """

    url: str
    tokens: set[str] = field(default_factory=set)
    answers: list[Answer] = field(default_factory=list)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)
    connections: list[socket.socket] = field(default_factory=list)
    _released: threading.Event = field(default_factory=threading.Event)

    def release(self) -> None:
        """Let the answers come that are held."""
        self._released.set()

    def wait(self) -> None:
        """Hold an answer."""
        self._released.wait(patience())

    def cut_connections(self) -> None:
        """End those that are open."""
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def next(self, method: str, path: str, token: str) -> Answer:
        self.asked.append((method, path, token))
        if self.tokens and token not in self.tokens:
            return Answer.refusal(401, "Unauthorized")
        return self.answers.pop(0) if self.answers else Answer()

    def kubeconfig(self, folder: Path, user: dict[str, Any], **cluster: Any) -> Path:
        """Write a KUBECONFIG that leads here; return its path.

        Args:
            folder: where.
            user: who comes.
            cluster: what else is said of the server.
        """
        path = folder / "kubeconfig"
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "here", "cluster": {"server": self.url, **cluster}}],
                    "users": [{"name": "somebody", "user": user}],
                    "contexts": [
                        {
                            "name": "it",
                            "context": {
                                "cluster": "here",
                                "user": "somebody",
                                "namespace": "music",
                            },
                        }
                    ],
                    "current-context": "it",
                }
            )
        )
        return path


class _Handler(BaseHTTPRequestHandler):
    script: ScriptedApiServer
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.script.connections.append(self.connection)

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self.script.sent.append(self.rfile.read(length))
        token = self.headers.get("Authorization", "").partition(" ")[2]
        answer = self.script.next(self.command, self.path, token)
        if answer.held:
            self.script.wait()
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.chunked:
            self._send_chunk(answer)
        else:
            self.send_header("Content-Length", str(len(answer.body) + answer.broken))
            self.end_headers()
            self.wfile.write(answer.body)
        self.close_connection = self.close_connection or answer.broken

    def do_POST(self) -> None:
        self.do_GET()

    def _send_chunk(self, answer: Answer) -> None:
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%b\r\n" % (len(answer.body), answer.body))
        if not answer.broken:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def scripted_api_server(tls: ssl.SSLContext | None = None) -> Iterator[ScriptedApiServer]:
    """Serve on a port of this machine.

    Args:
        tls: None: without.
    """

    class Handler(_Handler):
        """Has a script of its own."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    scheme = "http" if tls is None else "https"
    script = ScriptedApiServer(f"{scheme}://127.0.0.1:{server.server_port}")
    Handler.script = script
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
