"""The API by itself, on a cluster without operator: how fast it takes jobs, how it counts many."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import psutil
import yaml
from kubernetes import client

from bench.figures import Figure, at_least, at_most, note
from splitjob import resource
from splitjob.crd import custom_resource_definition
from splitjob.signing import Signer
from splitjob_local.cluster.local_cluster import ClusterOptions, LocalCluster
from splitjob_local.processes.ports import PortLeases

COMMAND = "make bench ONLY=api"
TOKEN = "a-token-for-this-benchmark"
NAMESPACE = "bench-api"
AT_ONCE = 8
RATE_JOBS = 600
SIZES = (10, 1_000, 10_000)
QUESTIONS = 50


@dataclass
class Replica:
    """One running API.

    Attributes:
        http: asks it.
        process: its process.
    """

    http: httpx.Client
    process: psutil.Process

    def post(self, number: int) -> None:
        """Send one request."""
        body = {
            "versionId": f"song-{number}",
            "audioUrl": f"https://audio.example.com/{number}.wav?X-Amz-Signature=0",
            "aiModel": "demo",
            "webhook": "https://api.track-tree.com/webhooks/demucs",
        }
        content = json.dumps(body).encode()
        headers = Signer([TOKEN]).sign(content, int(time.time()))
        self.http.post("/split", content=content, headers=headers).raise_for_status()

    def queue_depth(self) -> int:
        """Ask for the queue."""
        headers = Signer([TOKEN]).sign(b"GET /queue/status", int(time.time()))
        answer = self.http.get("/queue/status", headers=headers).raise_for_status()
        return int(answer.json()["queue_depth"])

    def megabytes(self) -> float:
        """Return its resident memory."""
        return float(self.process.memory_info().rss) / 2**20


def measure() -> list[Figure]:
    """Return the figures of the API."""
    options = ClusterOptions(install=False)
    with LocalCluster(options, print) as cluster, PortLeases() as leases:
        cluster.kubectl("apply", "-f", "-", text=yaml.safe_dump(custom_resource_definition()))
        cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=20s")
        cluster.cluster.create_namespace(NAMESPACE)
        create = _creator(cluster)
        with _replica(cluster, leases.port()) as replica:
            raw = _rate(lambda number: create(f"raw-{number}", with_secret=True))
            taken = _rate(replica.post)
            return [
                note("api: jobs a second, raw Secret + SplitJob", raw, "1/s", COMMAND),
                note("api: jobs a second, POST /split", taken, "1/s", COMMAND),
                at_least("api: POST /split against raw writes", taken / raw, "ratio", 0.5, COMMAND),
                *_sizes(replica, create),
            ]


def _sizes(replica: Replica, create: Callable[..., None]) -> list[Figure]:
    """Fill the cluster up step by step; return latency and memory at each."""
    figures: list[Figure] = []
    milliseconds: dict[int, float] = {}
    megabytes: dict[int, float] = {}
    _clear(replica)
    for size in SIZES:
        missing = range(replica.queue_depth(), size)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda number: create(f"many-{number}"), missing))
        while replica.queue_depth() < size:
            time.sleep(0.1)
        milliseconds[size] = statistics.median(
            _timed(replica.queue_depth) for _ in range(QUESTIONS)
        )
        megabytes[size] = replica.megabytes()
        figures += [
            note(f"api: /queue/status at {size} SplitJobs", milliseconds[size], "ms", COMMAND),
            note(f"api: memory at {size} SplitJobs", megabytes[size], "MB", COMMAND),
        ]
    most, least = SIZES[-1], SIZES[0]
    slower = milliseconds[most] / milliseconds[least]
    larger = megabytes[most] - megabytes[least]
    return [
        *figures,
        at_most(f"api: /queue/status at {most} against {least}", slower, "ratio", 2, COMMAND),
        at_most(f"api: memory for {most} SplitJobs", larger, "MB", 64, COMMAND),
    ]


def _clear(replica: Replica) -> None:
    api = client.CustomObjectsApi()
    where = (resource.GROUP, resource.VERSION, NAMESPACE, resource.PLURAL)
    api.delete_collection_namespaced_custom_object(*where)
    while replica.queue_depth() > 0:
        time.sleep(0.1)


def _rate(one: Callable[[int], None]) -> float:
    started = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, range(RATE_JOBS)))
    return RATE_JOBS / (time.perf_counter() - started)


def _timed(question: Callable[[], int]) -> float:
    started = time.perf_counter()
    question()
    return (time.perf_counter() - started) * 1000


def _creator(cluster: LocalCluster) -> Callable[..., None]:
    """Return what writes a SplitJob, and a Secret where asked, straight to the API server."""
    client.Configuration.set_default(cluster.client().configuration)
    objects, core = client.CustomObjectsApi(), client.CoreV1Api()
    where = (resource.GROUP, resource.VERSION, NAMESPACE, resource.PLURAL)
    url = {"url": "https://example.com/a"}
    request = {"versionId": "a", "model": "demo", "source": url, "webhook": url}
    kind = {"apiVersion": resource.API_VERSION, "kind": resource.KIND}

    def create(name: str, *, with_secret: bool = False) -> None:
        if with_secret:
            secret: dict[str, Any] = {"metadata": {"name": name}, "stringData": {"source": name}}
            core.create_namespaced_secret(NAMESPACE, secret)
        body = {**kind, "metadata": {"name": name}, "spec": {"request": request}}
        objects.create_namespaced_custom_object(*where, body)

    return create


@contextmanager
def _replica(cluster: LocalCluster, port: int) -> Iterator[Replica]:
    environment = {
        "PATH": os.environ["PATH"],
        "KUBECONFIG": str(cluster.kubeconfig),
        "NAMESPACE": NAMESPACE,
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
