"""The contents and mounts of a pod's volumes: pure functions."""

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from splitjob_kubelet.objects import (
    DEFAULT_TERMINATION_MESSAGE_PATH,
    SERVICE_ACCOUNT_MOUNT,
    Json,
)
from splitjob_kubelet.runtime.confinement import Mount
from splitjob_kubelet.runtime.environment import (
    ConfigurationError,
    ObjectReference,
    PodFacts,
    expand,
    field_value,
    resource_value,
)

_DEFAULT_MODE = 0o644
_TOKEN_MODE = 0o600


@dataclass(frozen=True)
class File:
    """One file of a volume; only the pod's user may read a private one."""

    content: bytes
    mode: int
    private: bool = False


@dataclass(frozen=True)
class TokenRequest:
    """The service account token of a projected volume."""

    audience: str | None
    seconds: int


ObjectData = Mapping[str, bytes]


def object_bytes(kind: str, manifest: Json) -> dict[str, bytes]:
    """The data of a Secret or ConfigMap, decoded."""
    data = manifest.get("data") or {}
    if kind == "secret":
        return {key: base64.b64decode(value) for key, value in data.items()}
    binary = manifest.get("binaryData") or {}
    return {key: value.encode() for key, value in data.items()} | {
        key: base64.b64decode(value) for key, value in binary.items()
    }


def projections(volume: Json) -> tuple[list[Json], int] | None:
    """The sources of a volume of files, in the form of a projected volume.

    Returns:
        The sources and the default mode; None for a volume that the node does not fill.
    """
    if "secret" in volume:
        source = volume["secret"]
        part = {"secret": {**source, "name": source["secretName"]}}
        return [part], source.get("defaultMode", _DEFAULT_MODE)
    for kind in ("configMap", "downwardAPI"):
        if kind in volume:
            return [{kind: volume[kind]}], volume[kind].get("defaultMode", _DEFAULT_MODE)
    if "projected" in volume:
        source = volume["projected"]
        return source.get("sources") or [], source.get("defaultMode", _DEFAULT_MODE)
    return None


def volume_objects(volume: Json) -> set[ObjectReference]:
    """The Secrets and ConfigMaps in a volume."""
    parts, _ = projections(volume) or ([], 0)
    return {
        ObjectReference(kind, part[kind]["name"])
        for part in parts
        for kind in ("secret", "configMap")
        if kind in part
    }


def token_requests(volume: Json) -> set[TokenRequest]:
    """The service account tokens in a volume."""
    parts, _ = projections(volume) or ([], 0)
    return {_token_request(part["serviceAccountToken"]) for part in parts if _is_token(part)}


def _is_token(part: Json) -> bool:
    return "serviceAccountToken" in part


def _token_request(source: Json) -> TokenRequest:
    return TokenRequest(source.get("audience"), int(source.get("expirationSeconds", 3600)))


def volume_files(
    volume: Json,
    pod: Json,
    facts: PodFacts,
    objects: Mapping[ObjectReference, ObjectData | None],
    tokens: Mapping[TokenRequest, str],
) -> dict[str, File]:
    """The files of a secret, configMap, downwardAPI or projected volume.

    Args:
        volume: entry of the pod's volumes.
        pod: the pod.
        facts: for the downward API.
        objects: data of each of `volume_objects(volume)`; None where there is no such object.
        tokens: one for each of `token_requests(volume)`.

    Returns:
        Path in the volume -> file.

    Raises:
        ConfigurationError: something that is not optional is missing.
    """
    parts, default_mode = projections(volume) or ([], _DEFAULT_MODE)
    files: dict[str, File] = {}
    for part in parts:
        if "serviceAccountToken" in part:
            source = part["serviceAccountToken"]
            token = tokens[_token_request(source)].encode()
            files[source["path"]] = File(token, _TOKEN_MODE, private=True)
        elif "downwardAPI" in part:
            files |= _downward_files(part["downwardAPI"], pod, facts, default_mode)
        else:
            kind = "secret" if "secret" in part else "configMap"
            if kind not in part:
                raise ConfigurationError(
                    f"projected volumes of {', '.join(part)} do not exist here"
                )
            files |= _object_files(kind, part[kind], objects, pod, default_mode)
    return files


