"""What the headers of an answer say about the version and the length of a source (RFC 9110)."""

from dataclasses import dataclass
from typing import Self

import httpx

_MAX_DIGITS = 20  # of a number in a header: as many as h11 accepts, and more than any file needs


@dataclass(frozen=True)
class SourceVersion:
    """What the answers so far said about the source; blank, or 0: none of them said anything.

    Attributes:
        etag: a strong ETag.
        modified: the time of its last change.
        total: bytes of the whole source, as it is sent.
        encoding: how those bytes are encoded.
    """

    etag: str = ""
    modified: str = ""
    total: int = 0
    encoding: str = ""

    @classmethod
    def of(cls, response: httpx.Response) -> Self:
        """Read it from the headers of an answer."""
        etag = _ascii(response.headers.get("ETag", ""))
        return cls(
            etag if etag.startswith('"') else "",
            _ascii(response.headers.get("Last-Modified", "")),
            _total_length(response),
            response.headers.get("Content-Encoding", ""),
        )

    @property
    def validator(self) -> str:
        """What `If-Range` is sent with; blank: nothing identifies this version."""
        return self.etag or self.modified

    def differs_from(self, other: "SourceVersion") -> bool:
        """Return whether two answers cannot be of the same bytes."""
        return (
            _contradict(self.etag, other.etag)
            or _contradict(self.modified, other.modified)
            or _contradict(self.total, other.total)
            or _contradict(self.encoding, other.encoding)
        )

    def completed_by(self, other: "SourceVersion") -> "SourceVersion":
        """Return this version with what only the other answer says."""
        return SourceVersion(
            self.etag or other.etag,
            self.modified or other.modified,
            self.total or other.total,
            self.encoding or other.encoding,
        )


def body_length(response: httpx.Response) -> int:
    """Return the bytes in the body of an answer, 0 where the headers do not say."""
    return _number(response.headers.get("Content-Length", ""))


def range_start(response: httpx.Response) -> str:
    """Return the first byte of a partial answer, as the header says it."""
    content_range: str = response.headers.get("Content-Range", "")
    return content_range.removeprefix("bytes ").split("-")[0]


def _total_length(response: httpx.Response) -> int:
    """Return the bytes of the whole source, 0 where that is not said (RFC 9110, 14.4)."""
    if response.status_code == httpx.codes.PARTIAL_CONTENT:
        return _number(response.headers.get("Content-Range", "").rpartition("/")[2])
    return body_length(response)


def _contradict(one: str | int, other: str | int) -> bool:
    """Return whether two answers contradict each other; one that says nothing contradicts none."""
    return bool(one and other and one != other)


def _number(text: str) -> int:
    """Return a header's number, 0 where it is none: `isdigit` alone accepts what `int` does not."""
    fits = text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS
    return int(text) if fits else 0


def _ascii(text: str) -> str:
    """Return a header's value if it can be sent back, else nothing."""
    return text if text.isascii() else ""
