"""What one SplitJob costs the operator from its creation until it is cleaned up."""

from functools import partial

from bench.api_server import ApiServer, at_once
from bench.figures import Figure, at_most
from bench.operator_process import operator, wait_until
from bench.stand_in_worker import StandInWorkers
from splitjob.resource import PLURAL
from splitjob_local.cluster.local_cluster import LocalCluster
from splitjob_local.processes.ports import PortLeases

COMMAND = "make bench ONLY=operator"
LIVES = 500
# Who writes these, but for Jobs that the garbage collector finds, is the operator.
WRITES = {
    ("PUT", PLURAL, "status"),
    ("DELETE", PLURAL, ""),
    ("POST", "jobs", ""),
    ("DELETE", "jobs", ""),
    ("POST", "networkpolicies", ""),
    ("PATCH", "secrets", ""),
    ("PUT", "configmaps", ""),
}


def measure(cluster: LocalCluster, leases: PortLeases) -> list[Figure]:
    """Return processor time and writes per SplitJob, whole life; workers deliver their event."""
    server = ApiServer(cluster, "bench-life")
    create = partial(server.create, ttlSecondsAfterFinished=1)
    with operator(cluster, server.namespace, leases.port(), {}) as one:
        before, written = one.cpu_seconds(), server.requests(WRITES)
        at_once(partial(create, f"job-{number:04}") for number in range(LIVES))
        with StandInWorkers(server, delivered=True):
            wait_until(lambda: server.count(server.splitjobs) == 0, 900, "all were cleaned up")
        cpu, writes = one.cpu_seconds() - before, server.requests(WRITES) - written
    return [
        at_most("operator: CPU of one, whole life", 1000 * cpu / LIVES, "ms", 25, COMMAND),
        at_most("operator: writes for one, whole life", writes / LIVES, "", 8, COMMAND),
    ]
