"""What a container may use, as its kernel's control groups of either version say it."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from splitjob_worker import machine
from splitjob_worker.cgroups import MemoryUse, cpu_quota, memory_use, oom_kills

NO_LIMIT = "9223372036854771712"
POD = "/kubepods/burstable/pod1/c1"
CPU, MEMORY, UNIFIED = (f"/sys/fs/cgroup{one}" for one in ("/cpu,cpuacct", "/memory", ""))


def process(folder: Path, mounts: Mapping[str, str], files: Mapping[str, str], path: str) -> Path:
    """Write what /proc says of a process, and the groups that it is in.

    Args:
        folder: takes the place of the root directory.
        mounts: of each tree: its place, to the part of it that is seen there.
        files: of the groups.
        path: of the process's groups.
    """
    of_version_2 = UNIFIED in mounts
    lines, groups = [], []
    for number, (place, root) in enumerate(mounts.items()):
        names = place.rpartition("/")[2]
        kind = "cgroup2 cgroup2 rw" if of_version_2 else f"cgroup cgroup rw,{names}"
        (folder / place.lstrip("/")).mkdir(parents=True, exist_ok=True)
        lines.append(f"3{number} 31 0:30 {root} {folder}{place} ro,nosuid shared:9 - {kind}\n")
        groups.append("0::" + path if of_version_2 else f"{number + 1}:{names}:{path}")
    for name, text in files.items():
        file = folder / name.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")
    proc = folder / "proc"
    proc.mkdir()
    (proc / "mountinfo").write_text(f"1 0 8:1 / / rw - ext4 /dev/sda rw\n{''.join(lines)}")
    (proc / "cgroup").write_text("\n".join(groups) + "\n")
    return proc


QUOTAS: dict[str, tuple[dict[str, str], dict[str, str], str, float | None]] = {
    "2, in a namespace of its own": (
        {UNIFIED: "/"},
        {f"{UNIFIED}/cpu.max": "50000 100000"},
        "/",
        0.5,
    ),
    "2, none": ({UNIFIED: "/"}, {f"{UNIFIED}/cpu.max": "max 100000"}, "/", None),
    "2, of the pod above": (
        {UNIFIED: "/"},
        {
            f"{UNIFIED}{POD}/cpu.max": "max 100000",
            f"{UNIFIED}/kubepods/burstable/pod1/cpu.max": "150000 100000",
        },
        POD,
        1.5,
    ),
    "1, in a container": (
        {CPU: POD},
        {f"{CPU}/cpu.cfs_quota_us": "150000", f"{CPU}/cpu.cfs_period_us": "100000"},
        POD,
        1.5,
    ),
    "1, the whole tree": (
        {CPU: "/"},
        {f"{CPU}{POD}/cpu.cfs_quota_us": "25000", f"{CPU}{POD}/cpu.cfs_period_us": "50000"},
        POD,
        0.5,
    ),
    "1, none": (
        {CPU: "/"},
        {f"{CPU}/cpu.cfs_quota_us": "-1", f"{CPU}/cpu.cfs_period_us": "100000"},
        "/",
        None,
    ),
    "1, a path that is not seen here": (
        {CPU: "/"},
        {f"{CPU}/cpu.cfs_quota_us": "200000", f"{CPU}/cpu.cfs_period_us": "100000"},
        POD,
        2.0,
    ),
}


@pytest.mark.parametrize("case", QUOTAS)
def test_the_quota_is_found_in_either_version(case: str, tmp_path: Path) -> None:
    mounts, files, path, quota = QUOTAS[case]
    assert cpu_quota(process(tmp_path, mounts, files, path)) == quota


def test_where_there_are_no_groups_there_is_no_quota(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path) is None
    assert memory_use(tmp_path) is None


@pytest.mark.parametrize(
    ("quota", "threads"), [(0.1, 1), (0.5, 1), (1.0, 1), (1.5, 2), (2.5, 3), (99.0, 4), (None, 4)]
)
def test_threads_follow_the_quota(
    quota: float | None, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(machine, "cpu_quota", lambda: quota)
    assert machine.cpu_count() == threads


MEMORIES: dict[str, tuple[dict[str, str], dict[str, str], MemoryUse]] = {
    "2": (
        {UNIFIED: "/"},
        {
            f"{UNIFIED}/memory.max": "6442450944",
            f"{UNIFIED}/memory.current": "5000",
            f"{UNIFIED}/memory.peak": "5500",
            f"{UNIFIED}/memory.stat": "anon 3000\ninactive_file 1000",
        },
        MemoryUse(6 << 30, 4000, 5500),
    ),
    "1": (
        {MEMORY: POD},
        {
            f"{MEMORY}/memory.limit_in_bytes": "6442450944",
            f"{MEMORY}/memory.usage_in_bytes": "5000",
            f"{MEMORY}/memory.max_usage_in_bytes": "5500",
            f"{MEMORY}/memory.stat": "inactive_file 7\ntotal_inactive_file 1000",
        },
        MemoryUse(6 << 30, 4000, 5500),
    ),
    "1, no limit": (
        {MEMORY: "/"},
        {f"{MEMORY}/memory.limit_in_bytes": NO_LIMIT, f"{MEMORY}/memory.usage_in_bytes": "5000"},
        MemoryUse(None, 5000, None),
    ),
}


@pytest.mark.parametrize("case", MEMORIES)
def test_the_memory_is_found_in_either_version(case: str, tmp_path: Path) -> None:
    mounts, files, use = MEMORIES[case]
    path = POD if mounts.get(MEMORY) == POD else "/"
    assert memory_use(process(tmp_path, mounts, files, path)) == use


KILLS: dict[str, tuple[dict[str, str], dict[str, str], int | None]] = {
    "2": ({UNIFIED: "/"}, {f"{UNIFIED}/memory.events": "max 7\noom 3\noom_kill 2"}, 2),
    "1": (
        {MEMORY: "/"},
        {f"{MEMORY}/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2"},
        2,
    ),
    "1, of an old kernel": (
        {MEMORY: "/"},
        {f"{MEMORY}/memory.oom_control": "oom_kill_disable 0\nunder_oom 0"},
        None,
    ),
}


@pytest.mark.parametrize("case", KILLS)
def test_what_was_killed_for_memory_is_counted_in_either_version(case: str, tmp_path: Path) -> None:
    mounts, files, kills = KILLS[case]
    assert oom_kills(process(tmp_path, mounts, files, "/")) == kills


def test_it_is_told_in_words() -> None:
    told = str(MemoryUse(6 << 30, 4 << 30, 11 << 29))
    assert told == "6.00 GiB allowed, 5.50 GiB used at most"
    assert str(MemoryUse(None, 1 << 30, None)) == "no limit, 1.00 GiB used now"


@pytest.fixture
def group(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A group of this kernel's, of version 1: for CPU time, unless a test asks for another."""
    kind = getattr(request, "param", "cpu")
    folder = Path(f"/sys/fs/cgroup/{kind}/track-tree-audio-test-{os.getpid()}")
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no groups of version 1 can be made here: {error.strerror}")
    yield folder
    with suppress(OSError):
        folder.rmdir()


