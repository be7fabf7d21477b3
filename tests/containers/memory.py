"""Memory of a container running out, so that the kernel ends the process that is to be ended."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
from tests.containers.world import World

from splitjob_local.containers.cgroups import MOUNT

# Of a process that the kernel chooses first.
MOST_EXPENDABLE = "1000"
ROOM_BYTES = 32 << 20
MARK = "what-uses-the-memory-up"
# Two megabytes at a time, so that one process more is all that has to end.
FILL = f"""
import time
kept = ["{MARK}"]
for _ in range(200):
    kept.append(b"x" * (2 << 20))
    time.sleep(0.05)
"""


def memory_group(pid: int) -> Path | None:
    """Return the control group of a process's memory, or None where groups are of version 2."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return MOUNT / "memory" / path.lstrip("/")
    return None


def kill_by_memory(world: World, pod: str, victim: psutil.Process, group: Path) -> bool:
    """Let a container run out of memory; whether the victim was ended by the kernel for it."""
    limit = group / "memory.limit_in_bytes"
    before = limit.read_text()
    Path(f"/proc/{victim.pid}/oom_score_adj").write_text(MOST_EXPENDABLE)
    limit.write_text(str(_used(group) + ROOM_BYTES))
    try:
        with world.started("exec", pod, "--", "python", "-c", FILL):
            return _give_room_after(lambda: not _runs(victim), limit, before)
    finally:
        for process in world.processes(MARK):
            process.kill()


def _give_room_after(ended: Callable[[], bool], limit: Path, before: str) -> bool:
    """Wait for the victim's end and give room at once, or the worker would be next."""
    try:
        return _soon(ended, 60)
    finally:
        with suppress(FileNotFoundError):  # the worker has ended already, by itself
            limit.write_text(before)


def _used(group: Path) -> int:
    """Return what cannot be given back, unlike the cache of files."""
    lines = (line.split() for line in (group / "memory.stat").read_text().splitlines())
    return next(int(value) for name, value in lines if name == "total_rss")


def _runs(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def _soon(what: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True
