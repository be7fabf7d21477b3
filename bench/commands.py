"""Commands run from start to end, with a stopwatch and with an eye on their memory."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Run:
    """What a command took.

    Attributes:
        wall: seconds from its start to its end.
        peak_bytes: the largest sum of the memory of all its processes; 0 where it was not watched.
    """

    wall: float
    peak_bytes: int


def run(
    command: Sequence[str | Path],
    *,
    watch_memory: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Run:
    """Run a command to its end.

    Raises:
        subprocess.CalledProcessError: it failed; its last words were printed.
    """
    with tempfile.TemporaryFile("w+") as said:
        began = time.monotonic()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=environment
        )
        peak = _watch(process) if watch_memory else 0
        status = process.wait()
        wall = time.monotonic() - began
        if status != 0:
            said.seek(0)
            print(said.read()[-2000:], file=sys.stderr)
            raise subprocess.CalledProcessError(status, [str(word) for word in command])
    return Run(wall, peak)


def _watch(process: "subprocess.Popen[bytes]") -> int:
    peak = 0
    while process.poll() is None:
        peak = max(peak, memory_of(process.pid))
        with suppress(subprocess.TimeoutExpired):
            process.wait(POLL_SECONDS)
    return peak


def memory_of(pid: int) -> int:
    """Return the proportional set size of a process and all its children, in bytes (Linux).

    The resident set size, which is never smaller, stands in for a process that lets nobody look
    into its memory, as the decoder's does not.
    """
    total = 0
    with suppress(psutil.NoSuchProcess):
        top = psutil.Process(pid)
        for one in [top, *top.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                total += _memory_of(one)
    return total


def _memory_of(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.AccessDenied:
        return int(process.memory_info().rss)