def test_a_real_kernel_says_it_so(group: Path) -> None:
    (group / "cpu.cfs_quota_us").write_text("50000")
    program = (
        "import os, pathlib, sys\n"
        "pathlib.Path(sys.argv[1], 'cgroup.procs').write_text(str(os.getpid()))\n"
        "from splitjob_worker.machine import cpu_count, cpu_quota\n"
        "print(cpu_quota(), cpu_count())\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program, str(group)], capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == ["0.5", "1"]


@pytest.mark.parametrize("group", ["memory"], indirect=True)
def test_a_real_kernel_counts_a_child_that_it_kills_for_memory(group: Path) -> None:
    """Acceptance 36: before anybody can see that it is dead."""
    (group / "memory.limit_in_bytes").write_text(str(64 << 20))
    eats = "open('/proc/self/oom_score_adj', 'w').write('1000'); bytearray(b'x') * (200 << 20)"
    program = (
        "import os, pathlib, subprocess, sys\n"
        "pathlib.Path(sys.argv[1], 'cgroup.procs').write_text(str(os.getpid()))\n"
        "from splitjob_worker.cgroups import oom_kills\n"
        "before = oom_kills()\n"
        "ended = subprocess.run([sys.executable, '-c', sys.argv[2]]).returncode\n"
        "print(before, ended, oom_kills())\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program, str(group), eats],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.split() == ["0", "-9", "1"]
