"""One program of ours that runs for a benchmark, and what it takes."""

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import psutil

from splitjob_local.processes.prctl import die_with_parent

READY_SECONDS = 120
ANSWER_SECONDS = 60


@dataclass
class Program:
    """A running program.

    Attributes:
        http: asks it.
        process: its process.
    """

    http: httpx.Client
    process: psutil.Process

    def megabytes(self) -> float:
        """Return its resident memory."""
        return float(self.process.memory_info().rss) / 2**20

    def cpu_seconds(self) -> float:
        """Return the processor time that it has taken so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


@contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str], *, silent: bool = False
) -> Iterator[Program]:
    """Run a program until the block ends; it is ready when the block begins.

    Args:
        command: starts it.
        environment: all of its own, `PORT` among it.
        silent: whether nobody is to see what it says.

    Raises:
        RuntimeError: it ended at its start.
        TimeoutError: it did not become ready.
    """
    said = subprocess.DEVNULL if silent else None
    address = f"http://127.0.0.1:{environment['PORT']}"
    process = subprocess.Popen(command, env=environment, stderr=said, preexec_fn=die_with_parent)
    try:
        with httpx.Client(base_url=address, timeout=ANSWER_SECONDS) as http:
            wait_until(
                lambda: _ready(http) or process.poll() is not None,
                READY_SECONDS,
                f"{command[0]} is ready",
            )
            if process.poll() is not None:
                hint = ": LOG=1 shows what it says" if silent else ""
                raise RuntimeError(f"{command[0]} ended at its start{hint}")
            yield Program(http, psutil.Process(process.pid))
    finally:
        process.kill()
        process.wait()


def wait_until(
    condition: Callable[[], bool], seconds: float, what: str, every: float = 0.1
) -> float:
    """Wait until something is so; return for how many seconds.

    Args:
        condition: what is waited for.
        seconds: for how long at most.
        what: is waited for, in words.
        every: seconds between two looks; what is asked of the program itself costs it time.

    Raises:
        TimeoutError: it did not become so.
    """
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"not within {seconds:.0f} s: {what}")
        time.sleep(every)
    return time.monotonic() - began


def _ready(http: httpx.Client) -> bool:
    try:
        return http.get("/readyz").is_success
    except httpx.TransportError:
        return False
