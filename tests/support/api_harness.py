"""The API as it is shipped, `python -m splitjob_api`, for tests on a real API server."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from tests.support import fork_server, plain_http
from tests.support.fork_server import Forked
from tests.support.plain_http import NO_AUTHORITIES
from tests.support.ports import free_port
from tests.support.waiting import eventually, patience

from splitjob.signing import Signer
from splitjob_local.cluster.local_cluster import LocalCluster

TOKEN = "a-token-for-these-tests"
NAMESPACE = "test-api"
QUERY = "X-Amz-Signature=very-secret-signature"
BEARER = "a-kubernetes-token-of-nobody"
# A replica on all addresses, of either family, that also takes Kubernetes tokens.
BEHIND_A_GATEWAY = {"HOST": "::", "ROOT_PATH": "/stems", "KUBERNETES_TOKENS": "true"}


class Event(NamedTuple):
    """One event of a stream."""

    id: str
    name: str
    data: Any


@dataclass
class Api:
    """One replica."""

    url: str
    process: Forked
    log: Path

    def ready(self) -> bool:
        return plain_http.get(f"{self.url}/readyz").status_code == 200

    def post(self, body: dict[str, Any] | bytes, **headers: str) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        signed = Signer([TOKEN]).sign(content, int(time.time()))
        proven = {**signed, **headers}
        return plain_http.post(f"{self.url}/split", content=content, headers=proven)

    def get(self, path: str, **headers: str) -> httpx.Response:
        proven = {**signed("GET", path), **headers}
        return plain_http.get(self.url + path, headers=proven)

    def send(
        self, method: str, path: str, body: dict[str, Any] | None = None, **headers: str
    ) -> httpx.Response:
        """Send a request; without a body its line is what is signed."""
        content = b"" if body is None else json.dumps(body).encode()
        proof = Signer([TOKEN]).sign(content, int(time.time())) if content else signed(method, path)
        proven = {**proof, **headers}
        return plain_http.request(method, self.url + path, content=content, headers=proven)

    def head(self, path: str) -> httpx.Response:
        return plain_http.request("HEAD", self.url + path, headers=signed("HEAD", path))

    @contextmanager
    def events(self, path: str, last: str | None = None) -> Iterator[Iterator[Event]]:
        """Open a stream of events; each waits for so long as nothing else would.

        Args:
            path: of the stream.
            last: the id of the last event that was received.
        """
        headers = signed("GET", path) | ({} if last is None else {"Last-Event-ID": last})
        limits = httpx.Timeout(10, read=patience())
        with httpx.stream(
            "GET", self.url + path, headers=headers, timeout=limits, verify=NO_AUTHORITIES
        ) as answer:
            assert answer.status_code == 200, answer.read()
            yield parse_events(answer.iter_lines())


def signed(method: str, path: str) -> dict[str, str]:
    """Return the headers of a request without a body."""
    return Signer([TOKEN]).sign(f"{method} {path}".encode(), int(time.time()))


def parse_events(lines: Iterator[str]) -> Iterator[Event]:
    """Yield the events of a stream; comments and empty ones are passed over."""
    fields: dict[str, str] = {}
    for line in lines:
        if line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value
        elif not line:
            if "event" in fields:
                yield Event(fields.get("id", ""), fields["event"], json.loads(fields["data"]))
            fields = {}


@contextmanager
def started(cluster: LocalCluster, log: Path, **more: str) -> Iterator[Api]:
    """Run a replica until the block ends; it is ready when the block begins."""
    with launched(cluster, log, **more) as api:
        eventually(api.ready)
        yield api


@contextmanager
def launched(cluster: LocalCluster, log: Path, **more: str) -> Iterator[Api]:
    """Run a replica until the block ends, ready or not."""
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "KUBECONFIG": str(cluster.kubeconfig),
        "NAMESPACE": NAMESPACE,
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "DEMUCSSVC_TOKEN": TOKEN,
        "API_WEBHOOK_URL_ALLOWLIST": "https://hooks.example.com/demucs",
        "ENVIRONMENT": "prod",
        "BODY_TIMEOUT_SECONDS": "1",
        **more,
    }
    with log.open("wb") as out:
        process = fork_server.start("splitjob_api", (), environment, out, out)
    try:
        yield Api(f"http://127.0.0.1:{port}", process, log)
    finally:
        process.terminate()
        assert process.wait(patience(20)) is not None


def body(version_id: str, **fields: Any) -> dict[str, Any]:
    return {
        "versionId": version_id,
        "audioUrl": f"https://audio.example.com/song.wav?{QUERY}",
        "aiModel": "htdemucs",
        "webhook": "https://hooks.example.com/demucs",
        **fields,
    }


def splitjobs(kube: LocalCluster, version_id: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = kube.objects.get("splitjobs", namespace=NAMESPACE)["items"]
    return [one for one in items if one["spec"]["request"]["versionId"] == version_id]


def finish(kube: LocalCluster, name: str, status: str, reason: str, **more: Any) -> None:
    """Write a verdict, as the operator does; `more` are other fields of the status."""
    condition = {
        "type": "Succeeded",
        "status": status,
        "reason": reason,
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    write_status(kube, name, conditions=[condition], **more)


def write_status(
    kube: LocalCluster, name: str, *, namespace: str = NAMESPACE, **status: Any
) -> None:
    """Write fields of a status, as the operator does."""
    change = {"status": status}
    kube.objects.patch("splitjob", name, change, namespace=namespace, subresource="status")


def with_bucket(kube: LocalCluster) -> dict[str, str]:
    """Return the environment that gives an API the bucket."""
    s3 = kube.s3
    return {
        "S3_ENDPOINT": s3.endpoint,
        "S3_REGION": s3.region,
        "S3_BUCKET": s3.bucket,
        "S3_ACCESS_KEY_ID": s3.access_key_id,
        "S3_SECRET_ACCESS_KEY": s3.secret_access_key,
    }
