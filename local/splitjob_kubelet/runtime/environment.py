"""Environment, command and arguments of a container: pure functions.

Source of the rules: the Kubernetes API reference (EnvVar, Container.command) and the kubelet's
`makeEnvironmentVariables`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from splitjob.quantity import ceiling, parse_quantity
from splitjob_kubelet.objects import Json, all_containers, limits_of, requests_of

_REFERENCE = re.compile(r"\$\$|\$\(([^()]*)\)")
_FLAG = re.compile(r"(?P<flag>-{1,2}[A-Za-z0-9][\w.-]*=)(?P<value>/.*)", re.DOTALL)
_HTTPS_PORT = 443
_SUBSCRIPT = re.compile(r"metadata\.(?P<map>labels|annotations)\['(?P<key>[^']*)'\]")


class ConfigurationError(Exception):
    """A container refers to something that does not exist: CreateContainerConfigError."""


@dataclass(frozen=True)
class ObjectReference:
    """A reference to a Secret (kind `secret`) or ConfigMap (kind `configMap`)."""

    kind: str
    name: str


@dataclass(frozen=True)
class PodFacts:
    """What fieldRef and resourceFieldRef can refer to besides the pod's spec."""

    pod_ip: str
    host_ip: str
    allocatable: Mapping[str, str] = field(default_factory=dict)


