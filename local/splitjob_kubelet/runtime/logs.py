"""Container logs on disk in the CRI format, and reading them for `kubectl logs`.

Each line is `TIME STREAM TAG CONTENT`: RFC 3339 time with nanoseconds, `stdout` or `stderr`, `F`
for a full line and `P` for a part of one.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

ROTATE_AT_BYTES = 10 * 1024 * 1024
_LONGEST_LINE = 16 * 1024
_BLOCK = 64 * 1024


def _now_text() -> bytes:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z").encode()


class LogWriter:
    """Appends a container's output to its log, and wakes the readers that follow it.

    A log that reaches ROTATE_AT_BYTES is rotated; a container has at most two such files.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO = path.open("ab", buffering=0)
        self._size = self._file.tell()
        self._rest: dict[str, bytes] = {}
        self._changed = asyncio.Event()
        self.closed = False

    def write(self, stream: str, data: bytes) -> None:
        """Append output; an incomplete line is kept until its end arrives."""
        *lines, rest = (self._rest.get(stream, b"") + data).split(b"\n")
        stamp = _now_text()
        out = bytearray()
        for line in lines:
            out += _entry(stamp, stream, b"F", line)
        while len(rest) > _LONGEST_LINE:
            out += _entry(stamp, stream, b"P", rest[:_LONGEST_LINE])
            rest = rest[_LONGEST_LINE:]
        self._rest[stream] = rest
        self._append(bytes(out))

    def close(self) -> None:
        """Write incomplete lines, and end all readers that follow the log."""
        if self.closed:
            return
        for stream, rest in self._rest.items():
            if rest:
                self._append(_entry(_now_text(), stream, b"P", rest))
        self.closed = True
        self._file.close()
        self._announce()

    def _append(self, data: bytes) -> None:
        if not data:
            return
        if self._size > ROTATE_AT_BYTES:
            self._rotate()
        self._file.write(data)
        self._size += len(data)
        self._announce()

    def _rotate(self) -> None:
        self._file.close()
        self.path.replace(rotated(self.path))
        self._file = self.path.open("ab", buffering=0)
        self._size = 0

    def _announce(self) -> None:
        change, self._changed = self._changed, asyncio.Event()
        change.set()

    def next_change(self) -> asyncio.Event:
        """An event that is set when output is added or the log is closed."""
        return self._changed


def _entry(stamp: bytes, stream: str, tag: bytes, content: bytes) -> bytes:
    return b"%s %s %s %s\n" % (stamp, stream.encode(), tag, content)


def rotated(path: Path) -> Path:
    """The file with the rotated part of a log."""
    return path.with_suffix(".old.log")


@dataclass(frozen=True)
class LogQuery:
    """PodLogOptions of the Kubernetes API."""

    follow: bool = False
    tail_lines: int | None = None
    since: datetime | None = None
    limit_bytes: int | None = None
    timestamps: bool = False


@dataclass(frozen=True)
class LogEntry:
    """A stored line, or a part of one."""

    stamp: bytes
    whole: bool
    content: bytes

    @classmethod
    def parse(cls, line: bytes) -> "LogEntry":
        stamp, _stream, tag, content = line.split(b" ", 3)
        return cls(stamp, tag == b"F", content)

    def shown(self, timestamps: bool) -> bytes:
        text = self.stamp + b" " + self.content if timestamps else self.content
        return text + b"\n" if self.whole else text

    def is_since(self, moment: datetime) -> bool:
        return datetime.fromisoformat(self.stamp.decode()) >= moment


async def read_log(
    path: Path, query: LogQuery, writer: LogWriter | None = None
) -> AsyncIterator[bytes]:
    """The output of a container as `kubectl logs` shows it.

    Args:
        path: the log file.
        query: what to show.
        writer: still writes to it; following ends when it is closed.

    Yields:
        Pieces of the answer.
    """
    left = query.limit_bytes
    async for entry in _entries(path, query, writer):
        shown = entry.shown(query.timestamps)
        if left is not None:
            shown = shown[:left]
            left -= len(shown)
        yield shown
        if left == 0:
            return


async def _entries(
    path: Path, query: LogQuery, writer: LogWriter | None
) -> AsyncIterator[LogEntry]:
    reader = _Reader(path)
    try:
        for entry in _selected(reader, query):
            yield entry
        while query.follow and writer is not None:
            change, closed = writer.next_change(), writer.closed
            for entry in reader.entries():
                yield entry
            if closed:
                return
            await change.wait()
    finally:
        reader.close()


def _selected(reader: "_Reader", query: LogQuery) -> Iterator[LogEntry]:
    if query.tail_lines is not None and query.since is None:
        reader.seek_tail(query.tail_lines)
        yield from reader.entries()
        return
    entries = [
        entry for entry in reader.entries() if query.since is None or entry.is_since(query.since)
    ]
    start = max(len(entries) - query.tail_lines, 0) if query.tail_lines is not None else 0
    yield from entries[start:]


class _Reader:
    """Reads stored lines, continuing in the new file after a rotation."""

    def __init__(self, path: Path) -> None:
        self._path = path
        older = rotated(path)
        self._pending = [older] if older.exists() else []
        self._file = self._next_file()

    def _next_file(self) -> BinaryIO | None:
        path = self._pending.pop() if self._pending else self._path
        return path.open("rb") if path.exists() else None

    def seek_tail(self, lines: int) -> None:
        """Skip to the last lines of the newest file."""
        self.close()
        self._pending = []
        self._file = self._next_file()
        if self._file is not None:
            self._file.seek(tail_offset(self._file, lines))

    def entries(self) -> Iterator[LogEntry]:
        while self._file is not None:
            where = self._file.tell()
            line = self._file.readline()
            if line.endswith(b"\n"):
                yield LogEntry.parse(line[:-1])
                continue
            self._file.seek(where)
            if not self._moved_on():
                return

    def _moved_on(self) -> bool:
        """Open the newer file if this one was rotated; returns whether it was."""
        if self._file is None or not self._path.exists():
            return False
        current, opened = self._path.stat(), _stat(self._file)
        if (current.st_ino, current.st_dev) == opened:
            return False
        self._file.close()
        self._file = self._path.open("rb")
        return True

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _stat(file: BinaryIO) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_ino, status.st_dev


def tail_offset(file: BinaryIO, lines: int) -> int:
    """The offset of the last `lines` lines of a file."""
    end = file.seek(0, 2)
    if lines <= 0:
        return end
    position, found = end, 0
    while position > 0:
        size = min(_BLOCK, position)
        position -= size
        file.seek(position)
        block = file.read(size)
        at = len(block)
        while (at := block.rfind(b"\n", 0, at)) >= 0:
            if position + at + 1 == end:
                continue
            found += 1
            if found == lines:
                return position + at + 1
    return 0


def last_output(path: Path, max_lines: int = 80, max_bytes: int = 2048) -> str:
    """The end of a log, for the termination message policy FallbackToLogsOnError."""
    reader = _Reader(path)
    try:
        reader.seek_tail(max_lines)
        text = b"".join(entry.shown(timestamps=False) for entry in reader.entries())
    finally:
        reader.close()
    return text[-max_bytes:].decode(errors="replace")
