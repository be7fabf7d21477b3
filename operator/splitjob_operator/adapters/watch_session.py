"""The HTTP session of kopf's watches.

It tells what they bring as it arrives. A kind that is gone is an outage to it, not the end.
"""

import json
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import cast

import aiohttp
import kopf

from splitjob.resource import KIND, PLURAL
from splitjob_kube.connection import Connection

__all__ = ["Heard", "session"]

Heard = Callable[[str, str], None]
_KINDS = {PLURAL: KIND, "jobs": "Job", "pods": "Pod"}


def session(to: Connection, heard: Heard) -> kopf.AiohttpSession:
    """Return a session in the running event loop; kopf closes it.

    kopf ends the operator where a watch is answered 404, as after the CustomResourceDefinition was
    deleted. What it tries again for ever is a connection that breaks.

    Args:
        to: the API server.
        heard: is told kind and resource version of what a watch has brought, before kopf deals
            with it, which may be much later.
    """
    info = kopf.ConnectionInfo(
        server=to.server,
        ca_path=to.ca_path,
        insecure=not to.verify,
        token=to.token,
        certificate_path=to.certificate_path,
        private_key_path=to.key_path,
    )
    return kopf.AiohttpSession(
        server=to.server,
        aiohttp_session=aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=info.as_ssl_context()),
            headers=info.as_http_headers(),
            middlewares=(_Overheard(heard), _missing_kind_is_an_outage),
        ),
    )


async def _missing_kind_is_an_outage(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    response = await handler(request)
    if response.status != HTTPStatus.NOT_FOUND:
        return response
    response.release()
    raise aiohttp.ClientConnectionError(f"{request.url.path} is not served")


class _Overheard:
    """Listens in on the watches."""

    def __init__(self, heard: Heard) -> None:
        self._heard = heard

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        response = await handler(request)
        kind = _KINDS.get(request.url.name)
        if kind and "watch" in request.url.query and response.status == HTTPStatus.OK:
            body = _WatchBody(response.content, lambda version: self._heard(kind, version))
            response.content = cast("aiohttp.StreamReader", body)
        return response


class _WatchBody:
    """The body of a watch: one JSON object a line, the newest one last."""

    def __init__(self, content: aiohttp.StreamReader, heard: Callable[[str], None]) -> None:
        self._content = content
        self._heard = heard

    def __getattr__(self, name: str) -> object:
        return getattr(self._content, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """Yield the body piece by piece, and tell the newest version that each completes."""
        line = b""
        async for chunk in self._content.iter_chunked(size):
            *complete, line = (line + chunk).split(b"\n")
            if complete:
                self._tell(complete[-1])
            yield chunk

    def _tell(self, line: bytes) -> None:
        event = json.loads(line) if line else {}
        if version := event.get("object", {}).get("metadata", {}).get("resourceVersion"):
            self._heard(version)
