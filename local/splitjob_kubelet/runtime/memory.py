"""Memory limits without control groups, enforced by polling."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import psutil

_FASTEST_GROWTH = 2 * 1024**3
"""The fastest growth, in bytes per second, that polling must notice in time."""

_SHORTEST_SECONDS = 0.1
_LONGEST_SECONDS = 1.0
_KIB = 1024
_IS_LINUX = sys.platform == "linux"


async def watch_memory(
    limit: int,
    family: Callable[[], list[psutil.Process]],
    exceeded: Callable[[], None],
) -> None:
    """Poll a container's memory until it exceeds its limit.

    Args:
        limit: bytes.
        family: returns the container's current processes.
        exceeded: called once, when they use more than the limit.
    """
    while True:
        used = memory_of(family(), limit)
        if used > limit:
            exceeded()
            return
        await asyncio.sleep(seconds_to_next_poll(used, limit))


def seconds_to_next_poll(used: int, limit: int) -> float:
    """The time until the next poll: longer while usage is far below the limit."""
    return min(max((limit - used) / _FASTEST_GROWTH, _SHORTEST_SECONDS), _LONGEST_SECONDS)


def memory_of(processes: list[psutil.Process], limit: int) -> int:
    """Memory of processes that the kernel cannot reclaim.

    Mapped files do not count, since the kernel can drop them. Pages that processes share after
    a fork are first counted for each of them, which is cheap; only if that sum exceeds the limit,
    each page is counted once.

    Args:
        processes: those of a container.
        limit: bytes; up to it the cheap sum is returned.

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
