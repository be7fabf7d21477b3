"""Bare AAC, frame by frame: FFmpeg passes over what is damaged without a word.

Each frame has a header of its own (ADTS, ISO/IEC 13818-7, 6.2), which says how long the frame is.
Bytes that belong to none were sound once, or a tag. FFmpeg's own reader searches for the next
header, and says neither where nor how far.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import av
from av.audio.stream import AudioStream

from splitjob_worker.source.content import Content
from splitjob_worker.source.packets import Lost
from splitjob_worker.source.parts import Part
from splitjob_worker.source.tag_sizes import ID3_HEADER, id3_size

__all__ = ["CONTAINER", "decoded"]

CONTAINER = "aac"  # FFmpeg's name of it

_HEADER = 7  # bytes
_SYNC = re.compile(rb"\xff[\xf0\xf1\xf8\xf9]")
_RATES = 13  # a header has the number of one
_BLOCK = 1 << 16


class _Header(NamedTuple):
    """What a header says.

    Attributes:
        fixed: what all frames of a stream have in common: profile, rate, channels.
        size: bytes of the frame, with its header.
    """

    fixed: bytes
    size: int


def decoded(source: Path, part: Part, track: AudioStream) -> Iterator[av.AudioFrame | Lost]:
    """Yield the frames of a file of bare AAC, and what was lost between them.

    Args:
        source: the file.
        part: of it.
        track: of that part.

    Raises:
        av.error.FFmpegError: memory ran out.
    """
    context = track.codec_context
    spent = _Spent()
    with source.open("rb") as file:
        for piece in _pieces(Content(file, part.end), part.start):
            if isinstance(piece, int):
                yield Lost(spent.seconds_of(piece), counts=False)
                continue
            try:
                frames = context.decode(av.Packet(piece))
            except av.error.MemoryError:
                raise
            except av.error.FFmpegError:
                yield Lost(spent.seconds_of(len(piece)), counts=False)
                continue
            spent.add(len(piece), frames)
            yield from frames
    yield from context.decode(None)


class _Spent:
    """How long the frames were that were decoded, and of how many bytes."""

    def __init__(self) -> None:
        self._bytes = self._packets = 0
        self._seconds = 0.0

    def add(self, size: int, frames: list[av.AudioFrame]) -> None:
        self._bytes += size
        self._packets += 1
        self._seconds += sum(frame.samples / frame.sample_rate for frame in frames)

    def seconds_of(self, size: int) -> float:
        """Return what so many bytes last, in whole frames."""
        if not self._packets:
            return 0.0
        return round(size * self._packets / self._bytes) * self._seconds / self._packets


def _pieces(content: Content, place: int) -> Iterator[bytes | int]:
    """Yield frames and, in their places, of how many bytes nothing is known."""
    known: bytes | None = None
    unknown = 0
    while place < content.size:
        start = content.at(place, ID3_HEADER)
        if tag := id3_size(start):
            place += tag
            continue
        header = _header(start)
        if header is None or not _is_frame(content, place, header, known):
            behind = _next_sync(content, place + 1)
            unknown += behind - place
            place = behind
            continue
        if unknown:
            yield unknown
        yield content.at(place, header.size)
        known, unknown = header.fixed, 0
        place += header.size


def _next_sync(content: Content, place: int) -> int:
    """Return where the next header may be, or the end."""
    while place < content.size:
        block = content.at(place, _BLOCK)
        if found := _SYNC.search(block):
            return place + found.start()
        place += max(len(block) - 1, 1)
    return content.size


def _is_frame(content: Content, place: int, header: _Header, known: bytes | None) -> bool:
    """Whether it is a frame, and no bytes that look like the header of one."""
    behind = place + header.size
    if header.fixed == known or behind == content.size:
        return True
    following = content.at(behind, ID3_HEADER)
    return _header(following) is not None or id3_size(following) > 0


def _header(start: bytes) -> _Header | None:
    """Return the header with which bytes begin; None: they begin with none."""
    if len(start) < _HEADER or not _SYNC.match(start):
        return None
    size = int.from_bytes(start[3:6]) >> 5 & 0x1FFF
    if size < _HEADER or start[2] >> 2 & 0xF >= _RATES:
        return None
    return _Header(bytes((start[1] & 0x08, start[2] & 0xFD, start[3] & 0xC0)), size)
