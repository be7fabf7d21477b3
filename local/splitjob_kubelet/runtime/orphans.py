"""Orphans: processes of containers whose parents have died. The node adopts and reaps them.

On Linux the node is a subreaper, so that a daemonised process of a container becomes the node's
child. An environment variable identifies the container that it belongs to.
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
    """The common prefix of the container ids of a pod."""
    return f"process://{uid}/"


def kill_left_over(uids: Iterable[str]) -> None:
    """Kill the processes that an earlier run of the node left behind.

    The first process of each container died with that run, but its descendants may still run.

    Args:
        uids: of the pods that they belong to.
    """
    prefixes = tuple(map(id_prefix, uids))
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARKER, "").startswith(prefixes):
                process.kill()


def become_subreaper() -> None:
    """Adopt every descendant whose parent dies (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def expect(pid: int) -> None:
    """Register a child that is waited for: it is not an orphan."""
    _expected.add(pid)


def forget(pid: int) -> None:
    """Unregister a child after it was waited for."""
    _expected.discard(pid)


def _adopted(children: list[psutil.Process]) -> list[psutil.Process]:
    return [child for child in children if child.pid not in _expected]


def left_by(container_id: str, children: list[psutil.Process]) -> list[psutil.Process]:
    """The orphans of a container.

    Args:
        container_id: of the container.
        children: of the node.
    """
    found = []
    for child in _adopted(children):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if child.environ().get(MARKER) == container_id:
                found.append(child)
    return found


def kill_side_commands(container_id: str) -> None:
    """Kill the probes, hooks and exec sessions of a container that has ended."""
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error, OSError):
            if child.environ().get(MARKER, "").startswith(f"{container_id}/"):
                child.kill()


def reap() -> None:
    """Reap the orphans that have ended."""
    for child in _adopted(psutil.Process().children()):
        with contextlib.suppress(psutil.NoSuchProcess, ChildProcessError):
            if child.status() == psutil.STATUS_ZOMBIE:
                os.waitpid(child.pid, os.WNOHANG)
