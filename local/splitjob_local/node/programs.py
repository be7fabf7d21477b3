"""From the spec of a container to the program that is run."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

from splitjob_local.node.admission import GPU_RESOURCE, gpu_variables
from splitjob_local.node.cluster import Cluster
from splitjob_local.node.environment import (
    Source,
    container_environment,
    expand,
    rewrite_path,
    rewritten,
    sources_of,
)
from splitjob_local.node.images import Environment
from splitjob_local.node.kubeconfig import AUTHORITY_FILE, pod_kubeconfig
from splitjob_local.node.objects import TOKEN_MOUNT_PATH, Json, namespace_of
from splitjob_local.node.processes import Program
from splitjob_local.node.sandbox import ContainerDirectory, Sandbox
from splitjob_local.node.volume_store import make_sub_paths
from splitjob_local.node.volumes import Binary, mount_paths, object_bytes, token_volume

_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class NoCommandError(Exception):
    """The container leaves its command to the image, and there is none."""


async def fetch_objects(
    cluster: Cluster, namespace: str, sources: Iterable[Source]
) -> dict[Source, Binary | None]:
    """The data of Secrets and ConfigMaps, None for those that do not exist."""
    wanted = list(sources)
    manifests = await asyncio.gather(
        *(cluster.data_object(source.kind, namespace, source.name) for source in wanted)
    )
    return {
        source: None if manifest is None else object_bytes(source.kind, manifest)
        for source, manifest in zip(wanted, manifests, strict=True)
    }


async def container_program(
    container: Json,
    sandbox: Sandbox,
    image: Environment,
    directory: ContainerDirectory,
    container_id: str,
) -> Program:
    """Work out what to run for a container.

    Args:
        container: its spec.
        sandbox: its pod.
        image: where its programs are.
        directory: its files.
        container_id: names this start of it.

    Returns:
        The program, every path in it one of this machine.

    Raises:
        ConfigurationError: it refers to something that is not there.
        NoCommandError: it has no command.
        ClusterError: the API server could not be asked.
    """
    pod = sandbox.pod
    cluster = sandbox.services.cluster
    found = await fetch_objects(cluster, namespace_of(pod), sources_of(container))
    objects = {source: _texts(data) for source, data in found.items()}
    variables = container_environment(container, pod, sandbox.facts, objects)
    mounts = mount_paths(container, pod, sandbox.volumes, directory.termination_message, variables)
    make_sub_paths(container, mounts)
    command = [expand(part, variables) for part in container.get("command") or []]
    arguments = [expand(part, variables) for part in container.get("args") or []]
    if not command:
        raise NoCommandError(
            "no command specified: on this node, where images are directories of programs, "
            "the container must have one"
        )
    environment = _basics(sandbox, image, directory, mounts)
    environment |= _gpu_environment(container, sandbox)
    environment |= _kubeconfig(container, sandbox, directory, mounts)
    environment |= {name: rewrite_path(value, mounts) for name, value in variables.items()}
    return Program(
        arguments=rewritten([*command, *arguments], mounts),
        environment=environment,
        directory=_working_directory(container, directory, mounts),
        container_id=container_id,
        mounts=mounts,
    )


def _texts(data: Binary | None) -> dict[str, str] | None:
    if data is None:
        return None
    return {key: value.decode(errors="replace") for key, value in data.items()}


def _basics(
    sandbox: Sandbox, image: Environment, directory: ContainerDirectory, mounts: dict[str, str]
) -> dict[str, str]:
    scratch = rewrite_path("/tmp", mounts)  # noqa: S108
    return {
        "PATH": f"{image.bin_dir}:{_SYSTEM_PATH}",
        "LANG": "C.UTF-8",
        "HOME": str(directory.home),
        "TMPDIR": scratch if scratch in mounts.values() else str(directory.scratch),
        "HOSTNAME": sandbox.pod["spec"].get("hostname") or sandbox.record.name,
    }


def _gpu_environment(container: Json, sandbox: Sandbox) -> dict[str, str]:
    share = sandbox.gpu_shares.get(container["name"], [])
    return gpu_variables(share, GPU_RESOURCE in sandbox.services.capacity)


def _kubeconfig(
    container: Json, sandbox: Sandbox, directory: ContainerDirectory, mounts: dict[str, str]
) -> dict[str, str]:
    """The kubeconfig in place of the mounted service account, for pods that have one mounted."""
    if token_volume(container, sandbox.pod) is None:
        return {}
    root = sandbox.services.settings.root
    token = rewrite_path(f"{TOKEN_MOUNT_PATH}/token", mounts)
    access = sandbox.services.access
    text = pod_kubeconfig(access.server, root / AUTHORITY_FILE, token, namespace_of(sandbox.pod))
    directory.kubeconfig.touch(mode=0o600)
    directory.kubeconfig.write_text(text, encoding="utf-8")
    return {"KUBECONFIG": str(directory.kubeconfig)}


def _working_directory(
    container: Json, directory: ContainerDirectory, mounts: dict[str, str]
) -> Path:
    """The directory behind workingDir when that is mounted; the image's own does not exist here."""
    asked = container.get("workingDir")
    if asked:
        path = rewrite_path(asked, mounts)
        if path != asked:
            return Path(path)
    return directory.home
