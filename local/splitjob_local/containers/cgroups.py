"""Creating and removing the control group that contains all pods of the node.

A kubelet expects the group to exist, and leaves its content behind when it ends before its pods.
Version 1 has one tree per controller, version 2 has a single tree.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

MOUNT = Path("/sys/fs/cgroup")
# In version 1 a new group has no processors and no memory nodes: no process could run in it.
INHERITED = ("cpuset.cpus", "cpuset.mems")
DELEGATED = "cgroup.subtree_control"


def make_cgroups(name: str, mount: Path = MOUNT) -> None:
    """Create a control group in every tree, with everything that its parent may use.

    Args:
        name: from the root of the trees, with a slash in front.
        mount: where they are mounted.
    """
    for tree in _trees(mount):
        group = tree / name.lstrip("/")
        group.mkdir(exist_ok=True)
        for file in INHERITED:
            if (group / file).exists() and (tree / file).exists():
                (group / file).write_text((tree / file).read_text())
        if (group / DELEGATED).exists():
            controllers = (group / "cgroup.controllers").read_text().split()
            (group / DELEGATED).write_text(" ".join(f"+{one}" for one in controllers))


def remove_cgroups(name: str, mount: Path = MOUNT) -> None:
    """Remove a control group and those below it, in every tree; one with processes stays."""
    for tree in _trees(mount):
        group = tree / name.lstrip("/")
        if not group.is_dir():
            continue
        below = [folder for folder in group.rglob("*") if folder.is_dir()]
        for folder in [*sorted(below, key=lambda path: -len(path.parts)), group]:
            with suppress(OSError):
                folder.rmdir()


def _trees(mount: Path) -> Iterator[Path]:
    if (mount / "cgroup.controllers").exists():
        yield mount
        return
    for tree in sorted(mount.iterdir()) if mount.is_dir() else ():
        # A tree may have a second name, which is a symbolic link.
        if (tree / "cgroup.procs").exists() and not tree.is_symlink():
            yield tree
