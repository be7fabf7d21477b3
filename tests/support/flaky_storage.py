"""Storage that fails at times: a proxy before the real S3 server."""

import threading
from typing import Any

import httpx
from tests.support.plain_http import NO_AUTHORITIES
from tests.support.web import Web

from splitjob_local.cluster.s3server import S3Access


class Flaky:
    """Stands before the S3 server; fails the first requests, then passes them on.

    Attributes:
        failures: the status of each answer to come; None: the connection breaks off; 0: passed on.
        url: where it is.
        asked: the requests so far, as `METHOD /path?query`.
    """

    def __init__(self, web: Web, s3: S3Access) -> None:
        self._target = s3.endpoint
        self.url = web.url
        self.failures: list[int | None] = []
        self.asked: list[str] = []
        self._lock = threading.Lock()
        web.routes = self  # type: ignore[assignment]

    def get(self, _path: str, _default: object) -> object:
        return self._handle

    def _handle(self, request: Any) -> None:
        with self._lock:
            self.asked.append(f"{request.command} {request.path}")
            failure = self.failures.pop(0) if self.failures else 0
        if failure is None:
            request.close_connection = True
            request.connection.close()
        elif failure:
            request.send_response(failure)
            request.send_header("Content-Length", "0")
            request.end_headers()
        else:
            self._pass_on(request, request.body)

    def _pass_on(self, request: Any, body: bytes) -> None:
        headers = {k: v for k, v in request.headers.items() if k.lower() != "connection"}
        url = self._target + request.path
        real = httpx.request(
            request.command, url, content=body, headers=headers, verify=NO_AUTHORITIES
        )
        request.send_response(real.status_code)
        for name, value in real.headers.items():
            if name.lower() not in {"transfer-encoding", "connection", "content-length"}:
                request.send_header(name, value)
        length = real.headers.get("Content-Length", "0")  # of a HEAD's object; else of the body
        if request.command != "HEAD":
            length = str(len(real.content))
        request.send_header("Content-Length", length)
        request.end_headers()
        request.wfile.write(real.content)
