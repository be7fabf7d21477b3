"""Processes whose parents died: the node adopts them, finds whose they are, and buries them.

On Linux the node is a subreaper, so that a daemonised process of a container becomes the node's
child instead of getting lost. An environment variable says which container it came from.
"""

import contextlib
import ctypes
import os
import sys

import psutil

MARKER = "SPLITJOB_CONTAINER_ID"
_PR_SET_CHILD_SUBREAPER = 36

_expected: set[int] = set()


def become_subreaper() -> None:
    """Adopt every descendant that loses its parent (Linux; nothing elsewhere)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def expect(pid: int) -> None:
    """Note a child that somebody waits for: it is no orphan."""
    _expected.add(pid)


def forget(pid: int) -> None:
    """The child was waited for."""
    _expected.discard(pid)


def _adopted() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if child.pid not in _expected]


def of(container_id: str) -> list[psutil.Process]:
    """The adopted processes that a container left behind."""
    found = []
    for child in _adopted():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if child.environ().get(MARKER) == container_id:
                found.append(child)
    return found


def reap() -> None:
    """Release the process table entries of adopted processes that have ended."""
    for child in _adopted():
        with contextlib.suppress(psutil.NoSuchProcess, ChildProcessError):
            if child.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(child.pid, os.WNOHANG)
