"""A request whose line names scheme and host, as a proxy is sent it."""

import asyncio
from typing import Any
from urllib.parse import unquote

import pytest
from starlette.types import Receive, Scope, Send
from tests.support.whole_api import Sent, WholeApi, whole_api

from splitjob_api.middleware.request_target import RequestTargetMiddleware


def seen_behind(target: str) -> tuple[str, bytes]:
    """Return path and raw path of a request as they are seen behind the middleware."""
    seen: list[Scope] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(scope)

    async def nothing(*_: Any) -> Any:
        """Is not called."""

    scope = {"type": "http", "path": unquote(target), "raw_path": target.encode()}
    asyncio.run(RequestTargetMiddleware(app)(scope, nothing, nothing))
    return seen[0]["path"], seen[0]["raw_path"]


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("http://audio.example.com/jobs", "/jobs"),
        ("HTTPS://audio.example.com:8443/jobs/a%20b", "/jobs/a%20b"),
        ("http://audio.example.com", "/"),
        ("http://[::1]:8080//jobs", "//jobs"),
        ("/jobs", "/jobs"),
        ("/http://audio.example.com/jobs", "/http://audio.example.com/jobs"),
        ("*", "*"),
        ("ftp://audio.example.com/jobs", "ftp://audio.example.com/jobs"),
        ("http:///jobs", "http:///jobs"),
    ],
)
def test_scheme_and_host_are_taken_off(target: str, path: str) -> None:
    assert seen_behind(target) == (unquote(path), path.encode())


def test_what_is_signed_is_path_and_query_alone() -> None:
    with whole_api() as api:
        assert absolute(api, "GET", "/jobs?limit=1", signed="/jobs?limit=1") == 200
        assert absolute(api, "GET", "/jobs?limit=1", signed="/jobs") == 401
        assert absolute(api, "GET", "/jobs", signed=f"{api.http.base_url}/jobs") == 401
        assert absolute(api, "GET", "/healthz", signed="") == 200


def absolute(api: WholeApi, method: str, target: str, *, signed: str) -> int:
    """Return the status of a request whose line holds a whole URL."""
    headers = api.headers(Sent(method, signed))
    whole = f"http://some.where:80{target}".encode()
    return api.http.request(
        method, target, headers=headers, extensions={"target": whole}
    ).status_code
