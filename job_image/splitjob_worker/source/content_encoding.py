"""Undoes the Content-Encoding that a source is stored with (RFC 9110, 8.4).

Object stores keep that header with an object and serve it whatever a client accepts. What is not
in fact encoded is left as it is: some servers decode on the way and leave the header.
"""

import gzip
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from splitjob.errors import ErrorCode, Failure

__all__ = ["decode_content"]

_BLOCK = 1 << 16
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP = {"gzip", "x-gzip"}
# What says nothing about the bytes: clients that sign in chunks leave the second one behind.
_NOTHING = {"", "identity", "aws-chunked"}
_MAX_NAME = 32


def decode_content(
    file: Path, encodings: str, check: Callable[[int], None], working: Callable[[], None]
) -> None:
    """Put the decoded content in the place of a file, if it is encoded.

    Args:
        file: what was received.
        encodings: the header, blank where there is none; the last one was applied last.
        check: is told how many bytes there are so far; raises where that is too many.
        working: called often; raises to stop.

    Raises:
        Failure: `audio_unreadable`: an encoding that is not known, or content that is damaged.
    """
    names = [name.strip().lower() for name in encodings.split(",")]
    for name in reversed([name for name in names if name not in _NOTHING]):
        if name not in _GZIP:
            raise Failure(
                ErrorCode.AUDIO_UNREADABLE,
                f"the source is stored with Content-Encoding: {_shown(name)}, of which only gzip "
                "is decoded: store it without",
            )
        _undo_gzip(file, check, working)


def _undo_gzip(file: Path, check: Callable[[int], None], working: Callable[[], None]) -> None:
    decoded = file.with_name(f"{file.name}.decoded")
    with file.open("rb") as source:
        if source.read(len(_GZIP_MAGIC)) != _GZIP_MAGIC:
            return
        source.seek(0)
        size = 0
        with decoded.open("wb") as target:
            for piece in _pieces(source):
                working()
                size += len(piece)
                check(size)
                target.write(piece)
    decoded.replace(file)


def _pieces(source: BinaryIO) -> Iterator[bytes]:
    """Yield the content of all members of a gzip file (RFC 1952)."""
    with gzip.GzipFile(fileobj=source) as members:
        while True:
            try:
                piece = members.read(_BLOCK)
            except (EOFError, gzip.BadGzipFile, zlib.error):
                raise _damaged() from None
            if not piece:
                return
            yield piece


def _damaged() -> Failure:
    return Failure(
        ErrorCode.AUDIO_UNREADABLE,
        "the source is stored with Content-Encoding: gzip, but its gzip data is damaged or cut off",
    )


def _shown(name: str) -> str:
    """Return a header's value that a message may show."""
    plain = name.isascii() and name.replace("-", "").isalnum() and len(name) <= _MAX_NAME
    return name if plain else "something that is no name"
