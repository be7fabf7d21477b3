"""What the container that this process runs in may use, by the kernel's control groups.

There are two versions. The second has one tree of groups for everything; the first, of older nodes,
one for each resource. A container sees its own group where the tree is mounted, or, with a
namespace of its own missing, the whole tree. The limits of the groups above count too, as far as
they can be seen.

Source: https://docs.kernel.org/admin-guide/cgroup-v1/ and cgroup-v2.html, proc(5).
"""

from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple, TypeVar

__all__ = ["MemoryUse", "cpu_quota", "memory_use", "oom_kills"]

PROCESS = Path("/proc/self")
_VERSION_2 = "cgroup2"
_NO_LIMIT = 1 << 60  # bytes; version 1 says the largest number there is, less a page

# Limit, use, most use, and what of it the kernel can drop.
_NAMES_1 = (
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    "memory.max_usage_in_bytes",
    "total_inactive_file",
)
_NAMES_2 = ("memory.max", "memory.current", "memory.peak", "inactive_file")

Number = TypeVar("Number", int, float)


class MemoryUse(NamedTuple):
    """The memory of a container, in bytes.

    Attributes:
        limit: beyond which the kernel ends its processes; None: there is none.
        used: now, without the parts of files that the kernel drops when it needs room.
        most: used at any time, with them; None: the kernel does not say.
    """

    limit: int | None
    used: int
    most: int | None

    def __str__(self) -> str:
        """Return both in words: `6.00 GiB allowed, 5.98 GiB used at most`."""
        allowed = "no limit" if self.limit is None else f"{_gibibytes(self.limit)} allowed"
        if self.most is None:
            return f"{allowed}, {_gibibytes(self.used)} used now"
        return f"{allowed}, {_gibibytes(self.most)} used at most"


def cpu_quota(process: Path = PROCESS) -> float | None:
    """Return how many CPUs' worth of time this process may use; None: there is no quota.

    Args:
        process: its folder in /proc.
    """
    quotas = [
        *_known(_quota_2, _groups(process, _VERSION_2)),
        *_known(_quota_1, _groups(process, "cpu")),
    ]
    return min(quotas, default=None)


def memory_use(process: Path = PROCESS) -> MemoryUse | None:
    """Return how much memory the container of this process takes; None: nothing says so.

    Args:
        process: its folder in /proc.
    """
    return _memory(list(_groups(process, "memory")), _NAMES_1) or _memory(
        list(_groups(process, _VERSION_2)), _NAMES_2
    )


def oom_kills(process: Path = PROCESS) -> int | None:
    """Return how many processes of this container the kernel has killed for memory so far.

    Each counts, whether the container's own limit was reached or its node ran out of memory.

    Args:
        process: its folder in /proc.

    Returns:
        None where nothing says so, as in a kernel of before 4.13.
    """
    counts = [
        *_known(_oom_kills_in("memory.oom_control"), _groups(process, "memory")),
        *_known(_oom_kills_in("memory.events"), _groups(process, _VERSION_2)),
    ]
    return next(iter(counts), None)


def _memory(groups: list[Path], names: tuple[str, str, str, str]) -> MemoryUse | None:
    """Return the use of the innermost group, and the tightest limit of all of them."""
    limit_file, used_file, most_file, cache = names
    used = next(_known(lambda group: _number(group / used_file), groups), None)
    if used is None:
        return None
    dropped = next(_known(lambda group: _statistic(group / "memory.stat", cache), groups), 0)
    limits = [
        limit
        for limit in _known(lambda group: _number(group / limit_file), groups)
        if limit < _NO_LIMIT
    ]
    most = next(_known(lambda group: _number(group / most_file), groups), None)
    return MemoryUse(min(limits, default=None), max(used - dropped, 0), most)


def _gibibytes(size: int) -> str:
    return f"{size / (1 << 30):.2f} GiB"


def _quota_2(group: Path) -> float:
    quota, period = (group / "cpu.max").read_text().split()  # "max" in place of a number: no limit
    return _share(int(quota), int(period))


def _quota_1(group: Path) -> float:
    return _share(_number(group / "cpu.cfs_quota_us"), _number(group / "cpu.cfs_period_us"))


def _share(quota: int, period: int) -> float:
    if quota <= 0 or period <= 0:
        raise ValueError("no quota")
    return quota / period


def _number(file: Path) -> int:
    return int(file.read_text())


def _statistic(file: Path, name: str) -> int:
    lines = file.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name} "))


def _oom_kills_in(name: str) -> Callable[[Path], int]:
    return lambda group: _statistic(group / name, "oom_kill")


def _known(read: Callable[[Path], Number], groups: Iterator[Path] | list[Path]) -> Iterator[Number]:
    """Yield what is said of the groups, without those of which nothing is."""
    for group in groups:
        try:
            yield read(group)
        except (OSError, ValueError, StopIteration):
            continue


def _groups(process: Path, kind: str) -> Iterator[Path]:
    """Yield the folders of the groups that a process is in, the innermost first.

    Args:
        process: its folder in /proc.
        kind: of the tree: a controller of version 1, or `cgroup2`.
    """
    try:
        member = _membership((process / "cgroup").read_text(), kind)
        mounts = (process / "mountinfo").read_text().splitlines()
    except OSError:
        return
    for line in mounts if member is not None else ():
        before, _, after = line.partition(" - ")
        root, place = before.split()[3:5]
        filesystem, _, *options = after.split()
        of_kind = filesystem == kind or (
            filesystem == "cgroup" and kind in (options or [""])[-1].split(",")
        )
        if of_kind:
            yield from _upwards(Path(place), PurePosixPath(root), PurePosixPath(member or "/"))
            return


def _membership(text: str, kind: str) -> str | None:
    """Return the path of a process's group, from lines of `number:controllers:path`."""
    for line in text.splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0" if kind == _VERSION_2 else kind in controllers.split(","):
            return path
    return None


def _upwards(place: Path, root: PurePosixPath, member: PurePosixPath) -> Iterator[Path]:
    """Yield the folder of a group and those above it, up to where the tree is mounted."""
    inner = place / member.relative_to(root) if member.is_relative_to(root) else place
    if not inner.is_dir():
        inner = place
    while inner != place:
        yield inner
        inner = inner.parent
    yield place
