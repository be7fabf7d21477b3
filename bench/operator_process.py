"""One operator that runs for a benchmark, as it is shipped, in a namespace of its own."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import psutil

from bench.api_server import ApiServer
from bench.program import Program, running
from splitjob_local.cluster.local_cluster import LocalCluster
from splitjob_local.processes.ports import PortLeases

COMMAND = "make bench ONLY=operator"
MANY = 10_000
_NOWHERE = '{"track-tree-audio.example/no-such-node": "true"}'  # so that no worker ever runs
# kopf as the image has it: there it finds no Kubernetes library, and here it would import that.
_KOPF = "import sys; sys.modules['kubernetes'] = None; from kopf.cli import main; main()"
_DONE = 'splitjob_reconcile_seconds_count{outcome="done"}'


@dataclass
class Place:
    """Where the operators of a benchmark run.

    Attributes:
        cluster: theirs.
        leases: hands out their ports.
    """

    cluster: LocalCluster
    leases: PortLeases

    @cached_property
    def crowd(self) -> ApiServer:
        """The namespace in which 10,000 SplitJobs are, or will be."""
        return ApiServer(self.cluster, "bench-crowd")


class Operator(Program):
    """One running operator."""

    def peak_megabytes(self) -> float:
        """Return the most memory that it has had."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024

    def looked(self) -> int:
        """Return how many looks at a SplitJob it has done."""
        return self._counted(_DONE)

    def finished(self) -> int:
        """Return how many SplitJobs it has seen end."""
        return self._counted("splitjob_finished_total{")

    def _counted(self, metric: str) -> int:
        lines = self.http.get("/metrics").text.splitlines()
        return sum(int(float(line.split()[-1])) for line in lines if line.startswith(metric))

    @property
    def runs(self) -> bool:
        """Whether it has not ended itself."""
        return self.process.is_running() and self.process.status() != psutil.STATUS_ZOMBIE


@contextmanager
def operator(place: Place, namespace: str, settings: Mapping[str, str]) -> Iterator[Operator]:
    """Run an operator until the block ends; it is ready when the block begins.

    Args:
        place: where.
        namespace: which it serves.
        settings: its own, beside those that it needs.
    """
    port = place.leases.port()
    command = [sys.executable, "-c", _KOPF, "run", "--standalone", f"--namespace={namespace}"]
    command += ["-m", "splitjob_operator.runtime.kopf_app"]
    environment = {**_environment(place.cluster, namespace, port), **settings}
    with running(command, environment, silent="LOG" not in os.environ) as program:
        yield Operator(program.http, program.process)


def _environment(cluster: LocalCluster, namespace: str, port: int) -> dict[str, str]:
    access = cluster.s3
    return {
        "PATH": os.environ["PATH"],
        "KUBECONFIG": str(cluster.kubeconfig),
        "NAMESPACE": namespace,
        "POD_NAME": "operator",  # one that is started again leads at once, as in a pod
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "ENVIRONMENT": "local",
        "DEMUCSSVC_TOKEN": "a-token-for-this-benchmark",
        "API_WEBHOOK_URL_ALLOWLIST": "https://hooks.example.com",
        "S3_ENDPOINT": access.endpoint,
        "S3_REGION": access.region,
        "S3_BUCKET": access.bucket,
        "S3_ACCESS_KEY_ID": access.access_key_id,
        "S3_SECRET_ACCESS_KEY": access.secret_access_key,
        "WORKER_IMAGE": "track-tree-audio/worker:bench",
        "WORKER_SECRET_NAME": "keys",
        "WORKER_GPU_COUNT": "0",
        "WORKER_NODE_SELECTOR": _NOWHERE,
        "LOG_LEVEL": "WARNING",
    }
