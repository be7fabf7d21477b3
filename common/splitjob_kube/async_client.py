"""The Kubernetes API from an event loop: for what each request that comes in has to ask or write.

A call made in a thread costs as much processor time again, for the threads hand the interpreter to
one another, from core to core. The credentials, the patience and the errors are those of
`splitjob_kube.client`. Only watches, and what is asked now and then, are left to its threads.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import NamedTuple

from pydantic_core import to_json

from splitjob_kube.client import (
    PAGE_SIZE,
    Json,
    KubernetesClient,
    decoded,
)
from splitjob_kube.endpoint import Endpoint, current_endpoint
from splitjob_kube.errors import UnauthorizedError, no_answer_error, refusal_error
from splitjob_kube.http_connection import BROKEN, Answer, ConnectionPool, Server
from splitjob_kube.tls import TlsContexts

__all__ = ["AsyncKubernetesClient"]


class AsyncKubernetesClient:
    """The Kubernetes API for the coroutines of one event loop.

    It sets no limit on how many ask at once; whoever uses it does.

    Args:
        client: whose credentials and patience it shares. Where there is a proxy on the way, it also
            makes the calls, in threads.
    """

    def __init__(self, client: KubernetesClient) -> None:
        self._client = client
        self._credentials = client.credentials
        self._policy = client.policy
        self._tls = TlsContexts()
        self._reading = asyncio.Lock()
        self._endpoint: Endpoint[ConnectionPool] | None = None

    async def read(self, purpose: str, path: str) -> Json:
        """Return the JSON document at a path of the API server.

        Args:
            purpose: what is attempted, for messages: "read Job a".
            path: with its query.

        Raises:
            splitjob_kube.errors.KubernetesError: the API server refused, or gave no answer.
        """
        return await self._call(purpose, _Request(path))

    async def items(self, purpose: str, path: str, selector: str) -> list[Json]:
        """List objects, page after page; the rest is as with `read`.

        Args:
            purpose: what is attempted, for messages.
            path: of the objects of one kind.
            selector: part of the query: `labelSelector=app`.

        Raises:
            splitjob_kube.errors.ExpiredError: it took so long that the listing must begin anew.
        """
        found: list[Json] = []
        token = ""
        while True:
            query = f"limit={PAGE_SIZE}&{selector}&continue={token}"
            listing = await self.read(purpose, f"{path}?{query}")
            found += listing.get("items") or []  # null: none
            token = listing.get("metadata", {}).get("continue", "")
            if not token:
                return found

    async def create(self, purpose: str, path: str, body: Json) -> Json:
        """Create an object; return it as the API server keeps it. It is never sent twice.

        Args:
            purpose: what is attempted, for messages: "create Job a".
            path: of the objects of its kind: `/api/v1/namespaces/audio/secrets`.
            body: the object.

        Raises:
            splitjob_kube.errors.KubernetesError: the API server refused, or gave no answer: then
                the object may be there all the same.
        """
        return await self._call(purpose, _Request(path, body))

    async def close(self) -> None:
        """Close the connections that are not in use; a later call opens new ones."""
        if self._endpoint is not None:
            self._endpoint.pool.close()

    async def _call(self, purpose: str, request: "_Request") -> Json:
        """Return the answer to a request; one refused for a token that has ended is sent again."""
        endpoint = await self._current_endpoint(purpose)
        if endpoint.connection.proxy:
            return await asyncio.to_thread(self._call_blocking, purpose, request)
        try:
            content = await self._exchange(purpose, endpoint, request)
        except UnauthorizedError:
            if not await asyncio.to_thread(self._credentials.renew, endpoint.connection.token):
                raise
            content = await self._exchange(purpose, await self._current_endpoint(purpose), request)
        return decoded(purpose, content)

    async def _current_endpoint(self, purpose: str) -> Endpoint[ConnectionPool]:
        """Return where the API server is, read again where that is due: files, so in a thread."""
        if current := self._endpoint_if_current():
            return current
        async with self._reading:
            if current := self._endpoint_if_current():  # another call has read it meanwhile
                return current
            former = self._endpoint
            with _translating(purpose):
                self._endpoint = await asyncio.to_thread(self._read_endpoint)
            if former is not None and former.pool is not self._endpoint.pool:
                former.pool.close()
            return self._endpoint

    def _endpoint_if_current(self) -> Endpoint[ConnectionPool] | None:
        found = self._endpoint
        return found if found and self._credentials.is_current(found.generation) else None

    def _read_endpoint(self) -> Endpoint[ConnectionPool]:
        """Return where it is now, with the connections there are where they are still good."""
        return current_endpoint(self._credentials, self._tls, self._endpoint, self._new_pool)

    def _new_pool(self, server: Server) -> ConnectionPool:
        return ConnectionPool(server, *self._policy[:2])

    def _call_blocking(self, purpose: str, request: "_Request") -> Json:
        if request.body is None:
            return self._client.read(purpose, request.path)
        return self._client.create(purpose, request.path, request.body)

    async def _exchange(
        self, purpose: str, endpoint: Endpoint[ConnectionPool], request: "_Request"
    ) -> bytes:
        """Return what is answered, after one more try where that is safe and may help."""
        content = endpoint.written(request.verb, request.path, request.content)
        with _translating(purpose):
            answer = await self._answer(endpoint.pool, content, request.is_read)
        if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
            raise refusal_error(purpose, answer.status, answer.phrase, answer.content)
        return answer.content

    async def _answer(self, pool: ConnectionPool, content: bytes, is_read: bool) -> Answer:
        if not self._policy.tries_again:
            return await pool.exchange(await pool.connection(), content)
        connection = None
        try:
            connection = await pool.connection()
            answer = await pool.exchange(connection, content)
            if not is_read or not answer.seconds_to_wait:
                return answer
            await asyncio.sleep(answer.seconds_to_wait)
        except BROKEN:
            if connection is not None and not is_read:
                raise
        return await pool.exchange(await pool.connection(), content)


class _Request(NamedTuple):
    path: str
    body: Json | None = None

    @property
    def is_read(self) -> bool:
        """Whether it may be sent twice."""
        return self.body is None

    @property
    def verb(self) -> str:
        """The HTTP method."""
        return "GET" if self.is_read else "POST"

    @property
    def content(self) -> bytes:
        """The body as it is sent."""
        return b"" if self.body is None else to_json(self.body)


@contextmanager
def _translating(purpose: str) -> Iterator[None]:
    """Turn what a connection raises into `splitjob_kube.errors`."""
    try:
        yield
    except BROKEN as error:
        raise no_answer_error(purpose, error) from None
