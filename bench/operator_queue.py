"""What many that wait cost each one that starts, and each one that comes during a resync."""

import time
from functools import partial

from bench.api_server import ApiServer, at_once
from bench.figures import Figure, at_most, note
from bench.operator_process import Operator, operator, wait_until
from bench.stand_in_worker import StandInWorkers
from splitjob_local.cluster.local_cluster import LocalCluster
from splitjob_local.processes.ports import PortLeases

COMMAND = "make bench ONLY=operator"
FEW, MANY = 100, 10_000
AT_ONCE = {"MAX_ACTIVE_JOBS": "10"}
WARM_UP, STARTS = 30, 200
COMERS = 150  # within more than one resync
BETWEEN = 0.3


def measure(cluster: LocalCluster, leases: PortLeases) -> list[Figure]:
    """Return the cost of a start in a long queue against one in a short queue."""
    few = _start_ms(cluster, leases, FEW)
    many = _start_ms(cluster, leases, MANY)
    return [
        note(f"operator: CPU of one life, {FEW} waiting", few, "ms", COMMAND),
        note(f"operator: CPU of one life, {MANY} waiting", many, "ms", COMMAND),
        at_most("operator: a life in the long queue against the short", many / few, "", 2, COMMAND),
    ]


def _start_ms(cluster: LocalCluster, leases: PortLeases, waiting: int) -> float:
    """Return the processor time for one that starts and ends while so many wait behind it."""
    server = ApiServer(cluster, f"bench-queue-{waiting}")
    made = waiting + WARM_UP + STARTS
    at_once(partial(server.create, f"job-{number:05}") for number in range(made))
    with operator(cluster, server.namespace, leases.port(), AT_ONCE) as one:
        wait_until(lambda: one.looked() >= made, 900, "all were looked at")
        with StandInWorkers(server, delivered=True, run_seconds=0):
            wait_until(lambda: one.finished() >= WARM_UP, 300, "some have ended")
            before, began = one.cpu_seconds(), one.finished()
            wait_until(lambda: one.finished() >= WARM_UP + STARTS, 900, "more have ended")
            ended = one.finished() - began
            return 1000 * (one.cpu_seconds() - before) / ended


def delays(server: ApiServer, one: Operator) -> list[Figure]:
    """Return how long it takes until what comes now and then has a status, resyncs included."""
    seen: list[float] = []
    for number in range(COMERS):
        made = server.create(f"comer-{number:04}")
        began, path = time.monotonic(), f"{server.splitjobs}/{made['metadata']['name']}"
        while "status" not in server.ask("GET", path) and one.runs:
            time.sleep(0.005)
        seen.append(1000 * (time.monotonic() - began))
        time.sleep(BETWEEN)
    worst = sorted(seen)[int(0.99 * len(seen))]
    return [
        note(
            "operator: 10,000 at rest: event to write, median",
            sorted(seen)[len(seen) // 2],
            "ms",
            COMMAND,
        ),
        at_most("operator: 10,000 at rest: event to write, p99", worst, "ms", 300, COMMAND),
    ]
