"""Writing the volumes of a pod to disk, and updating them."""

import os
import secrets
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path

from splitjob_kubelet.objects import Json
from splitjob_kubelet.runtime.confinement import VolumeOwner
from splitjob_kubelet.runtime.environment import ConfigurationError
from splitjob_kubelet.runtime.volumes import File

_CURRENT = "..data"
_ANYBODY = 0o777
_SET_GROUP = 0o2000  # new files in the directory get its group
_GROUP_READS = 0o440
_ALL_READ = 0o644


def make_directories(pod: Json, volumes: Path, owner: VolumeOwner | None = None) -> None:
    """Create an empty directory for each volume except hostPath.

    Args:
        pod: the pod.
        volumes: the directory to create them in.
        owner: may write to them, besides the node's user.

    Raises:
        ConfigurationError: a hostPath is not of the type in the spec.
    """
    for volume in pod["spec"].get("volumes") or []:
        if "hostPath" not in volume:
            directory = volumes / volume["name"]
            directory.mkdir(parents=True, exist_ok=True)
            if owner is not None and "emptyDir" in volume:
                _allow_writing(directory, owner)
        else:
            _check_host_path(volume["name"], volume["hostPath"])


def _allow_writing(directory: Path, owner: VolumeOwner) -> None:
    directory.chmod(_ANYBODY)
    if owner.group is not None:
        os.chown(directory, -1, owner.group)
        directory.chmod(_ANYBODY | _SET_GROUP)


def _check_host_path(volume: str, host_path: Json) -> None:
    """Create a hostPath where its type allows that, and check it otherwise."""
    path, kind = Path(host_path["path"]), host_path.get("type", "")
    if kind == "DirectoryOrCreate":
        path.mkdir(parents=True, exist_ok=True)
    elif kind == "FileOrCreate":
        path.touch()
    fits = {"Directory": path.is_dir, "File": path.is_file}.get(kind, lambda: True)
    if not fits():
        message = f"{host_path['path']} is not a {kind.lower()} of this machine"
        raise ConfigurationError(f'volume "{volume}": {message}')


def make_sub_paths(container: Json, paths: Mapping[str, str]) -> None:
    """Create the directories of subPath mounts that do not exist."""
    for mount in container.get("volumeMounts") or []:
        if mount.get("subPath") or mount.get("subPathExpr"):
            _make_as_parent(Path(paths[mount["mountPath"]]))


def _make_as_parent(directory: Path) -> None:
    """Create a directory and its missing parents with the mode of the nearest existing one."""
    if directory.exists():
        return
    _make_as_parent(directory.parent)
    directory.mkdir()
    directory.chmod(stat.S_IMODE(directory.parent.stat().st_mode))


def write_files(
    directory: Path, files: Mapping[str, File], owner: VolumeOwner | None = None
) -> None:
    """Replace the files of a volume atomically, so that no reader sees half of an update.

    The files go into a new directory, then the symbolic link `..data` is pointed to it; the visible
    names are links through `..data` (as in the kubelet's AtomicWriter).

    Args:
        directory: of the volume.
        files: path in it -> file.
        owner: may read them, besides the node's user.
    """
    fresh = directory / f"..{secrets.token_hex(8)}"
    for path, file in files.items():
        target = fresh / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.content)
        target.chmod(file.mode)
        if owner is not None:
            _set_owner(target, file, owner)
    fresh.mkdir(exist_ok=True)
    current = directory / _CURRENT
    stale = current.readlink() if current.is_symlink() else None
    _point_link(current, fresh.name)
    _link_files(directory, {path.split("/", 1)[0] for path in files})
    if stale is not None:
        shutil.rmtree(directory / stale, ignore_errors=True)


def _set_owner(path: Path, file: File, owner: VolumeOwner) -> None:
    """Set owner and mode of a file as a kubelet does for runAsUser and fsGroup."""
    mode, user = file.mode, None
    if file.private:
        user = owner.user
        mode = _ALL_READ if user is None and owner.group is None else file.mode
    if owner.group is not None:
        mode |= _GROUP_READS
    os.chown(path, -1 if user is None else user, -1 if owner.group is None else owner.group)
    path.chmod(mode)


def _point_link(link: Path, target: str) -> None:
    partial = link.with_name("..partial")
    partial.unlink(missing_ok=True)
    partial.symlink_to(target)
    partial.replace(link)


def _link_files(directory: Path, names: set[str]) -> None:
    for entry in directory.iterdir():
        if entry.is_symlink() and entry.name != _CURRENT and entry.name not in names:
            entry.unlink()
    for name in names:
        if not (directory / name).is_symlink():
            (directory / name).symlink_to(f"{_CURRENT}/{name}")


def is_current(directory: Path, files: Mapping[str, File]) -> bool:
    """Whether a volume contains exactly these files."""
    try:
        shown = {
            path.relative_to(directory / _CURRENT).as_posix(): path.read_bytes()
            for path in (directory / _CURRENT).rglob("*")
            if path.is_file()
        }
    except OSError:
        return False
    return shown == {path: file.content for path, file in files.items()}


def empty_volumes(volumes: Path) -> None:
    """Delete the volumes of a pod after its processes have ended."""
    shutil.rmtree(volumes, ignore_errors=True)
