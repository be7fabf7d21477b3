"""Where the API server is, as whom it is asked, and the connections to it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, Protocol, TypeVar
from urllib.parse import urlsplit

from splitjob_kube.connection import Connection
from splitjob_kube.credentials import Credentials
from splitjob_kube.http_connection import Server
from splitjob_kube.tls import TlsContexts, server_of

__all__ = ["JSON", "MERGE_PATCH", "Endpoint", "current_endpoint"]

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
USER_AGENT = "track-tree-audio"


class _Pool(Protocol):
    server: Server


Pool = TypeVar("Pool", bound=_Pool)


@dataclass(frozen=True)
class Endpoint(Generic[Pool]):
    """How to reach the API server.

    Attributes:
        generation: of the credentials it was made of.
        connection: what these are.
        pool: its connections.
    """

    generation: int
    connection: Connection
    pool: Pool

    def written(self, verb: str, path: str, content: bytes = b"", accept: str = JSON) -> bytes:
        """Return a request as it is sent.

        Args:
            verb: the HTTP method.
            path: with its query.
            content: JSON, or nothing; of a PATCH, a merge patch (RFC 7386).
            accept: the media type of the answer.
        """
        kind = MERGE_PATCH if verb == "PATCH" else JSON
        about = f"Content-Type: {kind}\r\nContent-Length: {len(content)}\r\n" if content else ""
        first = f"{verb} {self._prefix}{path} HTTP/1.1\r\n"
        head = f"{first}{self._headers}Accept: {accept}\r\n{about}\r\n"
        return head.encode("ascii") + content

    @cached_property
    def _prefix(self) -> str:
        return urlsplit(self.connection.server).path.rstrip("/")

    @cached_property
    def _headers(self) -> str:
        token = self.connection.token
        headers = {
            "Host": urlsplit(self.connection.server).netloc,
            "User-Agent": USER_AGENT,
            # Who does not say so takes any coding (RFC 9110, 12.5.3), and a proxy may choose one.
            "Accept-Encoding": "identity",
            **({"Authorization": f"Bearer {token}"} if token else {}),
        }
        return "".join(f"{name}: {value}\r\n" for name, value in headers.items())


def current_endpoint(
    credentials: Credentials,
    tls: TlsContexts,
    former: Endpoint[Pool] | None,
    new_pool: Callable[[Server], Pool],
) -> Endpoint[Pool]:
    """Return the endpoint by the credentials as they are now, which reads files.

    Args:
        credentials: whose.
        tls: makes the context.
        former: the one until now, whose pool is kept where the server is the same.
        new_pool: makes another one.

    Raises:
        OSError: the files of the credentials cannot be read.
    """
    credentials.refresh()
    generation = credentials.generation
    connection = credentials.connection()
    server = server_of(connection, tls.context(connection))
    kept = former is not None and former.pool.server == server
    return Endpoint(generation, connection, former.pool if former and kept else new_pool(server))
