"""The HTTP session of kopf's watches: what it sends, and how it takes a kind that is not served."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kopf._cogs.clients.api import iter_jsonlines

from splitjob_kube.connection import Connection
from splitjob_operator.adapters.watch_session import Began, Overhear, session

Handler = Callable[[web.Request], Awaitable[web.Response]]


def ignore(*_: object) -> bool:
    """What a watch brings is for kopf."""
    return True


def fetch(answer: Handler, token: str | None = None) -> tuple[int, str]:
    """Return status and body of one request to a server that answers so."""

    async def run() -> tuple[int, str]:
        app = web.Application()
        app.router.add_get("/apis", answer)
        async with TestServer(app) as server:
            made = session(
                Connection(
                    server=str(server.make_url("/")),
                    ca_path=None,
                    verify=True,
                    token=token,
                    certificate_path=None,
                    key_path=None,
                ),
                ignore,
                ignore,
            )
            async with made.aiohttp_session as http, http.get(server.make_url("/apis")) as got:
                return got.status, await got.text()

    return asyncio.run(run())


async def authorization(request: web.Request) -> web.Response:
    return web.Response(text=request.headers.get("Authorization", "none"))


def test_the_token_of_the_connection_is_sent() -> None:
    assert fetch(authorization, token="a-token") == (200, "Bearer a-token")
    assert fetch(authorization) == (200, "none")


@pytest.mark.parametrize("status", [200, 401, 410, 500])
def test_other_answers_reach_kopf_as_they_are(status: int) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text="said")

    assert fetch(answer) == (status, "said")


def test_a_kind_that_is_not_served_is_a_broken_connection() -> None:
    """kopf would end the operator at 404; a connection that breaks it tries again for ever."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=404)

    with pytest.raises(aiohttp.ClientConnectionError, match="/apis is not served"):
        fetch(answer)


PODS = "/api/v1/namespaces/a/pods"


def reaching_kopf(
    lines: list[bytes],
    overhear: Overhear = ignore,
    query: str = "watch=true",
    began: Began = ignore,
    status: int = 200,
) -> list[dict[str, Any]]:
    """Return what reaches kopf of a watch that brings these lines."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=status)
        await response.prepare(request)
        for line in lines:
            for half in (line[:30], line[30:]):
                await response.write(half)
                await asyncio.sleep(0)
        return response

    async def run() -> list[dict[str, Any]]:
        app = web.Application()
        app.router.add_get(PODS, answer)
        async with TestServer(app) as server:
            to = Connection(str(server.make_url("/")), None, True, None, None, None)
            url = f"{server.make_url(PODS)}?{query}"
            made = session(to, overhear, began)
            async with made.aiohttp_session as http, http.get(url) as got:
                return [json.loads(line) async for line in iter_jsonlines(got.content)]

    return asyncio.run(run())


def overheard(
    lines: list[bytes], query: str = "watch=true", but_for: str = ""
) -> tuple[list[tuple[str, str, str]], list[str]]:
    """Return what is told of a watch that brings these lines, and the types that reach kopf.

    Args:
        lines: what the watch brings.
        query: of the request.
        but_for: a resource version that kopf is not to deal with.
    """
    told: list[tuple[str, str, str]] = []

    def overhear(kind: str, event: str, raw: dict[str, Any]) -> bool:
        version = raw["metadata"]["resourceVersion"]
        told.append((kind, event, version))
        return bool(version != but_for)

    reached = reaching_kopf(lines, overhear, query)
    return told, [event["type"] for event in reached]


def brought(version: int, kind: str = "MODIFIED") -> bytes:
    return (
        json.dumps(
            {"type": kind, "object": {"metadata": {"resourceVersion": str(version)}}}
        ).encode()
        + b"\n"
    )


def test_what_a_watch_brings_is_told_before_kopf_deals_with_it() -> None:
    """Acceptance 53: so that what waits to be dealt with is not taken for a silent watch."""
    told, reached = overheard([brought(7), brought(8), brought(9, "BOOKMARK")])
    assert told == [("Pod", "MODIFIED", "7"), ("Pod", "MODIFIED", "8"), ("Pod", "BOOKMARK", "9")]
    assert reached == ["MODIFIED", "MODIFIED", "BOOKMARK"]


def test_what_need_not_be_dealt_with_is_kept_from_kopf() -> None:
    told, reached = overheard([brought(7, "ADDED"), brought(8), brought(9, "DELETED")], but_for="8")
    assert [version for *_, version in told] == ["7", "8", "9"]
    assert reached == ["ADDED", "DELETED"]


def test_what_nobody_reads_of_an_object_does_not_reach_kopf() -> None:
    metadata = {"name": "a", "resourceVersion": "7", "managedFields": [{"manager": "kubelet"}]}
    job = {"metadata": metadata, "spec": {"parallelism": 1, "template": {"spec": {}}}}
    line = json.dumps({"type": "ADDED", "object": job}).encode() + b"\n"
    (reached,) = reaching_kopf([line], lambda *_: True)
    assert reached["object"] == {
        "metadata": {"name": "a", "resourceVersion": "7"},
        "spec": {"parallelism": 1},
    }


def test_a_watch_that_ends_with_an_error_tells_nothing_and_kopf_hears_of_it() -> None:
    error = {"type": "ERROR", "object": {"code": 410, "metadata": {}}}
    assert overheard([json.dumps(error).encode() + b"\n"]) == ([], ["ERROR"])


def test_a_list_tells_nothing() -> None:
    assert overheard([brought(7)], "limit=5") == ([], ["MODIFIED"])


@pytest.mark.parametrize(
    ("status", "lines", "told"),
    [
        (200, [brought(7)], [("Pod", True)]),
        (503, [], [("Pod", False)]),
        (200, [b'{"type": "ERROR", "object": {"code": 410}}\n'], [("Pod", True), ("Pod", False)]),
    ],
    ids=["granted", "refused", "broken off"],
)
def test_each_watch_is_told_that_begins_or_is_refused_or_broken_off(
    status: int, lines: list[bytes], told: list[tuple[str, bool]]
) -> None:
    heard: list[tuple[str, bool]] = []
    reaching_kopf(lines, began=lambda *one: heard.append(one), status=status)
    assert heard == told


def test_a_list_is_no_watch_that_begins() -> None:
    heard: list[object] = []
    reaching_kopf([brought(7)], query="limit=5", began=lambda *one: heard.append(one))
    assert heard == []
