"""What an AVI file says of its sound besides the sound: how long it is, and which chunks there are.

AVI has no time stamps: sound lasts as long as its chunks do. FFmpeg passes over chunks that are
damaged or empty, and what follows comes early. The index at the end of the file (`idx1`) lists all
of them, so that those passed over are known. An empty chunk stands for a frame of silence where the
header counts it: so programs write sound that begins late or pauses.

Source: Microsoft's AVI RIFF file reference.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from splitjob_worker.source.packets import Lost
from splitjob_worker.source.parts import Part

__all__ = ["CONTAINER", "Index", "index_of", "seconds_if_cut_off"]

CONTAINER = "avi"  # FFmpeg's name of it

_CHUNK = 8  # bytes of a chunk's header; a list has its kind behind it
_KIND = 4
_MOST_HEADERS = 1 << 20
_MOST_INDEX = 64 << 20  # bytes
_BYTES = 1  # as the size of a sample: a stream cut into chunks anywhere, not between its frames
_ENTRY = struct.Struct("<4s4xII")  # of the index: which stream, where, how many bytes
_STREAM = struct.Struct("<4s16xII4xI8xI")  # kind, scale, rate, length, size of a sample


class _Chunk(NamedTuple):
    """A piece of a stream.

    Attributes:
        place: of its header in the part of the file.
        size: bytes of its content.
    """

    place: int
    size: int


class _Stream(NamedTuple):
    """What the header says of a stream of sound.

    Attributes:
        unit: seconds of a frame, or of a sample where all are of one size.
        length: units.
        sample_size: bytes of a unit; 0: each chunk is one.
    """

    unit: float
    length: int
    sample_size: int


class Index:
    """The chunks of one stream, as the index has them, and how far they were read.

    Args:
        stream: as the header has it.
        chunks: in order.
    """

    def __init__(self, stream: _Stream, chunks: list[_Chunk]) -> None:
        self._stream, self._chunks = stream, chunks
        self._next = self._of_last_packet = 0
        # Some programs write an empty chunk where the sound comes with the next picture.
        self._empty_is_silence = not stream.sample_size and len(chunks) <= stream.length

    def passed_over(self, place: int | None, size: int) -> Iterator[Lost]:
        """Yield what lies between the packet before and this one, and did not come.

        Args:
            place: of the packet in the part of the file; None: where the one before it is.
            size: of the packet; 0: there are no more of them.
        """
        if place is None and size:
            return
        while self._next < len(self._chunks):
            chunk = self._chunks[self._next]
            if place is not None and place < chunk.place + _CHUNK + chunk.size:
                break
            self._next += 1
            yield from self._loss_of(chunk)
        self._of_last_packet = size if self._stream.sample_size == _BYTES else 0
        if self._next < len(self._chunks) and place is not None:
            self._next += place >= self._chunks[self._next].place

    def _loss_of(self, chunk: _Chunk) -> Iterator[Lost]:
        if not chunk.size:
            if self._empty_is_silence:
                yield Lost(self._stream.unit, silent=True)
        elif self._of_last_packet > 0:  # it may be that packet's
            self._of_last_packet -= chunk.size
        else:
            self._of_last_packet = 0
            size = self._stream.sample_size
            yield Lost((chunk.size // size if size else 1) * self._stream.unit)


def index_of(source: Path, part: Part, number: int) -> Index | None:
    """Return the index of a stream of sound; None: there is none.

    Args:
        source: the file.
        part: of it.
        number: of the stream, as FFmpeg counts them.
    """
    with source.open("rb") as file:
        top, stream = _described(file, part, number)
        chunks = list(_indexed(file, part, top, number))
    return Index(stream, chunks) if stream and chunks else None


def seconds_if_cut_off(source: Path, part: Part, number: int) -> float | None:
    """Return how long the sound of a file is that ends before its index; None: it is whole.

    Args:
        source: the file.
        part: of it.
        number: of the stream, as FFmpeg counts them.
    """
    with source.open("rb") as file:
        top, stream = _described(file, part, number)
        file.seek(part.start + _KIND)
        size = int.from_bytes(file.read(_CHUNK - _KIND), "little") + _CHUNK
    is_cut_off = part.end - part.start < size and b"idx1" not in top
    return stream.unit * stream.length if stream and is_cut_off else None


def _described(
    file: BinaryIO, part: Part, number: int
) -> tuple[dict[bytes, tuple[int, int]], _Stream | None]:
    """Return where the chunks on top are, by kind, and what is said of a stream of sound."""
    top = dict(_top(file, part))
    return top, _stream(_content(file, top.get(b"hdrl"), _MOST_HEADERS), number)


def _top(file: BinaryIO, part: Part) -> Iterator[tuple[bytes, tuple[int, int]]]:
    """Yield the kinds of the outermost chunks, and from where to where their content is."""
    place = part.start + _CHUNK + _KIND
    while place + _CHUNK <= part.end:
        file.seek(place)
        name, size, kind = struct.unpack("<4sI4s", file.read(_CHUNK + _KIND).ljust(12, b"\0"))
        content = place + _CHUNK
        yield (kind if name == b"LIST" else name), (content, min(content + size, part.end))
        place = content + size + size % 2


def _content(file: BinaryIO, extent: tuple[int, int] | None, most: int) -> bytes:
    if extent is None:
        return b""
    file.seek(extent[0])
    return file.read(min(extent[1] - extent[0], most))


def _stream(headers: bytes, number: int) -> _Stream | None:
    """Return what the headers say of a stream; None: it is not sound, or they say nothing."""
    place = -1
    for _ in range(number + 1):
        place = headers.find(b"strh", place + 1)
        if place < 0:
            return None
    header = headers[place + _CHUNK :][: _STREAM.size]
    if len(header) < _STREAM.size:
        return None
    kind, scale, rate, length, sample_size = _STREAM.unpack(header)
    if kind != b"auds" or not scale or not rate or not length:
        return None
    return _Stream(scale / rate, length, sample_size)


def _indexed(
    file: BinaryIO, part: Part, top: dict[bytes, tuple[int, int]], number: int
) -> Iterator[_Chunk]:
    """Yield the chunks of a stream that the index lists."""
    if b"movi" not in top:
        return
    entries = _content(file, top.get(b"idx1"), _MOST_INDEX)
    listed = list(_ENTRY.iter_unpack(entries[: len(entries) // _ENTRY.size * _ENTRY.size]))
    name = f"{number:02d}wb".encode()
    movi = top[b"movi"][0] - part.start
    for base in (movi, 0):  # programs disagree from where places count
        if listed and _content(file, _first(part, base, listed[0]), _KIND) == listed[0][0]:
            yield from (_Chunk(base + place, size) for of, place, size in listed if of == name)
            return


def _first(part: Part, base: int, entry: tuple[bytes, int, int]) -> tuple[int, int]:
    place = part.start + base + entry[1]
    return place, min(place + _KIND, part.end)
