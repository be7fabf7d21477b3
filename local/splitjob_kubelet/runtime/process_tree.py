"""Who descends from whom: exactly, or at little cost."""

import contextlib
from pathlib import Path

import psutil


def descendants(process: psutil.Process) -> list[psutil.Process]:
    """Return all that descends from a process; reads the whole process table.

    Raises:
        psutil.NoSuchProcess: the process is gone.
    """
    return process.children(recursive=True)


def descendants_at_a_glance(process: psutil.Process) -> list[psutil.Process]:
    """Return what descends from a process; one may be missing while others end.

    Raises:
        psutil.NoSuchProcess: the process is gone.
    """
    found: list[psutil.Process] = []
    for child in children_at_a_glance(process):
        with contextlib.suppress(psutil.NoSuchProcess):
            found += [child, *descendants_at_a_glance(child)]
    return found


def children_at_a_glance(process: psutil.Process) -> list[psutil.Process]:
    """Return the children of a process; one may be missing while others end.

    Linux lists those of each thread (proc_pid_children(5)), and may skip one whose sibling ends
    meanwhile. Elsewhere the whole process table is read.

    Raises:
        psutil.NoSuchProcess: the process is gone.
    """
    tasks = Path(f"/proc/{process.pid}/task")
    if not (tasks / str(process.pid) / "children").exists():
        return process.children()
    found: list[psutil.Process] = []
    for task in _entries(tasks):
        with contextlib.suppress(OSError):
            for pid in (task / "children").read_text("ascii").split():
                with contextlib.suppress(psutil.NoSuchProcess):
                    found.append(psutil.Process(int(pid)))
    return found


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []
