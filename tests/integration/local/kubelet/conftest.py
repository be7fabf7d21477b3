"""Pods on the process node of the shared cluster."""

from collections.abc import Callable
from typing import Any

import pytest
from kubernetes.client import CoreV1Api, V1DeleteOptions
from kubernetes.client.exceptions import ApiException
from tests.support.waiting import eventually

from splitjob_local.cluster.local_cluster import LocalCluster

Json = dict[str, Any]
IMAGE = "track-tree-audio/test:local"


class Pods:
    """Makes pods in one namespace and waits for what becomes of them.

    Attributes:
        node: that all of them are bound to; blank: wherever the scheduler puts them.
    """

    def __init__(self, cluster: LocalCluster, namespace: str, node: str = "") -> None:
        self.cluster = cluster
        self.node = node
        self.namespace = namespace
        self._client = cluster.client()
        self.api = CoreV1Api(self._client)

    def run(self, name: str, *command: str, **container: Any) -> Json:
        """Create a pod of one container that is not restarted; `spec` goes to the pod."""
        spec = {"restartPolicy": "Never", **container.pop("spec", {})}
        main = {"name": "main", "image": IMAGE, "command": list(command), **container}
        return self.create(name, spec | {"containers": [main]})

    def shell(self, name: str, script: str, **container: Any) -> Json:
        return self.run(name, "sh", "-c", script, **container)

    def create(self, name: str, spec: Json) -> Json:
        if self.node:
            spec = spec | {"nodeName": self.node}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
        return self._plain(self.api.create_namespaced_pod(self.namespace, body))

    def get(self, name: str) -> Json:
        return self._plain(self.api.read_namespaced_pod(name, self.namespace))

    def exists(self, name: str) -> bool:
        try:
            self.get(name)
        except ApiException as error:
            if error.status == 404:
                return False
            raise
        return True

    def wait(self, name: str, condition: Callable[[Json], Any], seconds: float = 20) -> Json:
        def look() -> Json:
            pod = self.get(name)
            assert condition(pod), pod["status"]
            return pod

        return eventually(look, seconds)

    def wait_for_phase(self, name: str, phase: str, seconds: float = 20) -> Json:
        return self.wait(name, lambda pod: pod["status"]["phase"] == phase, seconds)

    def wait_until_ready(self, name: str, seconds: float = 20) -> Json:
        return self.wait(
            name, lambda pod: self.condition(pod, "Ready")["status"] == "True", seconds
        )

    def wait_until_gone(self, name: str, seconds: float = 20) -> None:
        eventually(lambda: not self.exists(name), seconds)

    def logs(self, name: str, **options: Any) -> str:
        answer = self.api.read_namespaced_pod_log(
            name, self.namespace, _preload_content=False, **options
        )
        return bytes(answer.data).decode()

    def delete(self, name: str, grace: int | None = None) -> None:
        options = V1DeleteOptions(grace_period_seconds=grace)
        self.api.delete_namespaced_pod(name, self.namespace, body=options)

    @staticmethod
    def state(pod: Json, container: str = "main", of: str = "containerStatuses") -> Json:
        """The status entry of a container."""
        entries = pod["status"].get(of) or []
        return next((one for one in entries if one["name"] == container), {})

    def terminated(self, pod: Json, container: str = "main") -> Json:
        return dict(self.state(pod, container).get("state", {}).get("terminated") or {})

    def waiting(self, pod: Json, container: str = "main") -> Json:
        return dict(self.state(pod, container).get("state", {}).get("waiting") or {})

    @staticmethod
    def condition(pod: Json, kind: str) -> Json:
        found = [one for one in pod["status"].get("conditions") or [] if one["type"] == kind]
        return found[0] if found else {"status": "Unknown"}

    def _plain(self, manifest: object) -> Json:
        return dict(self._client.sanitize_for_serialization(manifest))


@pytest.fixture
def pods(cluster: LocalCluster, namespace: str) -> Pods:
    return Pods(cluster, namespace)
