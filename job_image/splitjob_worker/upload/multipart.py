"""A file goes up while it is still written, in parts.

What formats change when a file is closed (sizes, number of samples, digest) stands at its
beginning. So every part but the first is sent as soon as it is on the disk, and the first one last.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from splitjob.errors import Failure

PART_BYTES = 8 << 20  # S3 takes 5 MiB or more, and 10,000 parts; R2 wants them all alike
FIRST = 1
MOST_LEFT = 4  # parts of a finished file that are sent one after the other in any case


class Parts(Protocol):
    """An object on its way into a bucket, in parts of `PART_BYTES` of which the last may be short.

    Every method raises `upload_failed`, which says whether trying again may help.
    """

    def put(self, number: int, body: bytes) -> None:
        """Send a part; the first is number 1."""

    def complete(self) -> None:
        """Make one object of the parts."""

    def abort(self) -> None:
        """Give up: nothing of it is left."""


class EarlyUpload:
    """The upload of one file that still grows.

    Where storage fails for the moment, the early upload is given up and nothing is lost: the whole
    file is there to be sent when it is finished.

    Args:
        path: the file.
        begin: begins the upload; None: it cannot be done in parts.
    """

    def __init__(self, path: Path, begin: Callable[[], Parts | None]) -> None:
        self._path, self._begin = path, begin
        self._parts: Parts | None = None
        self._next = FIRST + 1
        self._asked = self._over = self._completed = False
        self._lock = threading.Lock()

    def ask(self) -> bool:
        """Return whether `advance` is due: another part is on the disk, and none is under way."""
        if self._asked or self._over or self._path.stat().st_size < self._next * PART_BYTES:
            return False
        self._asked = True
        return True

    def advance(self, check: Callable[[], None]) -> None:
        """Send all parts that are on the disk, but the first.

        Args:
            check: called between parts; raises to stop.

        Raises:
            Failure: `upload_failed`: storage refuses, for good.
        """
        with self._lock:
            self._try(lambda: self._send_until(self._path.stat().st_size // PART_BYTES, check))
            self._asked = False

    def finish(self, check: Callable[[], None]) -> bool:
        """Send what is left of the finished file, where most of it, or nearly all, went up before.

        Args:
            check: called between parts; raises to stop.

        Returns:
            Whether it is up.

        Raises:
            Failure: `upload_failed`: storage refuses, for good.
        """
        if self._lags():
            self._over = True  # before the lock: this ends an `advance` that is under way, too
        with self._lock:
            if (parts := self._parts) is not None:
                self._try(lambda: self._send_rest(parts, check))
            self._over = True
            return self._completed

    def forget(self) -> None:
        """Send nothing more; from any thread, at once. What went up is left to `abandon`."""
        self._over = True

    def abandon(self) -> None:
        """Leave nothing in the bucket of an upload that is not completed.

        Waits for a part that is under way. Where storage does not let go of the parts, the bucket's
        own rule for unfinished uploads has to.
        """
        self._over = True
        with self._lock:
            parts, self._parts = self._parts, None
            if parts is not None and not self._completed:
                with suppress(Failure):
                    parts.abort()

    def _try(self, send: Callable[[], None]) -> None:
        """Send; a failure that may pass, and the end of a file that was forgotten, are its end."""
        if self._over:
            return
        try:
            send()
        except FileNotFoundError:
            if not self._over:
                raise
        except Failure as failure:
            if not failure.retryable:
                raise
            self._over = True

    def _send_until(self, last: int, check: Callable[[], None]) -> None:
        while self._next <= last and not self._over:
            check()
            self._parts = self._parts or self._begin()
            if self._parts is None:
                self._over = True
                return
            self._parts.put(self._next, self._read(self._next))
            self._next += 1

    def _send_rest(self, parts: Parts, check: Callable[[], None]) -> None:
        self._send_until(self._last(), check)
        if self._over:  # forgotten on the way: without its last parts it must not be completed
            return
        check()
        parts.put(FIRST, self._read(FIRST))
        parts.complete()
        self._completed = True

    def _last(self) -> int:
        """Return the number of the finished file's last part."""
        return -(-self._path.stat().st_size // PART_BYTES)

    def _lags(self) -> bool:
        """Return whether the finished file is up sooner when all of it is sent in parallel."""
        up = self._next - FIRST - 1
        return self._last() - up > max(MOST_LEFT, up)

    def _read(self, number: int) -> bytes:
        with self._path.open("rb") as file:
            file.seek((number - 1) * PART_BYTES)
            return file.read(PART_BYTES)
