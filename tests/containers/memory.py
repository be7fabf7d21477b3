"""Memory of a container running out, so that the kernel ends the process that is to be ended."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
from tests.containers.world import World
from tests.support.waiting import comes_true

from splitjob_local.containers.cgroups import MOUNT

# Of a process that the kernel chooses first. It adds a share of the limit to the process's size: of
# a limit of gigabytes more than the worker's model weighs, which would be chosen for its size else.
MOST_EXPENDABLE = "1000"
# The one without swap can never be above the one with it.
LIMITS = ("memory.memsw.limit_in_bytes", "memory.limit_in_bytes")
MARK = "what-uses-the-memory-up"
# Many processes, each smaller than the worker; the last one takes its time.
FILL = f"""
import os, sys, time
mark, room, part = "{MARK}", int(sys.argv[1]), 200 << 20
for _ in range(room // part - 1):
    if os.fork() == 0:
        kept = b"x" * part
        time.sleep(60)
        os._exit(0)
time.sleep(3)
kept = []
for _ in range(300):
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
    room = int((group / LIMITS[-1]).read_text()) - _used(group)
    Path(f"/proc/{victim.pid}/oom_score_adj").write_text(MOST_EXPENDABLE)
    try:
        with world.started("exec", pod, "--", "python", "-c", FILL, str(room)):
            return _give_room_after(lambda: not _runs(victim), group)
    finally:
        for process in world.processes(MARK):
            process.kill()


def _give_room_after(ended: Callable[[], bool], group: Path) -> bool:
    """Wait for the victim's end and give room at once, or the worker would be next."""
    try:
        return comes_true(ended, 60, pause=0.01)  # the next one would be chosen within a moment
    finally:
        # The pod's before the container's; where the worker has ended already, there is none.
        for limit in (one / name for one in (group.parent, group) for name in LIMITS):
            with suppress(FileNotFoundError):
                limit.write_text(str(int(limit.read_text()) * 2))


def _used(group: Path) -> int:
    """Return what cannot be given back, unlike the cache of files."""
    lines = (line.split() for line in (group / "memory.stat").read_text().splitlines())
    return next(int(value) for name, value in lines if name == "total_rss")


def _runs(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
