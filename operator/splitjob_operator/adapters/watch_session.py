"""The HTTP session of kopf's watches.

It tells what they bring as it arrives, and keeps from kopf what need not be dealt with: kopf takes
a task, a queue and a dozen objects for each change. A kind that is gone is an outage to it, not the
end.
"""

from collections.abc import AsyncIterator, Callable
from functools import partial
from http import HTTPStatus
from typing import Any, cast

import aiohttp
import kopf
from pydantic_core import from_json, to_json

from splitjob.resource import KIND, PLURAL
from splitjob_kube.connection import Connection

__all__ = ["Began", "Overhear", "session"]

Overhear = Callable[[str, str, dict[str, Any]], bool]
Began = Callable[[str, bool], object]
_KINDS = {PLURAL: KIND, "jobs": "Job", "pods": "Pod"}


def session(to: Connection, overhear: Overhear, began: Began) -> kopf.AiohttpSession:
    """Return a session in the running event loop; kopf closes it.

    kopf ends the operator where a watch is answered 404, as after the CustomResourceDefinition was
    deleted. What it tries again for ever is a connection that breaks.

    Args:
        to: the API server.
        overhear: is told of what a watch has brought its kind, its type as Kubernetes calls it and
            the object, before kopf deals with it, which may be much later; returns whether kopf is
            to deal with it.
        began: is told of each watch that was asked for its kind and whether it was granted, and
            once more, with False, of one that the API server breaks off.
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
            middlewares=(_Overheard(overhear, began), _missing_kind_is_an_outage),
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

    def __init__(self, overhear: Overhear, began: Began) -> None:
        self._overhear = overhear
        self._began = began

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        kind = _KINDS.get(request.url.name) if "watch" in request.url.query else None
        granted = False
        try:
            response = await handler(request)
            granted = response.status == HTTPStatus.OK
        finally:
            if kind:
                self._began(kind, granted)
        if kind and granted:
            broken_off = partial(self._began, kind, False)
            body = _WatchBody(response.content, partial(self._overhear, kind), broken_off)
            response.content = cast("aiohttp.StreamReader", body)
        return response


class _WatchBody:
    """The body of a watch, one JSON object a line, without the lines that nobody deals with."""

    def __init__(
        self,
        content: aiohttp.StreamReader,
        overhear: Callable[[str, dict[str, Any]], bool],
        broken_off: Callable[[], object],
    ) -> None:
        self._content = content
        self._overhear = overhear
        self._broken_off = broken_off

    def __getattr__(self, name: str) -> object:
        return getattr(self._content, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """Yield the lines that are to be dealt with, as many as have come; the last may be cut."""
        line = b""
        async for chunk in self._content.iter_chunked(size):
            *complete, line = (line + chunk).split(b"\n")
            if wanted := b"".join(filter(None, map(self._wanted, complete))):
                yield wanted
        if line:
            yield line

    def _wanted(self, line: bytes) -> bytes:
        """Return the line for kopf, without what nobody reads; blank: kopf needs none of it."""
        event = from_json(line) if line else {}
        changed = event.get("object", {})
        if event.get("type") == "ERROR":  # as after a compaction: 410
            self._broken_off()
        if "resourceVersion" not in changed.get("metadata", {}):
            return line + b"\n"  # an error, which says nothing of any object
        changed["metadata"].pop("managedFields", None)
        if not self._overhear(event["type"], changed):
            return b""
        changed.get("spec", {}).pop("template", None)  # of a Job: most of it
        return to_json(event) + b"\n"
