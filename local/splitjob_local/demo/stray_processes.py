"""Finding processes that a cluster should not have left behind."""

from pathlib import Path

import psutil


def processes_of(folder: Path) -> list[int]:
    """Return the ids of processes whose command line or working folder contains a folder's path."""
    found = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), process.cwd()]
        except (psutil.Error, OSError):
            continue
        if any(str(folder) in word for word in words):
            found.append(process.pid)
    return found
