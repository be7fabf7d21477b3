"""A receiver of webhooks that may be down, slow, or lie; it keeps what it was told."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from random import Random
from typing import Any, Self
from urllib.parse import urlsplit

from chaos.quiet_server import QuietServer
from splitjob_local.demo.receiver import Delivery

WELL, DOWN, SLOW = "", "down", "slow"
HANGS_UP, LIES, LOSES = "hangs up", "takes it and says 500", "says 200 and loses it"
SLOWEST_SECONDS = 20.0


@dataclass(frozen=True)
class Heard:
    """One webhook as it arrived.

    Attributes:
        at: Unix time.
        delivery: what arrived.
        mood: of the receiver then.
    """

    at: float
    delivery: Delivery
    mood: str

    @property
    def body(self) -> dict[str, Any]:
        """What it says."""
        body: dict[str, Any] = json.loads(self.delivery.body)
        return body

    @property
    def event_id(self) -> str:
        """By which receivers tell repetitions."""
        return self.delivery.headers.get("webhook-id", "")


@dataclass
class Receiver:
    """Receives webhooks in a `with` block.

    Args:
        base_url: `http://host:port/prefix`; listens on its host and port.
        random: draws how slow it is.

    Attributes:
        heard: everything that arrived, also what it did not confirm or has lost.
        mood: what it does with the next one.
    """

    base_url: str
    random: Random
    heard: list[Heard] = field(default_factory=list)
    mood: str = WELL
    _server: QuietServer | None = None

    def __enter__(self) -> Self:
        self._listen()
        return self

    def __exit__(self, *_: object) -> None:
        self._hang_up()

    def be(self, mood: str) -> None:
        """Take on a mood."""
        was, self.mood = self.mood, mood
        if mood == DOWN:
            self._hang_up()
        elif was == DOWN:
            self._listen()

    def _listen(self) -> None:
        place = urlsplit(self.base_url)
        self._server = QuietServer((place.hostname or "", place.port or 80), _handler(self.take))
        self._server.start()

    def _hang_up(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None

    def take(self, delivery: Delivery) -> int:
        """Keep a webhook; return the status to answer with, 0 for none."""
        mood = self.mood
        if mood == SLOW:
            time.sleep(self.random.uniform(0, SLOWEST_SECONDS))
        self.heard.append(Heard(time.time(), delivery, mood))
        return {HANGS_UP: 0, LIES: 500, LOSES: 200}.get(mood, 204)


def _handler(take: Callable[[Delivery], int]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            if status := take(Delivery(self.path, headers, body)):
                self.send_response(status)
                self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing: the timeline says what was done."""

    return Handler
