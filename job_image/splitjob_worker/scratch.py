"""The scratch disk: does what is to be written fit?"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from splitjob.errors import ErrorCode, Failure

_MEGABYTE = 10**6


@dataclass(frozen=True)
class Scratch:
    """Where the temporary files of one song go.

    Attributes:
        folder: of this song.
        limit: bytes that everything in the folder's parent may take: the size limit of an emptyDir,
            which no system call reports. None: as many as the disk has.
    """

    folder: Path
    limit: int | None = None

    def left(self) -> int:
        """Return the bytes that may still be written."""
        free = shutil.disk_usage(self.folder).free
        allowed = self.allowed()
        return free if allowed is None else min(free, allowed)

    def allowed(self) -> int | None:
        """Return the bytes that the limit still allows; None: there is no limit."""
        return None if self.limit is None else max(self.limit - _taken(self.folder.parent), 0)


def check_source(scratch: Scratch, size: int) -> None:
    """Check that a source fits before it is downloaded.

    Args:
        scratch: where it goes.
        size: bytes still to be written.

    Raises:
        Failure: as `check_room`.
    """
    _require_scratch(size, scratch, "scratch space for its source")


def check_limit(scratch: Scratch) -> None:
    """Check that what is being written, whose size is not known yet, is within the limit.

    Beyond it, the kubelet would evict the pod, and nobody would learn why.

    Args:
        scratch: where it goes.

    Raises:
        Failure: `worker_storage`; another attempt would meet the same limit.
    """
    if scratch.allowed() == 0:
        raise Failure(
            ErrorCode.WORKER_STORAGE,
            f"this song needs more than the {(scratch.limit or 0) / _MEGABYTE:,.0f} MB that "
            "scratch space may take: raise its size limit",
            retryable=False,
        )


def check_room(scratch: Scratch, spools: int, folder: Path, files: int) -> None:
    """Check that a song fits before the work begins.

    Args:
        scratch: where spools go.
        spools: bytes of the spools still to be written.
        folder: where files go, which may be on the same disk.
        files: bytes of the files, at most.

    Raises:
        Failure: `worker_storage`; another attempt may find a larger disk, but the same limit.
    """
    if folder.stat().st_dev == scratch.folder.stat().st_dev:
        _require_scratch(spools + files, scratch, "scratch space for stems and files")
        return
    _require_scratch(spools, scratch, "scratch space for stems")
    _require(files, shutil.disk_usage(folder).free, "space for the files")


def _require_scratch(needed: int, scratch: Scratch, what: str) -> None:
    allowed = scratch.allowed()
    if allowed is not None and needed > allowed:
        raise _failure(needed, allowed, what, "raise its size limit", retryable=False)
    _require(needed, scratch.left(), what)


def _require(needed: int, left: int, what: str) -> None:
    if needed > left:
        raise _failure(needed, left, what, "free some, or use a larger disk", retryable=True)


def _failure(needed: int, left: int, what: str, remedy: str, *, retryable: bool) -> Failure:
    return Failure(
        ErrorCode.WORKER_STORAGE,
        f"this song needs up to {needed / _MEGABYTE:,.0f} MB of {what}, but only "
        f"{left / _MEGABYTE:,.0f} MB are left: {remedy}",
        retryable=retryable,
    )


def _taken(folder: Path) -> int:
    """Return the bytes on disk of all files below a folder."""
    return sum(
        _size_on_disk(Path(path, name)) for path, _, names in os.walk(folder) for name in names
    )


def _size_on_disk(file: Path) -> int:
    try:
        return file.lstat().st_blocks * 512
    except FileNotFoundError:  # a download that starts over deletes what it had
        return 0
