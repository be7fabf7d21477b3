"""The way to the API server, for the clients that have their own connections."""

from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar
from urllib.parse import urlsplit

from splitjob_kube.connection import Connection

__all__ = ["JSON", "Way"]

JSON = "application/json"
USER_AGENT = "track-tree-audio"

Pool = TypeVar("Pool")


@dataclass(frozen=True)
class Way(Generic[Pool]):
    """How to reach the API server without the library.

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
            content: JSON, or nothing.
            accept: the media type of the answer.
        """
        about = f"Content-Type: {JSON}\r\nContent-Length: {len(content)}\r\n" if content else ""
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
            **({"Authorization": f"Bearer {token}"} if token else {}),
        }
        return "".join(f"{name}: {value}\r\n" for name, value in headers.items())
