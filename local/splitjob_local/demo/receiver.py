"""A webhook receiver, as a caller of the service would run it."""

import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Self
from urllib.parse import urlsplit

from splitjob_local.cluster.pki import KeyPair
from splitjob_local.processes.http_server import BackgroundServer

MAX_BODY_BYTES = 1 << 20


@dataclass(frozen=True)
class Delivery:
    """One webhook as it arrived.

    Attributes:
        path: with the query.
        headers: by lower-case name.
        body: raw, as the signatures cover it.
    """

    path: str
    headers: Mapping[str, str]
    body: bytes


class Receiver:
    """Receives webhooks in a `with` block and keeps them.

    Args:
        base_url: `http://host:port/prefix`; listens on its host and port.
        identity: its certificate, for https.
    """

    def __init__(self, base_url: str, identity: KeyPair | None = None) -> None:
        self.url = base_url.rstrip("/")
        self.deliveries: list[Delivery] = []
        self._arrived = threading.Condition()
        place = urlsplit(base_url)
        self._server = BackgroundServer(
            (place.hostname or "", 80 if place.port is None else place.port), self._handler()
        )
        if identity is not None:
            speak_tls(self._server, identity)

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    def wait(self, count: int, seconds: float) -> bool:
        """Wait until `count` webhooks have arrived; returns whether they have in time."""
        with self._arrived:
            return self._arrived.wait_for(lambda: len(self.deliveries) >= count, seconds)

    def _keep(self, delivery: Delivery) -> None:
        with self._arrived:
            self.deliveries.append(delivery)
            self._arrived.notify_all()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", "0"))
                body = self.rfile.read(min(length, MAX_BODY_BYTES))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver._keep(Delivery(self.path, headers, body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Log nothing: the demo prints what arrives."""

        return Handler


def speak_tls(server: HTTPServer, identity: KeyPair) -> None:
    """Make a server use TLS, so that one slow client does not block the others.

    Args:
        server: one that has not accepted a connection yet.
        identity: its certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.certificate, identity.key)
    # The thread that serves a connection also does its handshake.
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
