"""The API by itself, on a cluster without operator: how fast it takes jobs, what reads cost."""

import yaml

from bench import api_reads, api_streams, api_writes
from bench.api_replica import TOKEN, Replica, replica
from bench.api_server import ApiServer
from bench.figures import Figure
from splitjob.crd import custom_resource_definition
from splitjob_local.cluster.local_cluster import ClusterOptions, LocalCluster
from splitjob_local.processes.ports import PortLeases


def measure() -> list[Figure]:
    """Return the figures of the API."""
    options = ClusterOptions(install=False)
    with LocalCluster(options, print) as cluster, PortLeases() as leases:
        cluster.kubectl("apply", "-f", "-", text=yaml.safe_dump(custom_resource_definition()))
        cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=20s")
        return [*_writes(cluster, leases), *_reads(cluster, leases)]


def _writes(cluster: LocalCluster, leases: PortLeases) -> list[Figure]:
    namespace = ApiServer(cluster, "bench-writes").namespace
    with replica(cluster, namespace, leases.port()) as api:
        return api_writes.writes(cluster, namespace, str(api.http.base_url), TOKEN)


def _reads(cluster: LocalCluster, leases: PortLeases) -> list[Figure]:
    few, many = ApiServer(cluster, "bench-few"), ApiServer(cluster, "bench-many")
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
