"""The confinement of a container: root file system, mounts, user. `launcher.py` applies it."""

import marshal
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from splitjob_kubelet.objects import Json, all_containers
from splitjob_kubelet.runtime.environment import ConfigurationError

IMAGE_USER = 65532
"""The user of every image, as in this project's images: a number without a name."""

ROOT_GROUP = 0


@dataclass(frozen=True)
class Mount:
    """A bind mount into a container.

    Attributes:
        source: path on this machine without symbolic links; blank: a small tmpfs.
        target: path in the container.
        read_only: whether the container can only read it.
    """

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class Identity:
    """The user and groups of a container, as numbers."""

    user: int
    group: int
    groups: tuple[int, ...] = ()


@dataclass(frozen=True)
class Confinement:
    """The input of the launcher.

    Attributes:
        root: directory that becomes the root file system.
        mounts: applied in this order.
        read_only_root: whether only volumes can be written to.
        identity: user and groups of the program.
        user_namespace: whether to use a user namespace, for a node without root.
        hostname: of the container.
        directory: working directory, in the container.
        join: process id whose namespaces to enter; 0: create new ones.
    """

    root: str
    mounts: tuple[Mount, ...]
    read_only_root: bool
    identity: Identity
    user_namespace: bool
    hostname: str
    directory: str
    join: int = 0

    def of_process(self, pid: int) -> Self:
        """The same for a further program in the namespaces of a running process."""
        return replace(self, join=pid)

    def descriptor(self) -> int:
        """Return a file descriptor from which the launcher can read this."""
        spec: dict[str, Any] = asdict(self) | asdict(self.identity)
        spec["groups"] = list(self.identity.groups)
        spec["mounts"] = [(one.source, one.target, one.read_only) for one in self.mounts]
        del spec["identity"]
        descriptor = os.memfd_create("confinement")
        os.write(descriptor, marshal.dumps(spec))
        os.lseek(descriptor, 0, os.SEEK_SET)
        return descriptor


def security_context(container: Json, pod: Json) -> Json:
    """The pod's securityContext, overridden by the container's."""
    of_pod = pod["spec"].get("securityContext") or {}
    return {**of_pod, **(container.get("securityContext") or {})}


def identity_of(container: Json, pod: Json) -> Identity:
    """The user and groups of a container.

    Raises:
        ConfigurationError: it is root, which runAsNonRoot forbids.
    """
    context = security_context(container, pod)
    user = int(context.get("runAsUser", IMAGE_USER))
    if user == 0 and context.get("runAsNonRoot"):
        raise ConfigurationError("container's runAsUser breaks non-root policy")
    # As in a container runtime: a user that is not in /etc/passwd has group 0.
    group = int(context.get("runAsGroup", ROOT_GROUP if "runAsUser" in context else IMAGE_USER))
    return Identity(user, group, _groups(pod))


@dataclass(frozen=True)
class VolumeOwner:
    """The owner of a pod's volumes: the user, if all containers have the same, and the fsGroup."""

    user: int | None
    group: int | None


def volume_owner(pod: Json) -> VolumeOwner:
    """Return the owner of a pod's volumes by the kubelet's rules."""
    users = {security_context(one, pod).get("runAsUser") for one in all_containers(pod)}
    context = pod["spec"].get("securityContext") or {}
    return VolumeOwner(users.pop() if len(users) == 1 else None, context.get("fsGroup"))


def _groups(pod: Json) -> tuple[int, ...]:
    context = pod["spec"].get("securityContext") or {}
    named: Sequence[int] = context.get("supplementalGroups") or []
    fs_group = context.get("fsGroup")
    return tuple(dict.fromkeys([*named, *([] if fs_group is None else [fs_group])]))
