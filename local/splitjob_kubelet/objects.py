"""Accessors for Kubernetes objects, given as decoded JSON."""

from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]
"""A Kubernetes object, or a part of one, as decoded JSON."""

SERVICE_ACCOUNT_MOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
DEFAULT_TERMINATION_MESSAGE_PATH = "/dev/termination-log"


def timestamp(moment: datetime) -> str:
    """A time in the format of the API: RFC 3339, whole seconds, UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_timestamp(text: str) -> datetime:
    """The time in a field of an API object."""
    return datetime.fromisoformat(text)


def uid_of(pod: Json) -> str:
    return str(pod["metadata"]["uid"])


def name_of(pod: Json) -> str:
    return str(pod["metadata"]["name"])


def namespace_of(pod: Json) -> str:
    return str(pod["metadata"]["namespace"])


def is_terminal(pod: Json) -> bool:
    """Whether the pod is Succeeded or Failed in the API, which is final."""
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def is_deleted(pod: Json) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def init_containers(pod: Json) -> list[Json]:
    return list(pod["spec"].get("initContainers") or [])


def main_containers(pod: Json) -> list[Json]:
    return list(pod["spec"]["containers"])


def all_containers(pod: Json) -> list[Json]:
    return [*init_containers(pod), *main_containers(pod)]


def is_sidecar(container: Json) -> bool:
    """An init container that keeps running beside the main containers."""
    return container.get("restartPolicy") == "Always"


def restart_policy(pod: Json) -> str:
    return str(pod["spec"].get("restartPolicy", "Always"))


def limits_of(container: Json) -> Json:
    return container.get("resources", {}).get("limits") or {}


def requests_of(container: Json) -> Json:
    return container.get("resources", {}).get("requests") or {}


def termination_grace_seconds(pod: Json) -> int:
    """The grace period in force: that of the deletion, if there is one."""
    deletion = pod["metadata"].get("deletionGracePeriodSeconds")
    if deletion is not None:
        return int(deletion)
    return int(pod["spec"].get("terminationGracePeriodSeconds", 30))
