"""Processes whose parents died: the node adopts them, finds whose they are, and buries them.

On Linux the node is a subreaper, so that a daemonised process of a container becomes the node's
child instead of getting lost. An environment variable says which container it came from.
"""

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterable

import psutil

MARKER = "SPLITJOB_CONTAINER_ID"
_PR_SET_CHILD_SUBREAPER = 36

_expected: set[int] = set()


def id_prefix(uid: str) -> str:
    """What the ids of all containers of a pod begin with."""
    return f"process://{uid}/"


def kill_left_over(uids: Iterable[str]) -> None:
    """Kill what an earlier process of the node left running.

    The first process of each container died with it, but not those that it had started.

    Args:
        uids: the pods whose processes these are.
    """
    prefixes = tuple(map(id_prefix, uids))
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARKER, "").startswith(prefixes):
                process.kill()


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


def left_by(container_id: str) -> list[psutil.Process]:
    """The adopted processes that a container left behind."""
    found = []
    for child in _adopted():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if child.environ().get(MARKER) == container_id:
                found.append(child)
    return found


def kill_visitors(container_id: str) -> None:
    """Kill the probes, hooks and exec sessions of a container that has ended."""
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error, OSError):
            if child.environ().get(MARKER, "").startswith(f"{container_id}/"):
                child.kill()


def reap() -> None:
    """Release the process table entries of adopted processes that have ended."""
    for child in _adopted():
        with contextlib.suppress(psutil.NoSuchProcess, ChildProcessError):
            if child.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(child.pid, os.WNOHANG)
