"""Locks between processes: files held with `flock`, which the system frees when the holder dies."""

import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def try_lock(path: Path) -> IO[str] | None:
    """Take the lock at `path` if nobody holds it; it is held until the returned file is closed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


@contextmanager
def locked(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock at `path`; `waiting` is called once if somebody else has it."""
    file = try_lock(path)
    if file is None:
        waiting()
        file = path.open("a")
        fcntl.flock(file, fcntl.LOCK_EX)
    with file:
        yield


def shared_lock_folder() -> Path:
    """Return the folder of the locks that all clusters of this user on this machine share."""
    return Path(tempfile.gettempdir()) / f"track-tree-audio-locks-{os.getuid()}"
