"""The bytes of a file: as they are, and as FFmpeg is to read them."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

__all__ = ["Content", "Edit", "EditedFile"]

_BLOCK = 1 << 16


class Content:
    """The bytes of a file, read where they are asked for.

    Args:
        file: open for reading.
        size: bytes of it that are read: where its part ends.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self.size = size

    def at(self, place: int, count: int) -> bytes:
        """Return so many bytes from a place on, fewer at the end, and none behind it."""
        if place >= self.size:
            return b""
        self._file.seek(place)
        return self._file.read(min(count, self.size - place))

    def find(self, wanted: bytes, place: int) -> int | None:
        """Return where bytes are found first from a place on."""
        while place < self.size:
            found = self.at(place, _BLOCK + len(wanted) - 1).find(wanted)
            if found >= 0:
                return place + found
            place += _BLOCK
        return None

    def after_run(self, place: int, of: bytes) -> int:
        """Return the first place from one on that holds none of these bytes."""
        while piece := self.at(place, _BLOCK):
            kept = len(piece.lstrip(of))
            place += len(piece) - kept
            if kept:
                break
        return place


class Edit(NamedTuple):
    """Bytes that are read as others.

    Attributes:
        start: the first of them.
        end: the byte behind them.
        content: in their place; empty: they are left out.
    """

    start: int
    end: int
    content: bytes = b""


class _Piece(NamedTuple):
    """A run of an edited file: where it begins there, and what it is.

    Attributes:
        place: of its first byte.
        length: bytes.
        start: of it in the source; None: it is `content`.
        content: that is not from the source.
    """

    place: int
    length: int
    start: int | None
    content: bytes


class EditedFile(io.RawIOBase):
    """A run of a file's bytes with edits, to be read.

    Args:
        source: the file.
        start: of the run.
        end: behind it.
        edits: inside it, in order.
    """

    def __init__(self, source: Path, start: int, end: int, edits: Sequence[Edit]) -> None:
        super().__init__()
        self._file = source.open("rb", buffering=0)
        self._pieces: list[_Piece] = []
        self._size = self._place = 0
        for edit in edits:
            self._add(edit.start - start, start)
            self._add(len(edit.content), None, edit.content)
            start = edit.end
        self._add(end - start, start)

    def close(self) -> None:
        """Close the source as well."""
        self._file.close()
        super().close()

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place; return it."""
        origins = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}
        self._place = max(origins[whence] + offset, 0)
        return self._place

    def tell(self) -> int:
        """Return the place that is read next."""
        return self._place

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, no more than one piece holds; none at the end."""
        for piece in self._pieces:
            inside = self._place - piece.place
            if 0 <= inside < piece.length:
                left = piece.length - inside
                found = self._of(piece, inside, left if size < 0 else min(size, left))
                self._place += len(found)
                return found
        return b""

    def _of(self, piece: _Piece, inside: int, count: int) -> bytes:
        if piece.start is None:
            return piece.content[inside : inside + count]
        self._file.seek(piece.start + inside)
        return self._file.read(count)

    def _add(self, length: int, start: int | None, content: bytes = b"") -> None:
        if length > 0:
            self._pieces.append(_Piece(self._size, length, start, content))
            self._size += length
