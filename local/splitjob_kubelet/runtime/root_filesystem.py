"""The root file system of a container: this machine's programs and no other files of it.

There are no images here. A container sees the system's programs and libraries, its interpreter and
the shared directories, read-only and under the same paths. Everything else is a directory of its
own on the node's disk, where its usage is measured.
"""

import os
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from splitjob_kubelet.runtime.confinement import Mount

_SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "opt", "nix")
_ETC = (
    "alternatives", "ca-certificates", "crypto-policies", "ld.so.cache", "ld.so.conf",
    "ld.so.conf.d", "localtime", "mime.types", "pki", "protocols", "resolv.conf", "services", "ssl",
)  # fmt: skip
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts")
_GPU_DEVICES = ("nvidia*", "dri", "kfd", "dxg")
_OWN_DIRECTORIES = {
    "tmp": 0o1777,
    "var/tmp": 0o1777,
    "root": 0o755,
    "run": 0o755,
    "etc": 0o755,
    "dev": 0o755,
    "home": 0o755,
}
_LINKS = {
    "var/run": "../run",
    "dev/fd": "/proc/self/fd",
    "dev/stdin": "/proc/self/fd/0",
    "dev/stdout": "/proc/self/fd/1",
    "dev/stderr": "/proc/self/fd/2",
}
_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}


def prepare(root: Path, hostname: str, address: str) -> None:
    """Fill an empty directory with the container's own files: /etc, /dev, /tmp and others.

    Args:
        root: the directory.
        hostname: of the pod.
        address: of the pod.
    """
    for name, mode in _OWN_DIRECTORIES.items():
        directory = root / name
        directory.mkdir(parents=True)
        directory.chmod(mode)
    for name, target in {**_LINKS, **_system_links()}.items():
        (root / name).symlink_to(target)
    hosts = f"127.0.0.1\tlocalhost\n::1\tlocalhost\n{address}\t{hostname}\n"
    for name, text in {**_FILES, "etc/hosts": hosts, "etc/hostname": f"{hostname}\n"}.items():
        (root / name).write_text(text, encoding="utf-8")


def _system_links() -> dict[str, str]:
    """/bin, /lib and others that are symbolic links on this system."""
    return {
        name: str(Path("/", name).readlink()) for name in _SYSTEM if Path("/", name).is_symlink()
    }


@cache
def system_mounts() -> tuple[Mount, ...]:
    """The mounts of this machine's files that every container has; computed once."""
    directories = [Path("/", name) for name in _SYSTEM]
    mounts = [_seen(path) for path in directories if path.is_dir() and not path.is_symlink()]
    mounts += [_seen(path) for path in (Path("/etc", name) for name in _ETC) if path.exists()]
    mounts += [Mount("/proc", "/proc"), Mount("/sys", "/sys", read_only=True)]
    devices = [Path("/dev", name) for name in _DEVICES]
    devices += [path for pattern in _GPU_DEVICES for path in sorted(Path("/dev").glob(pattern))]
    mounts += [Mount(str(path), str(path)) for path in devices if path.exists()]
    return (*mounts, Mount("", "/dev/shm"))  # noqa: S108 - a tmpfs of the container


def image_mounts(programs: Path, shared: Iterable[Path]) -> list[Mount]:
    """The mounts that replace an image.

    Args:
        programs: the directory of programs that replaces the image.
        shared: further directories.

    Returns:
        The mounts: the programs' virtual environment and its interpreter, and what is shared.
    """
    wanted = {*_environment_of(programs), *shared} - {Path("/")}
    covered = [mount.target for mount in system_mounts()]
    mounts = []
    for path in sorted(wanted, key=lambda path: len(path.parts)):
        if not any(path.is_relative_to(parent) for parent in covered):
            mounts.append(_seen(path))
            covered.append(str(path))
    return mounts


def _seen(path: Path) -> Mount:
    return Mount(os.path.realpath(path), str(path), read_only=True)


def _environment_of(programs: Path) -> Sequence[Path]:
    """A virtual environment and the installation it was made from, or the programs alone."""
    configuration = programs.parent / "pyvenv.cfg"
    if not configuration.is_file():
        return [programs]
    lines = (line.partition("=") for line in configuration.read_text().splitlines())
    home = next((value.strip() for key, _, value in lines if key.strip() == "home"), None)
    if home is None:
        return [programs.parent]
    base = Path(home).parent
    return [programs.parent, base, Path(os.path.realpath(base))]
