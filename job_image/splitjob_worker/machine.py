"""What the worker asks of, and may expect from, the machine it runs on."""

import ctypes
import gc
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PR_SET_DUMPABLE = 4  # linux/prctl.h
_PR_SET_NO_NEW_PRIVS = 38
_SPINS = "10000"  # some tens of microseconds, in which most waits between two loops end
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3  # malloc.h
_GROWTH = 32 << 20
_HEAP = 64 << 20  # of a thread: glibc's HEAP_MAX_SIZE
_LARGEST_KEPT = 32 << 20  # glibc takes no more for M_MMAP_THRESHOLD
LONG_SEGMENT = 10.0  # seconds; an HDemucs takes 44, and gigabytes for them
_LESS = 10  # a tenth of what a thread with the usual 0 gets
_NEVER = 2**31 - 1
_CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # cgroup v2: "<quota> <period>" or "max <period>"


def hide_from_children() -> None:
    """Keep other processes of this user from reading our memory and environment (Linux).

    The decoder runs as the same user: were it taken over by a crafted file, it could otherwise
    read the keys in `/proc/<pid>/environ`.
    """
    _prctl(_PR_SET_DUMPABLE, 0)


def forbid_new_privileges() -> None:
    """Give up ever gaining rights through a setuid program (Linux)."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def yield_idle_cpus() -> None:
    """Let torch's threads sleep soon while they wait for one another; before torch is imported.

    libgomp's default is to spin for about a millisecond. On a machine that others use too, or under
    a CPU quota, the spinning thread takes the time that the one it waits for needs: a small model's
    forward pass took ten times as long. Not to spin at all costs a tenth of every forward pass on a
    machine that nobody else uses: threads are woken some thousand times in each.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)


def reuse_memory(segment_seconds: float) -> None:
    """Let freed memory come back cheaply (Linux); before torch is imported and threads are started.

    A forward pass allocates and frees hundreds of large tensors. glibc gives each back to the
    system at once, which then clears the pages of the next one: a seventh of the CPU time of an
    HTDemucs. What is freed is kept instead, but for the few tensors above 32 MB. Each thread has
    heaps of its own, of 64 MB, of which none is given back: in one for all, forward passes at once
    would break up one another's places, and memory grow by a sixth within an hour of audio. With
    the long segments of an HDemucs, what is kept fits the next tensor badly, and memory doubles
    (from 3 to 7 GB): there it is given back, in large pages, which are cleared faster.

    Args:
        segment_seconds: of the model that will run.
    """
    if sys.platform != "linux":
        return
    if segment_seconds > LONG_SEGMENT:
        os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # torch reads it
        return
    with suppress(AttributeError, OSError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT)
        mallopt(_M_TRIM_THRESHOLD, _NEVER)
        mallopt(_M_TOP_PAD, _HEAP)


@contextmanager
def without_collection() -> Iterator[None]:
    """Leave garbage alone while torch is imported and a model is built; once in a process.

    Nearly all that comes into being there stays, and Python's collector would look through it again
    and again, which is a tenth of the import's time. Nor does it later.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


class KeptMemory:
    """What `reuse_memory` keeps, given back to the system when it has grown (Linux).

    Forward passes at once take their memory in another order each time, and leave holes that the
    next ones do not fill: bit by bit, what is kept grows by a third. To give it back after each
    would cost a small model a tenth of its time.
    """

    def __init__(self) -> None:
        self._usual = 0
        self._given_back = True

    def look(self) -> None:
        """Give back what is kept where there is more than one turn of the work leaves behind.

        Called after each turn.
        """
        if sys.platform != "linux":
            return
        now = _resident_bytes()
        if self._given_back:
            self._usual, self._given_back = max(self._usual, now), False
        elif now > self._usual + _GROWTH:
            with suppress(AttributeError, OSError):  # another C library
                ctypes.CDLL(None).malloc_trim(0)
            self._given_back = True


def _resident_bytes() -> int:
    """Return how much of the machine's memory this process has."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def let_others_first() -> None:
    """Give the calling thread less of a CPU than others that want it too (Linux).

    An encoder that takes a core from one of torch's threads lets all of them wait for that one: a
    forward pass and four encoders took eight percent longer together. Encoders that lag behind fill
    their queues, and get the cores while the model waits for room.
    """
    if sys.platform == "linux":  # elsewhere it would slow the whole process
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LESS)


def cpus() -> int:
    """Return how many CPUs this process may use: its affinity, and the container's quota."""
    allowed = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    try:
        quota, period = _CPU_QUOTA.read_text().split()
        return max(1, min(allowed, round(int(quota) / int(period))))
    except (OSError, ValueError):
        return allowed


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)
