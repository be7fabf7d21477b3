"""A service as its callers see it, on a real HTTP server: what each path answers, a test says."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.web import Request, web_server

from splitjob.signing import SignatureError, Signer, request_payload

TOKEN = "the-token-of-these-tests"
JOB_ID = "split-csmzzjpqm6badj2is7lgglndnb"
Answer = Callable[[Request], None]


@dataclass
class FakeService:
    """Lets in who has signed, and answers by method and path; the last answer of a path stays."""

    url: str = ""
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    heard: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    tokens: tuple[str, ...] = (TOKEN,)
    prefix: str = ""

    def on(self, what: str, *answers: Answer) -> None:
        """Say what becomes of `METHOD /path`, the first time, the second, ..."""
        self.answers[what] = list(answers)

    def targets(self) -> list[str]:
        """What was asked for: `METHOD /path?query`."""
        return [target for target, _, _ in self.heard]

    def take(self, request: Request) -> None:
        path = request.path.removeprefix(self.prefix)
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.heard.append((f"{request.command} {path}", headers, request.body))
        if not path.startswith("/bucket/") and not self._let_in(request.command, path, headers):
            problem(401, "signature_invalid")(request)
            return
        planned = self.answers.get(f"{request.command} {path.partition('?')[0]}")
        if planned is None:
            problem(404, "not_found")(request)
            return
        (planned.pop(0) if len(planned) > 1 else planned[0])(request)

    def _let_in(self, method: str, path: str, headers: dict[str, str]) -> bool:
        if headers.get("authorization") == "Bearer of-the-cluster":
            return True
        target, _, query = path.partition("?")
        body = self.heard[-1][2] if method == "POST" else b""
        payload = request_payload(method, target.encode(), query.encode(), body)
        stamp, signature = headers.get("x-timestamp"), headers.get("x-signature")
        try:
            Signer(self.tokens).verify(payload, stamp, signature, time.time())
        except SignatureError:
            return False
        return True


@contextmanager
def fake_service(prefix: str = "") -> Iterator[FakeService]:
    """Run one until the block ends; with a prefix, as behind a gateway that strips it."""
    service = FakeService(prefix=prefix)
    with web_server(otherwise=service.take) as web:
        service.url = web.url + prefix
        yield service


def gives(body: object, status: int = 200, **headers: str) -> Answer:
    """Answer with JSON."""
    return sends(json.dumps(body).encode(), status, "application/json", **headers)


def problem(status: int, code: str, **fields: Any) -> Answer:
    """Answer with problem+json."""
    headers = {"Retry-After": str(fields.pop("retry_after"))} if "retry_after" in fields else {}
    body = {"status": status, "code": code, "detail": f"it is {code}", **fields}
    return sends(json.dumps(body).encode(), status, "application/problem+json", **headers)


def sends(content: bytes, status: int, media_type: str, **headers: str) -> Answer:
    """Answer with bytes."""

    def answer(request: Request) -> None:
        request.send_response(status)
        request.send_header("Content-Type", media_type)
        request.send_header("Content-Length", str(len(content)))
        request.send_header("X-Request-Id", "request-1")
        for name, value in headers.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(content)

    return answer


def streams(*pieces: str, retry_ms: int = 10) -> Answer:
    """Answer with server-sent events, and end."""

    def answer(request: Request) -> None:
        request.send_response(200)
        request.send_header("Content-Type", "text/event-stream; charset=utf-8")
        request.end_headers()
        for piece in (f"retry: {retry_ms}\n\n", *pieces):
            request.wfile.write(piece.encode())
            request.wfile.flush()
        request.close_connection = True

    return answer


def hangs_up(request: Request) -> None:
    """Close the connection without an answer."""
    request.close_connection = True
    request.connection.shutdown(socket.SHUT_RDWR)


def job(state: str = "running", percent: int | None = None, **fields: Any) -> dict[str, Any]:
    """A job as the service tells it."""
    progress = None if percent is None else {"stage": "separate", "percent": percent}
    return {
        "jobId": JOB_ID,
        "versionId": "song-42",
        "correlationId": None,
        "aiModel": "demo",
        "metadata": {},
        "state": state,
        "priority": 0,
        "createdAt": "2026-01-01T00:00:00Z",
        "attempts": 1,
        "progress": progress,
        **fields,
    }


def event(told: dict[str, Any], number: int, name: str = "job") -> str:
    """A server-sent event of a job."""
    return f"id: {number}\nevent: {name}\ndata: {json.dumps(told)}\n\n"


def stem(name: str, content_sha256: str, size: int) -> dict[str, Any]:
    """A stem as a completed job lists it."""
    return {
        "type": name,
        "name": name.title(),
        "url": f"s3://bucket/song-42/{JOB_ID}/{name}.wav",
        "size": size,
        "duration": 180.0,
        "checksum": f"sha256:{content_sha256}",
        "format": "wav",
        "sampleRate": 44100,
        "peak": 0.9,
        "gain": 1.0,
        "silent": False,
    }
