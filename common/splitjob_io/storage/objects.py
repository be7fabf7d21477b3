"""What is told of the objects in a bucket."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, NamedTuple, TypedDict

__all__ = ["ObjectInfo", "ObjectMetadata", "OpenObject", "StoredObject", "listed"]


class ObjectInfo(TypedDict):
    """One object of a listing."""

    key: str
    size: int
    last_modified: datetime
    etag: str


class ObjectMetadata(TypedDict):
    """What is known of an object without reading it."""

    size: int
    content_type: str
    content_encoding: str
    last_modified: datetime
    etag: str
    metadata: dict[str, str]


class StoredObject(NamedTuple):
    """A small object, and which state of it was read.

    Attributes:
        content: all of it.
        etag: what `put_if_unchanged` knows this state by.
    """

    content: bytes
    etag: str


class OpenObject:
    """An object that is being read.

    Args:
        body: of botocore.
        size: bytes.
        etag: in quotes.
        speaking: turns what reading raises into `StorageError`.
    """

    def __init__(
        self,
        body: Any,  # noqa: ANN401 - as the client
        size: int,
        etag: str,
        speaking: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self.size, self.etag = size, etag
        self._body, self._speaking = body, speaking

    def read(self, size: int) -> bytes:
        """Return the next bytes, none at the end.

        Raises:
            StorageError: the storage broke off.
        """
        with self._speaking():
            piece: bytes = self._body.read(size)
        return piece

    def close(self) -> None:
        """Read no further."""
        self._body.close()


def listed(found: Mapping[str, Any]) -> ObjectInfo:
    """Return an object as a listing names it."""
    return ObjectInfo(
        key=found["Key"],
        size=found["Size"],
        last_modified=found["LastModified"],
        etag=found["ETag"].strip('"'),
    )
