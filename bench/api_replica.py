"""One API that runs for a benchmark, on a cluster without operator."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import psutil

from splitjob.signing import Signer
from splitjob_local.cluster.local_cluster import LocalCluster

TOKEN = "a-token-for-this-benchmark"


@dataclass
class Replica:
    """One running API.

    Attributes:
        http: asks it.
        process: its process.
    """

    http: httpx.Client
    process: psutil.Process

    def get(self, path: str) -> dict[str, Any]:
        """Ask for something."""
        answer = self.http.get(path, headers=signed(path)).raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def megabytes(self) -> float:
        """Return its resident memory."""
        return float(self.process.memory_info().rss) / 2**20

    def cpu_seconds(self) -> float:
        """Return the processor time that it has taken so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


def signed(path: str) -> dict[str, str]:
    """Return the headers with which a path may be read."""
    return Signer([TOKEN]).sign(f"GET {path}".encode(), int(time.time()))


@contextmanager
def replica(cluster: LocalCluster, namespace: str, port: int) -> Iterator[Replica]:
    """Run an API until the block ends; it is ready when the block begins."""
    environment = {
        "PATH": os.environ["PATH"],
        "KUBECONFIG": str(cluster.kubeconfig),
        "NAMESPACE": namespace,
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "DEMUCSSVC_TOKEN": TOKEN,
        "LOG_LEVEL": "WARNING",
    }
    process = subprocess.Popen([sys.executable, "-m", "splitjob_api"], env=environment)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
            _wait_until_ready(http)
            yield Replica(http, psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait(30)


def _wait_until_ready(http: httpx.Client) -> None:
    for _ in range(600):
        try:
            if http.get("/readyz").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise TimeoutError("the API was not ready after 30 s")
