"""Memory of a container running out, so that the kernel ends the process that is to be ended."""

from pathlib import Path

import psutil
from tests.containers.world import World
from tests.support.waiting import comes_true

from splitjob_local.containers.cgroups import MOUNT

# Of a process that the kernel chooses first. It adds a share of the limit to the process's size: of
# a limit of gigabytes more than the worker's model weighs, which would be chosen for its size else.
MOST_EXPENDABLE = "1000"
LIMIT = "memory.limit_in_bytes"
MARK = "what-uses-the-memory-up"
# Many processes, each smaller than the worker. Once they have what they take, the last one goes on
# in small steps, and no further once the victim has ended: the room that this gave is the worker's.
FILL = f"""
import os, sys, time
mark, room, victim, part = "{MARK}", int(sys.argv[1]), sys.argv[2], 200 << 20
def runs():
    try:
        with open(f"/proc/{{victim}}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False
filled, say = os.pipe()
others = room // part - 1
for _ in range(others):
    if os.fork() == 0:
        kept = b"x" * part
        os.write(say, b".")
        time.sleep(120)
        os._exit(0)
for _ in range(others):
    os.read(filled, 1)
kept = []
while runs() and len(kept) < 300:
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
    room = int((group / LIMIT).read_text()) - _used(group)
    Path(f"/proc/{victim.pid}/oom_score_adj").write_text(MOST_EXPENDABLE)
    inside = str(_number_inside(victim))
    try:
        with world.started("exec", pod, "--", "python", "-c", FILL, str(room), inside):
            return comes_true(lambda: not _runs(victim), 60)
    finally:
        for process in world.processes(MARK):
            process.kill()


def _used(group: Path) -> int:
    """Return what cannot be given back, unlike the cache of files."""
    lines = (line.split() for line in (group / "memory.stat").read_text().splitlines())
    return next(int(value) for name, value in lines if name == "total_rss")


def _number_inside(process: psutil.Process) -> int:
    """Return the number that a process has in its container."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[-1]) for line in lines if line.startswith("NSpid:"))


def _runs(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
