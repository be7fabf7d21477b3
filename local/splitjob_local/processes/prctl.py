"""Process control of Linux (prctl(2)): signals on a parent's death, and adoption of orphans.

On other systems these functions do nothing.
"""

import ctypes
import signal
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

IS_LINUX = sys.platform == "linux"
# Looked up at import: between fork and exec of a threaded program the loader may be deadlocked.
_prctl = ctypes.CDLL(None, use_errno=True).prctl if IS_LINUX else None


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Have the kernel send this process a signal when its parent dies.

    The parent is the thread that started this process, not its whole process.
    """
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)


def become_subreaper() -> None:
    """Become the parent of all descendants that lose theirs."""
    if _prctl is not None:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
