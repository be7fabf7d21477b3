"""A file is uploaded in parts while it is still written.

What a format rewrites when its file is closed (sizes, number of samples, digest) is in the first
part. So every other part is uploaded as soon as it is on the disk, and the first one last.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from splitjob.errors import Failure

PART_BYTES = 8 << 20  # S3 takes 5 MiB or more, and 10,000 parts; R2 wants them all of one size
_FIRST = 1
_MAX_PARTS_LEFT = 4  # of a finished file, that are uploaded one after the other in any case


class MultipartUpload(Protocol):
    """An object on its way into a bucket in parts of `PART_BYTES`; the last may be shorter.

    Every method raises `upload_failed`, which says whether another attempt may help.
    """

    def upload_part(self, number: int, body: bytes) -> None:
        """Upload a part; the first is number 1."""

    def complete(self) -> None:
        """Make one object of the parts."""

    def abort(self) -> None:
        """Delete the parts uploaded so far."""


class MultipartStream:
    """The upload of one file that is still growing.

    Where storage fails for the moment, the stream gives up and nothing is lost: the finished file
    can be uploaded whole.

    Args:
        path: the file.
        create: starts the multipart upload; returns None where the target takes no parts.
    """

    def __init__(self, path: Path, create: Callable[[], MultipartUpload | None]) -> None:
        self._path, self._create = path, create
        self._upload: MultipartUpload | None = None
        self._next_part = _FIRST + 1
        self._scheduled = self._stopped = self._completed = False
        self._lock = threading.Lock()

    def try_schedule(self) -> bool:
        """Return whether `upload_ready_parts` is to be called, and count it as scheduled.

        It is when another part is on the disk and no call is scheduled already.
        """
        if self._scheduled or self._stopped:
            return False
        if self._path.stat().st_size < self._next_part * PART_BYTES:
            return False
        self._scheduled = True
        return True

    def upload_ready_parts(self, check: Callable[[], None]) -> None:
        """Upload all parts that are on the disk, except for the first.

        Args:
            check: called between parts; raises to stop.

        Raises:
            Failure: `upload_failed`: storage refuses, and would do so again.
        """
        with self._lock:
            self._or_stop(lambda: self._upload_through(self._ready_parts(), check))
            self._scheduled = False

    def finish(self, check: Callable[[], None]) -> bool:
        """Upload the rest of the finished file, unless that takes longer than to start over.

        Args:
            check: called between parts; raises to stop.

        Returns:
            Whether the file is uploaded; if not, it is to be uploaded whole.

        Raises:
            Failure: `upload_failed`: storage refuses, and would do so again.
        """
        if self._whole_file_is_faster():
            self._stopped = True  # outside the lock, so that a running upload of parts ends soon
        with self._lock:
            if (upload := self._upload) is not None:
                self._or_stop(lambda: self._upload_rest(upload, check))
            self._stopped = True
            return self._completed

    def stop(self) -> None:
        """Upload nothing more; from any thread, without waiting. `abort` deletes the parts."""
        self._stopped = True

    def abort(self) -> None:
        """Leave nothing in the bucket of an upload that was not completed.

        Waits for a part that is under way. Where storage does not delete the parts, the bucket's
        own rule for incomplete uploads has to.
        """
        self._stopped = True
        with self._lock:
            upload, self._upload = self._upload, None
            if upload is not None and not self._completed:
                with suppress(Failure):
                    upload.abort()

    def _or_stop(self, send: Callable[[], None]) -> None:
        """Send parts; where that fails for the moment, or the file is discarded, stop instead."""
        if self._stopped:
            return
        try:
            send()
        except FileNotFoundError:  # the file of a stream that was stopped may be deleted
            if not self._stopped:
                raise
        except Failure as failure:
            if not failure.retryable:
                raise
            self._stopped = True

    def _upload_through(self, last: int, check: Callable[[], None]) -> None:
        """Upload the parts from the next one to `last`."""
        while self._next_part <= last and not self._stopped:
            check()
            self._upload = self._upload or self._create()
            if self._upload is None:
                self._stopped = True
                return
            self._upload.upload_part(self._next_part, self._read(self._next_part))
            self._next_part += 1

    def _upload_rest(self, upload: MultipartUpload, check: Callable[[], None]) -> None:
        self._upload_through(self._last_part(), check)
        if self._stopped:  # meanwhile: without its last parts the object must not be completed
            return
        check()
        upload.upload_part(_FIRST, self._read(_FIRST))
        upload.complete()
        self._completed = True

    def _ready_parts(self) -> int:
        """Return how many whole parts are on the disk."""
        return self._path.stat().st_size // PART_BYTES

    def _last_part(self) -> int:
        """Return the number of the finished file's last part."""
        return -(-self._path.stat().st_size // PART_BYTES)

    def _whole_file_is_faster(self) -> bool:
        """Return whether too little of the file is uploaded: whole files go up in parallel."""
        uploaded = self._next_part - _FIRST - 1
        return self._last_part() - uploaded > max(_MAX_PARTS_LEFT, uploaded)

    def _read(self, number: int) -> bytes:
        with self._path.open("rb") as file:
            file.seek((number - 1) * PART_BYTES)
            return file.read(PART_BYTES)
