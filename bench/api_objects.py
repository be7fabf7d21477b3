"""SplitJobs written straight to the API server, as plainly as its client can."""

from typing import Any

from kubernetes import client

from splitjob import resource
from splitjob_local.cluster.local_cluster import LocalCluster

_URL = {"url": "https://example.com/a"}
_REQUEST = {"versionId": "a", "model": "demo", "source": _URL, "webhook": _URL}
_NOW = "2026-01-01T00:00:00Z"
_STEMS = [
    {
        "type": name,
        "url": f"s3://stems/prod/song-1/split-0123456789/{name}.wav",
        "size": 52920044,
        "frames": 13230000,
        "sampleRate": 44100,
        "checksum": "sha256:" + digit * 64,
        "format": "wav",
        "peak": "0.98765",
        "gain": "1",
    }
    for name, digit in (("drums", "a"), ("bass", "b"), ("other", "c"), ("vocals", "d"))
]


class Objects:
    """Writes into one namespace.

    Args:
        cluster: where.
        namespace: is made.
    """

    def __init__(self, cluster: LocalCluster, namespace: str) -> None:
        cluster.cluster.create_namespace(namespace)
        api = cluster.client()
        self.namespace = namespace
        self._objects = client.CustomObjectsApi(api)
        self._where = (resource.GROUP, resource.VERSION, namespace, resource.PLURAL)

    def create(self, name: str) -> dict[str, Any]:
        """Create a SplitJob."""
        kind = {"apiVersion": resource.API_VERSION, "kind": resource.KIND}
        body = {**kind, "metadata": {"name": name}, "spec": {"request": _REQUEST}}
        created: dict[str, Any] = self._objects.create_namespaced_custom_object(*self._where, body)
        return created

    def create_completed(self, name: str) -> None:
        """Create a SplitJob that has been served: four stems, its webhook delivered, counted."""
        ended = {"type": "Succeeded", "status": "True", "reason": "Completed", "message": "Done."}
        webhook = {"eventId": f"evt-{name}", "event": "completed", "state": "Delivered"}
        status = {
            "conditions": [{**ended, "lastTransitionTime": _NOW}],
            "attempts": [{"number": 1, "jobName": name, "finishedAt": _NOW, "reason": "Completed"}],
            "result": {"stems": _STEMS, "model": "demo", "timings": {"fetch": 1, "separate": 2}},
            "webhook": webhook,
            "startedAt": _NOW,
            "finishedAt": _NOW,
            "counted": True,
        }
        self.write_status(self.create(name), status)

    def write_status(self, splitjob: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
        """Write the status of a SplitJob as it was read; return it as it is then."""
        name = splitjob["metadata"]["name"]
        written: dict[str, Any] = self._objects.replace_namespaced_custom_object_status(
            *self._where, name, {**splitjob, "status": status}
        )
        return written