def expand(value: str, variables: Mapping[str, str]) -> str:
    """Replace `$(NAME)`; `$$` is a dollar sign, an unknown name stays unchanged."""

    def replacement(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return variables.get(match[1], match[0])

    return _REFERENCE.sub(replacement, value)


def rewrite_path(value: str, mounts: Mapping[str, str]) -> str:
    """Translate a path inside the container into the path on this machine.

    Args:
        value: a value of env, command or args.
        mounts: path in the container -> directory or file behind it.

    Returns:
        The value, with the longest matching mount replaced; `--flag=/path` is handled, too.
    """
    flag = _FLAG.fullmatch(value)
    if flag:
        return flag["flag"] + rewrite_path(flag["value"], mounts)
    for mount in sorted(mounts, key=len, reverse=True):
        at = mount.rstrip("/")
        if value.rstrip("/") == at or value.startswith(at + "/"):
            return mounts[mount].rstrip("/") + value[len(at) :]
    return value


def service_variables(server: str) -> dict[str, str]:
    """The variables with the API server's address that a kubelet gives to every pod.

    Args:
        server: the API server's URL.
    """
    url = urlsplit(server)
    host, port = url.hostname or "", str(url.port or _HTTPS_PORT)
    link = f"tcp://{f'[{host}]' if ':' in host else host}:{port}"
    at_port = f"KUBERNETES_PORT_{port}_TCP"
    return {
        "KUBERNETES_SERVICE_HOST": host,
        "KUBERNETES_SERVICE_PORT": port,
        "KUBERNETES_SERVICE_PORT_HTTPS": port,
        "KUBERNETES_PORT": link,
        at_port: link,
        f"{at_port}_PROTO": "tcp",
        f"{at_port}_PORT": port,
        f"{at_port}_ADDR": host,
    }


def referenced_objects(container: Json) -> set[ObjectReference]:
    """The Secrets and ConfigMaps that a container's environment refers to."""
    found = set()
    for entry in container.get("envFrom") or []:
        for kind in ("configMapRef", "secretRef"):
            if kind in entry:
                found.add(ObjectReference(kind.removesuffix("Ref"), entry[kind]["name"]))
    for entry in container.get("env") or []:
        for kind in ("configMapKeyRef", "secretKeyRef"):
            if kind in (entry.get("valueFrom") or {}):
                found.add(
                    ObjectReference(kind.removesuffix("KeyRef"), entry["valueFrom"][kind]["name"])
                )
    return found


def container_environment(
    container: Json,
    pod: Json,
    facts: PodFacts,
    objects: Mapping[ObjectReference, Mapping[str, str] | None],
) -> dict[str, str]:
    """The variables of a container's spec, references resolved, paths not yet translated.

    Args:
        container: the container's spec.
        pod: the pod it belongs to.
        facts: for the downward API.
        objects: the data of each of `referenced_objects(container)`; None where there is no such
            object.

    Returns:
        name -> value.

    Raises:
        ConfigurationError: a Secret, ConfigMap or key is missing and not optional.
    """
    variables: dict[str, str] = {}
    for entry in container.get("envFrom") or []:
        variables |= _all_of(entry, objects, pod["metadata"]["namespace"])
    for entry in container.get("env") or []:
        if "valueFrom" not in entry or not entry["valueFrom"]:
            variables[entry["name"]] = expand(entry.get("value") or "", variables)
            continue
        value = _value_from(entry["valueFrom"], container, pod, facts, objects)
        if value is not None:
            variables[entry["name"]] = value
    return variables


def _all_of(
    entry: Json, objects: Mapping[ObjectReference, Mapping[str, str] | None], namespace: str
) -> dict[str, str]:
    for kind in ("configMapRef", "secretRef"):
        if kind not in entry:
            continue
        reference = entry[kind]
        data = objects[ObjectReference(kind.removesuffix("Ref"), reference["name"])]
        if data is None:
            if reference.get("optional"):
                return {}
            raise _missing_object(kind.removesuffix("Ref"), reference["name"], namespace)
        prefix = entry.get("prefix") or ""
        return {prefix + key: value for key, value in data.items()}
    return {}


def _missing_object(kind: str, name: str, namespace: str) -> ConfigurationError:
    return ConfigurationError(f'{kind.lower()} "{name}" not found in namespace {namespace}')


def _value_from(
    source: Json,
    container: Json,
    pod: Json,
    facts: PodFacts,
    objects: Mapping[ObjectReference, Mapping[str, str] | None],
) -> str | None:
    if "fieldRef" in source:
        return field_value(source["fieldRef"]["fieldPath"], pod, facts)
    if "resourceFieldRef" in source:
        return resource_value(source["resourceFieldRef"], container, pod, facts)
    for kind in ("configMapKeyRef", "secretKeyRef"):
        if kind in source:
            return _key_of(kind, source[kind], objects, pod["metadata"]["namespace"])
    raise ConfigurationError(f"valueFrom of an unsupported kind: {', '.join(source)}")


def _key_of(
    kind: str,
    reference: Json,
    objects: Mapping[ObjectReference, Mapping[str, str] | None],
    namespace: str,
) -> str | None:
    kind = kind.removesuffix("KeyRef")
    name, key = reference["name"], reference["key"]
    data = objects[ObjectReference(kind, name)]
    if data is not None and key in data:
        return data[key]
    if reference.get("optional"):
        return None
    if data is None:
        raise _missing_object(kind, name, namespace)
    shown = {"configMap": "ConfigMap", "secret": "Secret"}[kind]
    raise ConfigurationError(f"couldn't find key {key} in {shown} {namespace}/{name}")


def field_value(path: str, pod: Json, facts: PodFacts) -> str:
    """The value of a fieldRef.

    Raises:
        ConfigurationError: the downward API has no such path.
    """
    metadata, spec = pod["metadata"], pod["spec"]
    subscript = _SUBSCRIPT.fullmatch(path)
    if subscript:
        return str((metadata.get(subscript["map"]) or {}).get(subscript["key"], ""))
    if path in ("metadata.labels", "metadata.annotations"):
        entries = metadata.get(path.removeprefix("metadata.")) or {}
        return "\n".join(f'{key}="{_escaped(value)}"' for key, value in sorted(entries.items()))
    values = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        "status.hostIP": facts.host_ip,
        "status.hostIPs": facts.host_ip,
        "status.podIP": facts.pod_ip,
        "status.podIPs": facts.pod_ip,
    }
    if path not in values:
        raise ConfigurationError(f"fieldRef to {path} is not supported")
    return str(values[path])


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def resource_value(reference: Json, container: Json, pod: Json, facts: PodFacts) -> str:
    """The value of a resourceFieldRef; without a limit, the node's allocatable.

    Raises:
        ConfigurationError: an unknown container or resource.
    """
    name = reference.get("containerName")
    if name:
        named = [entry for entry in all_containers(pod) if entry["name"] == name]
        if not named:
            raise ConfigurationError(f"resourceFieldRef to container {name}, which is not there")
        container = named[0]
    kind, _, resource = reference["resource"].partition(".")
    if kind not in ("limits", "requests"):
        raise ConfigurationError(f"resourceFieldRef to {reference['resource']} is not supported")
    asked = limits_of(container) if kind == "limits" else requests_of(container)
    amount = asked.get(resource, facts.allocatable.get(resource, "0") if kind == "limits" else "0")
    divisor = parse_quantity(reference.get("divisor") or "1") or parse_quantity("1")
    return str(ceiling(parse_quantity(amount) / divisor))


def rewritten(values: Iterable[str], mounts: Mapping[str, str]) -> list[str]:
    """`rewrite_path` of each."""
    return [rewrite_path(value, mounts) for value in values]
