"""The programs of a local cluster, and the versions of them that this project works with."""

import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from splitjob_local.paths import TOOLS

Version = tuple[int, int, int]


@dataclass(frozen=True)
class Program:
    """One program: how to ask its version, and the oldest supported one.

    `module` is its Go module; this project builds the version pinned in `local/tools`.
    """

    name: str
    module: str
    version_arguments: tuple[str, ...]
    oldest: Version


KUBERNETES = "k8s.io/kubernetes"
ETCD = "go.etcd.io/etcd/server/v3"
HELM = "helm.sh/helm/v4"
VERSITYGW = "github.com/versity/versitygw"

# 1.32 is the first Kubernetes in which `selectableFields` of a CRD are stable.
OLDEST_KUBERNETES = (1, 32, 0)

PROGRAMS = (
    Program("etcd", ETCD, ("--version",), (3, 5, 0)),
    Program("kube-apiserver", KUBERNETES, ("--version",), OLDEST_KUBERNETES),
    Program("kube-controller-manager", KUBERNETES, ("--version",), OLDEST_KUBERNETES),
    Program("kube-scheduler", KUBERNETES, ("--version",), OLDEST_KUBERNETES),
    Program("kubectl", KUBERNETES, ("version", "--client"), OLDEST_KUBERNETES),
    Program("helm", HELM, ("version", "--short"), (3, 15, 0)),
    Program("versitygw", VERSITYGW, ("--version",), (1, 8, 0)),
)


def pinned_versions() -> dict[str, str]:
    """Return the version of each Go module in PROGRAMS, as `local/tools` pins it (no leading v)."""
    folders = {VERSITYGW: TOOLS / "s3"}
    modules = {program.module for program in PROGRAMS}
    return {module: pinned_version(module, folders.get(module, TOOLS)) for module in modules}


def pinned_version(module: str, folder: Path) -> str:
    """Return the version of a Go module, without the leading v, as the go.mod of a folder pins it.

    Raises:
        ValueError: it pins none.
    """
    text = (folder / "go.mod").read_text()
    match = re.search(rf"^(?:require )?\s*{re.escape(module)} v(\S+)", text, re.MULTILINE)
    if match is None:
        raise ValueError(f"{folder} pins no version of {module}")
    return match[1]


def platform_name() -> tuple[str, str]:
    """Return this machine's system and architecture as Go names them, e.g. ("linux", "amd64")."""
    machine = platform.machine().lower()
    names = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
    return sys.platform, names.get(machine, machine)


def version_in(text: str) -> Version | None:
    """Return the first version number in the output of a program."""
    match = re.search(r"v?(\d+)\.(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def version_of(path: Path, program: Program) -> Version | None:
    """Return the version of the program at `path`; None if it does not report one."""
    try:
        answer = subprocess.run(
            [path, *program.version_arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=20,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return version_in(answer.stdout) if answer.returncode == 0 else None


def is_supported(path: Path, program: Program) -> bool:
    """Whether the program at `path` has a version that this project works with."""
    version = version_of(path, program)
    return version is not None and version >= program.oldest


def find_program(name: str, folders: list[Path]) -> Path | None:
    """Return the first executable of that name in `folders`."""
    found = shutil.which(name, path=":".join(map(str, folders)))
    return Path(found) if found else None
