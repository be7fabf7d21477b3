"""The API server asked as plainly as can be: JSON over urllib3, without a library's models."""

import json
import re
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from splitjob.resource import API_VERSION, KIND
from splitjob.submission_id import new_submission_id
from splitjob_kube.paths import JOBS, PODS, SPLITJOBS
from splitjob_local.cluster.local_cluster import LocalCluster

Json = dict[str, Any]
AT_ONCE = 16
_REQUESTS = re.compile(
    r'apiserver_request_total\{code="2..",.*resource="(?P<resource>\w*)",.*'
    r'subresource="(?P<subresource>\w*)",verb="(?P<verb>\w+)",.*\} (?P<count>\S+)'
)
_REQUEST = {
    "model": "demo",
    "source": {"url": "https://audio.example.com/song.wav"},
    "webhook": {"url": "https://hooks.example.com/x"},
}


class ApiServer:
    """One namespace, made for it.

    Args:
        cluster: where.
        namespace: its name.
    """

    def __init__(self, cluster: LocalCluster, namespace: str) -> None:
        cluster.cluster.create_namespace(namespace, pod_security="restricted")
        self.namespace = namespace
        api = cluster.client()
        self._url, self._pool = api.configuration.host, api.rest_client.pool_manager
        self._pool.connection_pool_kw["maxsize"] = AT_ONCE
        self.splitjobs = SPLITJOBS.path(namespace)
        self.jobs = JOBS.path(namespace)
        self.pods = PODS.path(namespace)

    def ask(self, method: str, path: str, body: Json | None = None) -> Json:
        """Send a request; return the answer.

        Raises:
            RuntimeError: the API server refused.
        """
        found: Json = json.loads(self._send(method, path, body, "application/json"))
        return found

    def change(self, path: str, patch: Json) -> None:
        """Change an object, or a part of one, by a merge patch."""
        self._send("PATCH", path, patch, "application/merge-patch+json")

    def requests(self, of: Collection[tuple[str, str, str]]) -> int:
        """Return how many requests the API server has answered so far, by all clients.

        Args:
            of: which: verb, resource and subresource of each kind.
        """
        lines = self._send("GET", "/metrics", None, "text/plain").decode().splitlines()
        found = (_REQUESTS.fullmatch(line) for line in lines)
        return sum(
            int(float(one["count"]))
            for one in found
            if one and (one["verb"], one["resource"], one["subresource"]) in of
        )

    def _send(self, method: str, path: str, body: Json | None, media_type: str) -> bytes:
        answer = self._pool.request(
            method,
            self._url + path,
            body=None if body is None else json.dumps(body),
            headers={"Content-Type": media_type},
        )
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {answer.data[:300]!r}")
        return bytes(answer.data)

    def remove(self) -> None:
        """Delete the namespace, and all that is in it."""
        self.ask("DELETE", f"/api/v1/namespaces/{self.namespace}")

    def create(self, name: str, **spec: object) -> Json:
        """Create a SplitJob as the API does; more of its spec may be given."""
        submission_id = new_submission_id(datetime.now(UTC))
        request = {"versionId": f"version-{name}", "submissionId": submission_id, **_REQUEST}
        body = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": name},
            "spec": {"request": request, **spec},
        }
        return self.ask("POST", self.splitjobs, body)

    def write_status(self, splitjob: Json, status: Json) -> Json:
        """Write the status of a SplitJob as it was read; return the SplitJob as it is then."""
        path = f"{self.splitjobs}/{splitjob['metadata']['name']}/status"
        return self.ask("PUT", path, {**splitjob, "status": status})

    def items(self, path: str) -> list[Json]:
        """Return all objects at a path."""
        found: list[Json] = []
        token = ""
        while True:
            page = self.ask("GET", f"{path}?limit=1000&continue={token}")
            found += page["items"]
            token = page["metadata"].get("continue", "")
            if not token:
                return found

    def count(self, path: str) -> int:
        """Return how many objects are at a path."""
        page = self.ask("GET", f"{path}?limit=1")
        return len(page["items"]) + int(page["metadata"].get("remainingItemCount", 0))


def at_once(calls: Iterable[Callable[[], object]]) -> None:
    """Make calls, `AT_ONCE` of them beside each other."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for call in [pool.submit(call) for call in calls]:
            call.result()
