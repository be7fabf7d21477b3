"""One operator that runs for a benchmark, as it is shipped, in a namespace of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import httpx
import psutil

from bench.api_server import ApiServer
from splitjob_local.cluster.local_cluster import LocalCluster
from splitjob_local.processes.ports import PortLeases
from splitjob_local.processes.prctl import die_with_parent

COMMAND = "make bench ONLY=operator"
MANY = 10_000
_NOWHERE = '{"track-tree-audio.example/no-such-node": "true"}'  # so that no worker ever runs
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


@dataclass
class Operator:
    """One running operator.

    Attributes:
        http: asks it.
        process: its process.
    """

    http: httpx.Client
    process: psutil.Process

    def megabytes(self) -> float:
        """Return its resident memory."""
        return float(self.process.memory_info().rss) / 2**20

    def peak_megabytes(self) -> float:
        """Return the most memory that it has had."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024

    def cpu_seconds(self) -> float:
        """Return the processor time that it has taken so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

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
    program = str(Path(sys.executable).with_name("kopf"))
    command = [program, "run", "--standalone", f"--namespace={namespace}"]
    command += ["-m", "splitjob_operator.runtime.kopf_app"]
    environment = {**_environment(place.cluster, namespace, port), **settings}
    process = subprocess.Popen(
        command,
        env=environment,
        stderr=None if "LOG" in os.environ else subprocess.DEVNULL,
        preexec_fn=die_with_parent,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
            wait_until(lambda: _ready(http) or process.poll() is not None, 120, "it is ready")
            if process.poll() is not None:
                raise RuntimeError("the operator ended at its start: LOG=1 shows what it says")
            yield Operator(http, psutil.Process(process.pid))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def wait_until(
    condition: Callable[[], bool], seconds: float, what: str, every: float = 0.1
) -> float:
    """Wait until something is so; return for how many seconds.

    Args:
        condition: what is waited for.
        seconds: for how long at most.
        what: is waited for, in words.
        every: seconds between two looks; what is asked of the operator itself costs it time.

    Raises:
        TimeoutError: it did not become so.
    """
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"not within {seconds:.0f} s: {what}")
        time.sleep(every)
    return time.monotonic() - began


def _ready(http: httpx.Client) -> bool:
    try:
        return http.get("/readyz").is_success
    except httpx.TransportError:
        return False


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
