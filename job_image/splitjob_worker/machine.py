"""How the worker sets up its process: what others may read of it, threads, memory, CPUs."""

import ctypes
import gc
import math
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from splitjob_worker.cgroups import cpu_quota

_PR_SET_DUMPABLE = 4  # linux/prctl.h
_PR_SET_NO_NEW_PRIVS = 38
_SPIN_COUNT = "10000"  # some tens of microseconds: most waits between two loops are shorter
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3  # malloc.h
_TRIM_AFTER_BYTES = 32 << 20
_HEAP_BYTES = 64 << 20  # of a thread: glibc's HEAP_MAX_SIZE
_LARGEST_KEPT_BYTES = 32 << 20  # glibc accepts no more for M_MMAP_THRESHOLD
LONG_SEGMENT = 10.0  # seconds; an HDemucs takes 44, and gigabytes for them
_LOW_PRIORITY = 10  # niceness: a tenth of the CPU time that a thread with the usual 0 gets
_NEVER = 2**31 - 1


def hide_from_children() -> None:
    """Keep other processes of this user from reading our memory and environment (Linux).

    The decoder runs as the same user. If a crafted file took it over, it could otherwise read the
    keys in `/proc/<pid>/environ`.
    """
    _prctl(_PR_SET_DUMPABLE, 0)


def forbid_new_privileges() -> None:
    """Give up ever gaining rights through a setuid program (Linux)."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def limit_openmp_spinning() -> None:
    """Let torch's threads sleep soon while they wait for each other; before torch is imported.

    libgomp's default is to spin for about a millisecond. On a machine with other work, or under a
    CPU quota, the spinning thread takes the time that the thread it waits for needs: a small
    model's forward pass took ten times as long. Not to spin at all makes every forward pass on an
    idle machine a tenth slower, since threads are woken some thousand times in each.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _SPIN_COUNT)


def limit_blas_threads() -> None:
    """Let numpy start no more threads than there are CPUs; before numpy is imported.

    Its OpenBLAS starts one for each processor of the node, whatever the quota: on a large node more
    than a pod may have processes.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", str(cpu_count()))


def keep_freed_memory(segment_seconds: float) -> None:
    """Let glibc keep freed memory for reuse (Linux); before torch is imported and threads start.

    A forward pass allocates and frees hundreds of large tensors. By default glibc returns each to
    the system at once, which then clears the pages of the next: a seventh of the CPU time of an
    HTDemucs. So what is freed is kept, except for the few tensors above 32 MB. Each thread gets
    heaps of its own, of 64 MB, none of which is returned: in one shared heap, parallel forward
    passes would fragment each other's memory, which grew by a sixth within an hour of audio.

    With the long segments of an HDemucs, kept memory fits the next tensor badly, and memory doubles
    (from 3 to 7 GB). There it is returned, in large pages, which are cleared faster.

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
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _NEVER)
        mallopt(_M_TOP_PAD, _HEAP_BYTES)


@contextmanager
def garbage_collection_paused() -> Iterator[None]:
    """Pause Python's garbage collector while torch is imported and a model built; once per process.

    Nearly all objects made then stay, and the collector would traverse them again and again, which
    is a tenth of the import's time. They are excluded from later collections too.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


class HeapTrimmer:
    """Returns what `keep_freed_memory` keeps to the system once that has grown (Linux).

    Parallel forward passes allocate in another order each time and leave holes that the next ones
    do not fill: over time, kept memory grows by a third. To return it after each pass would cost a
    small model a tenth of its time.
    """

    def __init__(self) -> None:
        self._usual = 0
        self._trimmed = True

    def trim_if_grown(self) -> None:
        """Return kept memory if there is more of it than one round of passes leaves behind.

        Called after each round.
        """
        if sys.platform != "linux":
            return
        now = _resident_bytes()
        if self._trimmed:
            self._usual, self._trimmed = max(self._usual, now), False
        elif now > self._usual + _TRIM_AFTER_BYTES:
            with suppress(AttributeError, OSError):  # another C library
                ctypes.CDLL(None).malloc_trim(0)
            self._trimmed = True


def _resident_bytes() -> int:
    """Return the resident memory of this process."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def lower_thread_priority() -> None:
    """Give the calling thread less CPU time than others that compete for it (Linux).

    An encoder that takes a core from one of torch's threads delays all of them, since they wait for
    each other: a forward pass and four encoders together took eight per cent longer. Encoders that
    lag behind fill their queues, and get the cores when the model waits for space in one.
    """
    if sys.platform == "linux":  # elsewhere it would slow down the whole process
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOW_PRIORITY)


def cpu_count() -> int:
    """Return how many CPUs this process may use: by its affinity, and the container's quota.

    Of a quota that is no whole number the rest counts too: 1.5 CPUs keep two threads busy for three
    quarters of the time, one thread would leave a third of them unused.
    """
    allowed = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    quota = cpu_quota()
    return allowed if quota is None else max(1, min(allowed, math.ceil(quota)))


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)
