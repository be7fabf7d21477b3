"""Whole files one behind the other, as where recordings were joined byte by byte.

FFmpeg reads the first and ends, without a word of the others. Chained Ogg is something else, and in
order (RFC 3533): `parts` has its links.

Sources: as in `wav`; Audio Interchange File Format 1.3; ISO/IEC 14496-12; Adobe Flash Video 10.1.
"""

from collections.abc import Iterator
from typing import Literal

from splitjob_worker.source.content import Content
from splitjob_worker.source.edits import BOX_NAME, FIRST_BOX, box_size

__all__ = ["files_of"]

_HEADER = 12  # bytes: name, size, what kind of file
_SIZE = slice(4, 8)
_KINDS = {b"RIFF": (b"WAVE",), b"FORM": (b"AIFF", b"AIFC")}
_ORDERS: dict[bytes, Literal["little", "big"]] = {b"RIFF": "little", b"FORM": "big"}
_FLV, _FLV_HEADER = b"FLV\1", 13
_FLV_TAG, _FLV_TAG_SIZE = 11, slice(1, 4)  # the size of the tag before stands behind each tag
_FLV_TAGS = (8, 9, 18)


def files_of(content: Content, start: int) -> Iterator[tuple[int, int]]:
    """Yield where each file begins and ends; mostly it is one.

    Args:
        content: of all of them.
        start: of the first.
    """
    while (following := _next_file(content, start)) is not None:
        yield start, following
        start = following
    yield start, content.size


def _next_file(content: Content, start: int) -> int | None:
    header = content.at(start, _HEADER)
    if header[:4] in _KINDS:
        return _behind_chunks(content, start, header)
    if header.startswith(_FLV):
        return _behind_flash_video(content, start)
    if header[BOX_NAME:8] == FIRST_BOX:
        return _behind_boxes(content, start)
    return None


def _behind_chunks(content: Content, start: int, header: bytes) -> int | None:
    """Return where the file behind a WAV or AIFF begins; None: nowhere, or its size is not true."""
    size = int.from_bytes(header[_SIZE], _ORDERS[header[:4]])
    end = start + 8 + size
    for place in (end + size % 2, end):
        following = content.at(place, _HEADER)
        if following[:4] == header[:4] and following[8:] in _KINDS[header[:4]]:
            return place
    return None


def _behind_boxes(content: Content, start: int) -> int | None:
    """Return where the file behind an m4a or mp4 begins; None: nowhere.

    Fragments may rightly be preceded by the first boxes of their stream, again and again.
    """
    seen: set[bytes] = set()
    place = start
    while size := box_size(content, place):
        place += size
        name = content.at(place + BOX_NAME, len(FIRST_BOX))
        if name == FIRST_BOX and {b"moov", b"mdat"} <= seen and b"moof" not in seen:
            return place
        seen.add(name)
    return None


def _behind_flash_video(content: Content, start: int) -> int | None:
    """Return where the file behind an flv begins; None: nowhere."""
    place = start + _FLV_HEADER
    while header := content.at(place, _FLV_TAG):
        if header.startswith(_FLV):
            return place
        if header[0] not in _FLV_TAGS:
            return None
        place += _FLV_TAG + int.from_bytes(header[_FLV_TAG_SIZE]) + 4
    return None
