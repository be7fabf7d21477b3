"""The API by itself, on a cluster without operator: how fast it takes jobs, what reads cost."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import yaml

from bench import api_reads, api_streams
from bench.api_objects import Objects
from bench.api_replica import Replica, replica
from bench.figures import Figure, at_least, note
from splitjob.crd import custom_resource_definition
from splitjob_local.cluster.local_cluster import ClusterOptions, LocalCluster
from splitjob_local.processes.ports import PortLeases

COMMAND = "make bench ONLY=api"
AT_ONCE = 8
RATE_JOBS = 600


def measure() -> list[Figure]:
    """Return the figures of the API."""
    options = ClusterOptions(install=False)
    with LocalCluster(options, print) as cluster, PortLeases() as leases:
        cluster.kubectl("apply", "-f", "-", text=yaml.safe_dump(custom_resource_definition()))
        cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=20s")
        return [*_writes(cluster, leases), *_reads(cluster, leases)]


def _writes(cluster: LocalCluster, leases: PortLeases) -> list[Figure]:
    objects = Objects(cluster, "bench-writes")
    with replica(cluster, objects.namespace, leases.port()) as api:
        raw = _rate(lambda number: objects.create_with_secret(f"raw-{number}"))
        taken = _rate(api.post)
    return [
        note("api: jobs a second, raw Secret + SplitJob", raw, "1/s", COMMAND),
        note("api: jobs a second, POST /split", taken, "1/s", COMMAND),
        at_least("api: POST /split against raw writes", taken / raw, "ratio", 0.5, COMMAND),
    ]


def _reads(cluster: LocalCluster, leases: PortLeases) -> list[Figure]:
    few, many = Objects(cluster, "bench-few"), Objects(cluster, "bench-many")
    with (
        replica(cluster, few.namespace, leases.port()) as with_few,
        replica(cluster, many.namespace, leases.port()) as with_many,
    ):
        empty = _at_rest(with_many)
        api_reads.fill(few, with_few, api_reads.FEW)
        api_reads.fill(many, with_many, api_reads.MANY)
        with replica(cluster, many.namespace, leases.port()) as started:
            memory = api_reads.memory(empty, with_many, started)
        return [
            *memory,
            *api_reads.reads(with_few, with_many),
            *api_streams.deliveries(many, with_many),
        ]


def _at_rest(api: Replica) -> float:
    """Return the memory of an API that has been asked everything once, and has nothing to tell."""
    for path in ("/queue/status", "/jobs", "/models"):
        api.get(path)
    return api.megabytes()


def _rate(one: Callable[[int], None]) -> float:
    started = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, range(RATE_JOBS)))
    return RATE_JOBS / (time.perf_counter() - started)
