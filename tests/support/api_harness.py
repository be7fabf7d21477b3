"""The API as it is shipped, `python -m splitjob_api`, for tests on a real API server."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from tests.support.ports import free_port
from tests.support.waiting import eventually

from splitjob.signing import Signer
from splitjob_local.cluster.local_cluster import LocalCluster

TOKEN = "a-token-for-these-tests"
NAMESPACE = "test-api"
QUERY = "X-Amz-Signature=very-secret-signature"


@dataclass
class Api:
    """One replica."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def post(self, body: dict[str, Any] | bytes, **headers: str) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        signed = Signer([TOKEN]).sign(content, int(time.time()))
        return httpx.post(f"{self.url}/split", content=content, headers={**signed, **headers})

    def get(self, path: str) -> httpx.Response:
        signed = Signer([TOKEN]).sign(f"GET {path}".encode(), int(time.time()))
        return httpx.get(self.url + path, headers=signed)


@contextmanager
def started(cluster: LocalCluster, log: Path, **more: str) -> Iterator[Api]:
    """Run a replica until the block ends; it is ready when the block begins."""
    with launched(cluster, log, **more) as api:
        eventually(lambda: httpx.get(f"{api.url}/readyz").status_code == 200)
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
        process = subprocess.Popen(
            [sys.executable, "-m", "splitjob_api"], env=environment, stderr=out, stdout=out
        )
    try:
        yield Api(f"http://127.0.0.1:{port}", process, log)
    finally:
        process.terminate()
        assert process.wait(20) is not None


def body(version_id: str, **fields: Any) -> dict[str, Any]:
    return {
        "versionId": version_id,
        "audioUrl": f"https://audio.example.com/song.wav?{QUERY}",
        "aiModel": "htdemucs",
        "webhook": "https://hooks.example.com/demucs",
        **fields,
    }


def splitjobs(kube: LocalCluster, version_id: str) -> list[dict[str, Any]]:
    text = kube.kubectl("get", "splitjobs", "-n", NAMESPACE, "-o", "json")
    items: list[dict[str, Any]] = json.loads(text)["items"]
    return [one for one in items if one["spec"]["request"]["versionId"] == version_id]


def finish(kube: LocalCluster, name: str, status: str, reason: str, **more: Any) -> None:
    """Write a verdict, as the operator does."""
    condition = {
        "type": "Succeeded",
        "status": status,
        "reason": reason,
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    patch = json.dumps({"status": {"conditions": [condition], **more}})
    kube.kubectl(
        *("patch", "splitjob", name, "-n", NAMESPACE, "--subresource=status"),
        *("--type=merge", "-p", patch),
    )
