"""Where a page of the list ended, as text that callers hand back: the cursor.

It holds the position of the last job of the page, so that what comes and goes meanwhile moves
nothing, and a digest over that and the filter. So it is good for its own filter alone, on every
replica and across restarts. It guards nothing: whoever makes one up gets what is theirs to see.
"""

import base64
import binascii
import hashlib

from splitjob_api.cached_job import JobFilter, Position

_DIGEST_BYTES = 9


class CursorError(ValueError):
    """A cursor was made up, changed on the way, or belongs to another filter."""


def cursor_after(position: Position, wanted: JobFilter) -> str:
    """Return the cursor of what comes after a position in a filtered list."""
    created, name = position
    plain = f"{created} {name}".encode()
    return base64.urlsafe_b64encode(_digest(plain, wanted) + plain).decode().rstrip("=")


def position_of(cursor: str, wanted: JobFilter) -> Position:
    """Return the position that a cursor stands for.

    Raises:
        CursorError: it is none of this filter.
    """
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        content = base64.b64decode(padded, altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise CursorError(cursor) from None
    plain = content[_DIGEST_BYTES:]
    if _digest(plain, wanted) != content[:_DIGEST_BYTES]:
        raise CursorError(cursor)
    try:
        created, _, name = plain.decode().partition(" ")
        position = int(created), name
    except ValueError:
        raise CursorError(cursor) from None
    if cursor_after(position, wanted) != cursor:
        raise CursorError(cursor)
    return position


def _digest(plain: bytes, wanted: JobFilter) -> bytes:
    text = repr(
        (sorted(wanted.states), wanted.version_id, wanted.model, wanted.since, wanted.until)
    )
    return hashlib.sha256(plain + b"\n" + text.encode()).digest()[:_DIGEST_BYTES]
