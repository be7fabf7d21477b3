"""What keeps a container to itself: its root file system, its mounts, its user.

`launcher.py` carries it out.
"""

import marshal
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from splitjob_kubelet.objects import Json, all_containers
from splitjob_kubelet.runtime.environment import ConfigurationError

IMAGE_USER = 65532
"""The user of every image here, as of this project's own: a number without a name."""

ROOT_GROUP = 0


@dataclass(frozen=True)
class Mount:
    """A file or directory of this machine, and where a container sees it.

    Attributes:
        source: free of symbolic links; blank: a small file system in memory.
        target: in the container.
        read_only: for the container.
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
    """All that the launcher must know.

    Attributes:
        root: directory that becomes the root.
        mounts: in this order.
        read_only_root: whether only volumes can be written to.
        identity: who the program runs as.
        user_namespace: whether a user namespace stands for being root.
        hostname: of the container.
        directory: where the program starts, in the container.
        join: a process of the container whose namespaces are entered; 0: new ones are made.
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
        """The same, for one more program in the namespaces of a process."""
        return replace(self, join=pid)

    def descriptor(self) -> int:
        """Return a descriptor from which the launcher can read all this."""
        spec: dict[str, Any] = asdict(self) | asdict(self.identity)
        spec["groups"] = list(self.identity.groups)
        spec["mounts"] = [(one.source, one.target, one.read_only) for one in self.mounts]
        del spec["identity"]
        descriptor = os.memfd_create("confinement")
        os.write(descriptor, marshal.dumps(spec))
        os.lseek(descriptor, 0, os.SEEK_SET)
        return descriptor


def security_context(container: Json, pod: Json) -> Json:
    """The pod's securityContext with the container's own over it."""
    of_pod = pod["spec"].get("securityContext") or {}
    return {**of_pod, **(container.get("securityContext") or {})}


def identity_of(container: Json, pod: Json) -> Identity:
    """Who a container runs as.

    Raises:
        ConfigurationError: root, which the pod itself rules out.
    """
    context = security_context(container, pod)
    user = int(context.get("runAsUser", IMAGE_USER))
    if user == 0 and context.get("runAsNonRoot"):
        raise ConfigurationError("container's runAsUser breaks non-root policy")
    # A user without a line in passwd has no group of its own but the one the pod names.
    group = int(context.get("runAsGroup", ROOT_GROUP if "runAsUser" in context else IMAGE_USER))
    return Identity(user, group, _groups(pod))


@dataclass(frozen=True)
class VolumeOwner:
    """For whom the volumes of a pod are made: its one user, where it has one; its fsGroup."""

    user: int | None
    group: int | None


def volume_owner(pod: Json) -> VolumeOwner:
    """Return what a kubelet goes by when it sets up volumes."""
    users = {security_context(one, pod).get("runAsUser") for one in all_containers(pod)}
    context = pod["spec"].get("securityContext") or {}
    return VolumeOwner(users.pop() if len(users) == 1 else None, context.get("fsGroup"))


def _groups(pod: Json) -> tuple[int, ...]:
    context = pod["spec"].get("securityContext") or {}
    named: Sequence[int] = context.get("supplementalGroups") or []
    fs_group = context.get("fsGroup")
    return tuple(dict.fromkeys([*named, *([] if fs_group is None else [fs_group])]))