def _object_files(
    kind: str,
    reference: Json,
    objects: Mapping[ObjectReference, ObjectData | None],
    pod: Json,
    default_mode: int,
) -> dict[str, File]:
    name, optional = reference["name"], reference.get("optional", False)
    data = objects[ObjectReference(kind, name)]
    if data is None:
        if optional:
            return {}
        raise ConfigurationError(f'{kind.lower()} "{name}" not found')
    items = reference.get("items")
    if not items:
        return {key: File(value, default_mode) for key, value in data.items()}
    files = {}
    for item in items:
        if item["key"] in data:
            content = data[item["key"]]
            files[item["path"]] = File(content, item.get("mode", default_mode))
        elif not optional:
            where = f"{pod['metadata']['namespace']}/{name}"
            raise ConfigurationError(f"references non-existent {kind} key: {item['key']} ({where})")
    return files


def _downward_files(source: Json, pod: Json, facts: PodFacts, default_mode: int) -> dict[str, File]:
    files = {}
    for item in source.get("items") or []:
        if "fieldRef" in item:
            text = field_value(item["fieldRef"]["fieldPath"], pod, facts)
        else:
            text = resource_value(item["resourceFieldRef"], {}, pod, facts)
        files[item["path"]] = File(text.encode(), item.get("mode", default_mode))
    return files


def unsupported_volume(pod: Json) -> str | None:
    """Return why this node can never set up a pod's volumes, or None."""
    known = {"emptyDir", "hostPath", "secret", "configMap", "downwardAPI", "projected"}
    for volume in pod["spec"].get("volumes") or []:
        kinds = set(volume) - {"name"}
        if not kinds <= known:
            kind = ", ".join(sorted(kinds - known))
            return f'volume "{volume["name"]}": {kind} is not supported by the process node'
    return None


def mount_paths(
    container: Json,
    pod: Json,
    volumes: Path,
    termination_message: Path,
    variables: Mapping[str, str],
) -> dict[str, str]:
    """The path on this machine of each mount of a container.

    Args:
        container: the container's spec.
        pod: the pod.
        volumes: directory with one directory per volume.
        termination_message: the file behind the container's terminationMessagePath.
        variables: the container's environment, for subPathExpr.

    Returns:
        Path in the container -> path on this machine.

    Raises:
        ConfigurationError: a subPath leads out of its volume.
    """
    by_name = {volume["name"]: volume for volume in pod["spec"].get("volumes") or []}
    paths = {}
    for mount in container.get("volumeMounts") or []:
        volume = by_name[mount["name"]]
        base = Path(volume["hostPath"]["path"]) if "hostPath" in volume else volumes / mount["name"]
        sub_path = mount.get("subPath") or expand(mount.get("subPathExpr") or "", variables)
        if sub_path.startswith("/") or ".." in sub_path.split("/"):
            raise ConfigurationError(f'subPath "{sub_path}" must stay inside the volume')
        paths[mount["mountPath"]] = str(base / sub_path) if sub_path else str(base)
    path = container.get("terminationMessagePath") or DEFAULT_TERMINATION_MESSAGE_PATH
    return {path: str(termination_message)} | paths


def volume_mounts(container: Json, pod: Json, paths: Mapping[str, str]) -> list[Mount]:
    """The mounts of volumes into a confined container.

    Args:
        container: the container's spec.
        pod: the pod.
        paths: `mount_paths` of the container.

    Returns:
        The mounts; volumes of files are read-only, as with a kubelet.
    """
    by_name = {volume["name"]: volume for volume in pod["spec"].get("volumes") or []}
    read_only = {
        mount["mountPath"]
        for mount in container.get("volumeMounts") or []
        if mount.get("readOnly") or projections(by_name[mount["name"]]) is not None
    }
    return [Mount(os.path.realpath(path), at, at in read_only) for at, path in paths.items()]


def token_volume(container: Json, pod: Json) -> Json | None:
    """The container's mounted volume with its service account token, or None."""
    names = {
        mount["name"]
        for mount in container.get("volumeMounts") or []
        if mount["mountPath"].rstrip("/") == SERVICE_ACCOUNT_MOUNT
    }
    for volume in pod["spec"].get("volumes") or []:
        if volume["name"] in names and token_requests(volume):
            return dict(volume)
    return None
