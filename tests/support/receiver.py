"""A receiver of webhooks, on a real HTTP server."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.web import Handler, Request, answer, web_server


@dataclass(frozen=True)
class Received:
    """One webhook as it came in; the names of its headers in lower case."""

    path: str
    raw: bytes
    headers: dict[str, str]
    at: float

    @property
    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self.raw)
        return body


@dataclass
class Receiver:
    """Hears webhooks below `base`; `answers` says what it replies on a path, 204 if nothing."""

    base: str = ""
    heard: list[Received] = field(default_factory=list)
    answers: dict[str, Handler] = field(default_factory=dict)
    otherwise: Handler = field(default_factory=lambda: answer(204))

    def of(self, name: str) -> list[Received]:
        """Return what was heard about one job."""
        return [one for one in self.heard if one.body["jobId"] == name]

    def take(self, request: Request) -> None:
        """Keep a request, and answer it."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        path = request.path.partition("?")[0]
        self.heard.append(Received(request.path, request.body, headers, time.time()))
        self.answers.get(path, self.otherwise)(request)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a receiver until the block ends."""
    receiver = Receiver()
    with web_server(otherwise=receiver.take) as web:
        receiver.base = f"{web.url}/hooks/"
        yield receiver
