"""What 10,000 SplitJobs cost the operator: as they come, at rest, at a start."""

import os
import time
from functools import partial

from bench import operator_queue
from bench.api_server import ApiServer, at_once
from bench.figures import Figure, at_most, note
from bench.operator_process import Operator, operator, wait_until
from splitjob_local.cluster.local_cluster import LocalCluster
from splitjob_local.processes.ports import PortLeases

COMMAND = "make bench ONLY=operator"
MANY = 10_000
PAUSED = {"PAUSED": "true"}
RESTING_SECONDS = 90.0  # three resyncs
RESYNCS = 3


def measure(cluster: LocalCluster, leases: PortLeases) -> list[Figure]:
    """Return what many SplitJobs cost, in an installation that starts none of them."""
    bursts = int(os.environ.get("BURSTS", "1"))
    ended = sum(_more(cluster, leases, number) for number in range(1, bursts))
    server = ApiServer(cluster, "bench-crowd")
    with operator(cluster, server.namespace, leases.port(), PAUSED) as one:
        empty = one.megabytes()
        figures = [at_most("operator: memory at rest", empty, "MB", 120, COMMAND)]
        figures += _burst(server, one, ended, bursts)
        figures += _rest(one)
        figures += operator_queue.delays(server, one)
        grown = one.peak_megabytes()
    latest = server.create("the-latest")["metadata"]["name"]  # while none runs
    with operator(cluster, server.namespace, leases.port(), PAUSED) as again:
        began = again.process.create_time()
        path = f"{server.splitjobs}/{latest}"
        wait_until(lambda: "status" in server.ask("GET", path), 600, "the latest was looked at")
        seconds, started = time.time() - began, again.peak_megabytes()
    return [
        *figures,
        at_most("operator: started with 10,000: in step", seconds, "s", 15, COMMAND),
        note("operator: peak memory, having seen 10,000 come", grown, "MB", COMMAND),
        note("operator: peak memory, started with 10,000", started, "MB", COMMAND),
        at_most("operator: memory for 10,000", max(grown, started) - empty, "MB", 200, COMMAND),
    ]


def _more(cluster: LocalCluster, leases: PortLeases, number: int) -> int:
    """Make all at once in a namespace of its own; return whether the operator ended itself."""
    server = ApiServer(cluster, f"bench-burst-{number}")
    with operator(cluster, server.namespace, leases.port(), PAUSED) as one:
        _burst(server, one)
        runs = one.runs
    server.remove()
    return int(not runs)


def _burst(server: ApiServer, one: Operator, ended: int = 0, bursts: int = 1) -> list[Figure]:
    """Make all at once; return how long it took until each was looked at, and what that cost.

    Args:
        server: where they are made.
        one: looks at them.
        ended: in how many bursts before an operator ended itself.
        bursts: how many there were, this one included.
    """
    before, began = one.cpu_seconds(), time.monotonic()
    at_once(partial(server.create, f"job-{number:05}") for number in range(MANY))
    made = time.monotonic() - began
    wait_until(lambda: not one.runs or _all_looked_at(server, one), 900, "all were looked at")
    seconds, cpu = time.monotonic() - began, one.cpu_seconds() - before
    return [
        note("operator: 10,000 made", made, "s", COMMAND),
        at_most("operator: 10,000 made: all looked at", seconds, "s", 60, COMMAND),
        note(
            "operator: 10,000 made: all looked at, from the last one on",
            seconds - made,
            "s",
            COMMAND,
        ),
        at_most(f"operator: {bursts} bursts: ended itself", ended + (not one.runs), "", 0, COMMAND),
        note("operator: CPU to look at one for the first time", cpu / MANY * 1000, "ms", COMMAND),
    ]


def _all_looked_at(server: ApiServer, one: Operator) -> bool:
    """Return whether each has a status; the API server is asked only where that may be."""
    if one.looked() < MANY:
        return False
    return all("status" in splitjob for splitjob in server.items(server.splitjobs))


def _rest(one: Operator) -> list[Figure]:
    """Return what it costs that nothing happens."""
    time.sleep(RESTING_SECONDS)  # what the burst left behind
    before = one.cpu_seconds()
    time.sleep(RESTING_SECONDS)
    cpu = one.cpu_seconds() - before
    share = 100 * cpu / RESTING_SECONDS
    return [
        at_most("operator: full resync of 10,000, CPU", cpu / RESYNCS, "s", 5, COMMAND),
        at_most("operator: 10,000 at rest, of a core", share, "%", 3, COMMAND),
    ]
