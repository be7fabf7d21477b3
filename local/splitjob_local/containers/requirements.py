"""Checking that a machine can run a node with containers."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from splitjob_local.images.engine import ENGINES

# Program -> Debian package.
PACKAGES = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "ip6tables": "iptables",
    "ipset": "ipset",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "sysctl": "procps",
    "unshare": "util-linux",
    "nsenter": "util-linux",
}
CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
CNI_PLUGINS = ("bridge", "host-local", "loopback", "portmap")

Which = Callable[[str], str | None]


class RequirementError(Exception):
    """The machine cannot run the node; the message says what to do."""


def check_requirements() -> None:
    """Check that this machine can run containers.

    Raises:
        RequirementError: it is not Linux, we are not root, or a program is missing.
    """
    if sys.platform != "linux":
        raise RequirementError("a node that runs containers needs Linux; leave --containers out")
    if os.geteuid() != 0:
        raise RequirementError(
            "a node that runs containers needs root: it makes namespaces, mounts and cgroups. "
            "Run the command with sudo, or leave --containers out"
        )
    missing = missing_packages(shutil.which, cni_folder() is not None)
    if missing:
        raise RequirementError(
            f"programs are missing for a node that runs containers. On Debian and Ubuntu:\n"
            f"  apt install {' '.join(missing)}"
        )


def missing_packages(which: Which, has_cni_plugins: bool) -> list[str]:
    """Return the Debian packages of missing programs, sorted, without repeats."""
    missing = {package for program, package in PACKAGES.items() if which(program) is None}
    if not has_cni_plugins:
        missing.add("containernetworking-plugins")
    if not any(which(engine) for engine in ENGINES):
        missing.add("buildah")
    return sorted(missing)


def cni_folder() -> Path | None:
    """Return the folder with the CNI plugins, or None where there is none."""
    for folder in CNI_FOLDERS:
        if all((folder / plugin).is_file() for plugin in CNI_PLUGINS):
            return folder
    return None
