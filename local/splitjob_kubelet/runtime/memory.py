"""Memory limits that really kill, without control groups: by looking often enough."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import psutil

_FASTEST_GROWTH = 2 * 1024**3
"""Bytes per second that a process is taken to fill at most: how soon to look again."""

_SHORTEST_SECONDS = 0.1
_LONGEST_SECONDS = 1.0
_KIB = 1024
_IS_LINUX = sys.platform == "linux"


async def watch_memory(
    limit: int,
    family: Callable[[], list[psutil.Process]],
    exceeded: Callable[[], None],
) -> None:
    """Look at a container's memory until it passes its limit.

    Args:
        limit: bytes.
        family: gives the container's processes of the moment.
        exceeded: called once, when they hold more than the limit.
    """
    while True:
        used = memory_of(family(), limit)
        if used > limit:
            exceeded()
            return
        await asyncio.sleep(seconds_to_next_look(used, limit))


def seconds_to_next_look(used: int, limit: int) -> float:
    """How long a container may go unwatched: the more room it has, the longer."""
    return min(max((limit - used) / _FASTEST_GROWTH, _SHORTEST_SECONDS), _LONGEST_SECONDS)


def memory_of(processes: list[psutil.Process], limit: int) -> int:
    """Bytes that processes hold and that the kernel could not take back.

    Mapped files are left out, as they are not what gets a container killed. Pages that several
    processes share after a fork are shared out among them, but only when the cheap sum, which
    counts them for each, is above the limit.

    Args:
        processes: the family of a container.
        limit: bytes; below it the cheap sum is good enough.

    Returns:
        Bytes.
    """
    cheap = sum(map(_resident, processes))
    return cheap if cheap <= limit else sum(map(_proportional, processes))


def _resident(process: psutil.Process) -> int:
    if _IS_LINUX:
        return _kib_fields(Path(f"/proc/{process.pid}/status"), "RssAnon:", "RssShmem:")
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _proportional(process: psutil.Process) -> int:
    if not _IS_LINUX:
        return _resident(process)
    shared_out = _kib_fields(Path(f"/proc/{process.pid}/smaps_rollup"), "Pss_Anon:", "Pss_Shmem:")
    return shared_out or _resident(process)


def _kib_fields(path: Path, *names: str) -> int:
    """The sum, in bytes, of `Name:   123 kB` lines; 0 when the process is gone."""
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0
    return _KIB * sum(int(line.split()[1]) for line in lines if line.startswith(names))
