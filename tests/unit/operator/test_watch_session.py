"""The HTTP session of kopf's watches: what it sends, and how it takes a kind that is not served."""

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from splitjob_kube.connection import Connection
from splitjob_operator.adapters.watch_session import session

Handler = Callable[[web.Request], Awaitable[web.Response]]


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
                )
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
