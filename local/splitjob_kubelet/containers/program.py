"""Building the program to run from the spec of a container."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from splitjob_kubelet.api.apiserver import ApiServer
from splitjob_kubelet.api.kubeconfig import AUTHORITY_FILE, pod_kubeconfig
from splitjob_kubelet.node.admission import GPU_RESOURCE, gpu_variables
from splitjob_kubelet.node.sandbox import ContainerDirectory, Sandbox
from splitjob_kubelet.objects import SERVICE_ACCOUNT_MOUNT, Json, namespace_of
from splitjob_kubelet.runtime.confinement import Confinement, identity_of, security_context
from splitjob_kubelet.runtime.container_process import Program
from splitjob_kubelet.runtime.environment import (
    ObjectReference,
    container_environment,
    expand,
    referenced_objects,
    rewrite_path,
    rewritten,
    service_variables,
)
from splitjob_kubelet.runtime.isolation import IsolationLevel
from splitjob_kubelet.runtime.root_filesystem import prepare
from splitjob_kubelet.runtime.volume_store import make_sub_paths
from splitjob_kubelet.runtime.volumes import (
    ObjectData,
    mount_paths,
    object_bytes,
    token_volume,
    volume_mounts,
)
from splitjob_kubelet.settings import ImageEnvironment

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class NoCommandError(Exception):
    """The spec has no command, and this node has no image that provides one."""


async def fetch_objects(
    api_server: ApiServer, namespace: str, sources: Iterable[ObjectReference]
) -> dict[ObjectReference, ObjectData | None]:
    """Fetch the data of Secrets and ConfigMaps; None for those that do not exist."""
    wanted = list(sources)
    manifests = await asyncio.gather(
        *(api_server.data_object(source.kind, namespace, source.name) for source in wanted)
    )
    return {
        source: None if manifest is None else object_bytes(source.kind, manifest)
        for source, manifest in zip(wanted, manifests, strict=True)
    }


async def container_program(
    container: Json,
    sandbox: Sandbox,
    image: ImageEnvironment,
    directory: ContainerDirectory,
    container_id: str,
) -> Program:
    """Return the program of a container.

    Args:
        container: its spec.
        sandbox: its pod.
        image: the directory of programs that replaces its image.
        directory: its files.
        container_id: id of this start of the container.

    Returns:
        The program.

    Raises:
        ConfigurationError: it refers to something that does not exist.
        NoCommandError: it has no command.
        ApiServerError: a Secret or ConfigMap could not be fetched.
    """
    pod = sandbox.pod
    api_server = sandbox.node.api_server
    found = await fetch_objects(api_server, namespace_of(pod), referenced_objects(container))
    objects = {source: _texts(data) for source, data in found.items()}
    variables = container_environment(container, pod, sandbox.facts, objects)
    mounts = mount_paths(container, pod, sandbox.volumes, directory.termination_message, variables)
    make_sub_paths(container, mounts)
    words = _command(container, variables)
    start = _ContainerStart(
        container, sandbox, image, directory, container_id, variables, mounts, words
    )
    if sandbox.node.isolation.confines:
        return _confined_program(start)
    return _unconfined_program(start)


def _command(container: Json, variables: Mapping[str, str]) -> list[str]:
    """The command and arguments of a container, references expanded."""
    command = [expand(part, variables) for part in container.get("command") or []]
    if not command:
        raise NoCommandError(
            "no command specified: on this node, where images are directories of programs, "
            "the container must have one"
        )
    return command + [expand(part, variables) for part in container.get("args") or []]


@dataclass(frozen=True)
class _ContainerStart:
    """The inputs of one start of a container; paths are those inside the container."""

    container: Json
    sandbox: Sandbox
    image: ImageEnvironment
    directory: ContainerDirectory
    container_id: str
    variables: dict[str, str]
    mounts: dict[str, str]
    words: list[str]

    @property
    def basics(self) -> dict[str, str]:
        """The variables of every container."""
        share = self.sandbox.gpu_shares.get(self.container["name"], [])
        return {
            "PATH": f"{self.image.bin_dir}:{_SYSTEM_PATH}",
            "HOSTNAME": self.hostname,
            **gpu_variables(share, GPU_RESOURCE in self.sandbox.node.capacity),
        }

    @property
    def hostname(self) -> str:
        return str(self.sandbox.pod["spec"].get("hostname") or self.sandbox.record.name)


def _confined_program(start: _ContainerStart) -> Program:
    """The program in a root file system of its own, with the paths of the spec."""
    container, sandbox = start.container, start.sandbox
    isolation = sandbox.node.isolation
    identity = identity_of(container, sandbox.pod)
    prepare(start.directory.root, start.hostname, sandbox.record.pod_ip or "")
    confinement = Confinement(
        root=str(start.directory.root),
        mounts=isolation.mounts(
            start.image.bin_dir, volume_mounts(container, sandbox.pod, start.mounts)
        ),
        read_only_root=bool(security_context(container, sandbox.pod).get("readOnlyRootFilesystem")),
        identity=identity,
        user_namespace=isolation.level is IsolationLevel.USER_NAMESPACE,
        hostname=start.hostname,
        directory=container.get("workingDir") or "/",
    )
    services = service_variables(sandbox.node.client_config.server)
    home = {"HOME": "/root" if identity.user == 0 else "/"}
    return Program(
        arguments=start.words,
        environment=start.basics | home | services | start.variables,
        directory=Path("/"),
        container_id=start.container_id,
        mounts={},
        confinement=confinement,
    )


def _unconfined_program(start: _ContainerStart) -> Program:
    """The program in this machine's file system, with every path translated."""
    mounts = start.mounts
    variables = {name: rewrite_path(value, mounts) for name, value in start.variables.items()}
    return Program(
        arguments=rewritten(start.words, mounts),
        environment=start.basics | _directory_variables(start) | _kubeconfig(start) | variables,
        directory=_working_directory(start),
        container_id=start.container_id,
        mounts=mounts,
    )


def _directory_variables(start: _ContainerStart) -> dict[str, str]:
    scratch = rewrite_path("/tmp", start.mounts)  # noqa: S108
    own = scratch if scratch in start.mounts.values() else str(start.directory.scratch)
    return {"LANG": "C.UTF-8", "HOME": str(start.directory.home), "TMPDIR": own}


def _kubeconfig(start: _ContainerStart) -> dict[str, str]:
    """KUBECONFIG in place of the service account, for containers that have it mounted."""
    sandbox, file = start.sandbox, start.directory.kubeconfig
    if token_volume(start.container, sandbox.pod) is None:
        return {}
    authority = sandbox.node.settings.root / AUTHORITY_FILE
    token = rewrite_path(f"{SERVICE_ACCOUNT_MOUNT}/token", start.mounts)
    server = sandbox.node.client_config.server
    file.touch(mode=0o600)
    file.write_text(
        pod_kubeconfig(server, authority, token, namespace_of(sandbox.pod)), encoding="utf-8"
    )
    return {"KUBECONFIG": str(file)}


def _working_directory(start: _ContainerStart) -> Path:
    """The directory behind workingDir, if it is mounted; else the container's home."""
    asked = start.container.get("workingDir")
    if asked:
        path = rewrite_path(asked, start.mounts)
        if path != asked:
            return Path(path)
    return start.directory.home


def _texts(data: ObjectData | None) -> dict[str, str] | None:
    if data is None:
        return None
    return {key: value.decode(errors="replace") for key, value in data.items()}
