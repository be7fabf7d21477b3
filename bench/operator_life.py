"""What one SplitJob costs the operator from its creation until it is cleaned up."""

from collections.abc import Iterator
from functools import partial

from bench.api_server import ApiServer, at_once
from bench.figures import Figure, at_most
from bench.operator_process import COMMAND, Place, operator
from bench.program import wait_until
from bench.stand_in_worker import StandInWorkers
from splitjob.resource import PLURAL

LIVES = 300
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


def measure(place: Place) -> Iterator[Figure]:
    """Yield processor time and writes per SplitJob, whole life; workers deliver their event."""
    server = ApiServer(place.cluster, "bench-life")
    create = partial(server.create, ttlSecondsAfterFinished=1)
    with operator(place, server.namespace, {}) as one:
        before, written = one.cpu_seconds(), server.requests(WRITES)
        at_once(partial(create, f"job-{number:04}") for number in range(LIVES))
        with StandInWorkers(server, delivered=True):
            wait_until(lambda: server.count(server.splitjobs) == 0, 900, "all were cleaned up")
        cpu, writes = one.cpu_seconds() - before, server.requests(WRITES) - written
    yield at_most("operator: CPU of one, whole life", 1000 * cpu / LIVES, "ms", 25, COMMAND)
    yield at_most("operator: writes for one, whole life", writes / LIVES, "", 8, COMMAND)
