"""One API that runs for a benchmark, on a cluster without operator."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench.program import Program, running
from splitjob.signing import Signer
from splitjob_local.cluster.local_cluster import LocalCluster

TOKEN = "a-token-for-this-benchmark"


class Replica(Program):
    """One running API."""

    def get(self, path: str) -> dict[str, Any]:
        """Ask for something."""
        answer = self.http.get(path, headers=signed(path)).raise_for_status()
        found: dict[str, Any] = answer.json()
        return found


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
    with running([sys.executable, "-m", "splitjob_api"], environment) as program:
        yield Replica(program.http, program.process)
