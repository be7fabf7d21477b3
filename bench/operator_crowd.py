"""What 10,000 SplitJobs cost the operator: as they come, at rest, at a takeover, at a start."""

import os
import time
from collections.abc import Iterator
from functools import partial

from bench.api_server import ApiServer, at_once
from bench.figures import Figure, at_most, note
from bench.operator_process import COMMAND, MANY, Operator, Place, operator
from bench.program import wait_until

PAUSED = {"PAUSED": "true"}
STANDBY = {**PAUSED, "POD_NAME": "standby"}
SETTLING_SECONDS = 35.0  # what the burst left behind, a resync included
RESTING_SECONDS = 60.0
RESYNCS = 2  # in that time
COMERS = 100  # within more than one resync
BETWEEN = 0.3  # seconds, from one to the next


def measure(place: Place) -> Iterator[Figure]:
    """Yield what many SplitJobs cost, in an installation that starts none of them."""
    bursts = int(os.environ.get("BURSTS", "1"))
    ended = sum(_more(place, number) for number in range(1, bursts))
    server = place.crowd
    with operator(place, server.namespace, PAUSED) as one:
        empty = one.megabytes()
        yield at_most("operator: memory at rest", empty, "MB", 120, COMMAND)
        yield from _burst(server, one, ended, bursts)
        with operator(place, server.namespace, STANDBY) as standby:
            yield from _rest(one, standby)
            yield from _delays(server)
            grown = one.peak_megabytes()
            yield note("operator: peak memory, having seen 10,000 come", grown, "MB", COMMAND)
            yield _takeover(server, one)
    yield from _start(place, server, empty, grown)


def _more(place: Place, number: int) -> int:
    """Make all at once in a namespace of its own; return whether the operator ended itself."""
    server = ApiServer(place.cluster, f"bench-burst-{number}")
    with operator(place, server.namespace, PAUSED) as one:
        tuple(_burst(server, one))
        runs = one.runs
    server.remove()
    return int(not runs)


def _burst(server: ApiServer, one: Operator, ended: int = 0, bursts: int = 1) -> Iterator[Figure]:
    """Make all at once; yield how long it took until each was looked at, and what that cost.

    Args:
        server: where they are made.
        one: looks at them.
        ended: in how many bursts before an operator ended itself.
        bursts: how many there were, this one included.
    """
    before, began = one.cpu_seconds(), time.monotonic()
    at_once(partial(server.create, f"job-{number:05}") for number in range(MANY))
    made = time.monotonic() - began
    yield note("operator: 10,000 made", made, "s", COMMAND)
    over = partial(_all_looked_at, server, one)
    wait_until(lambda: not one.runs or over(), 900, "all were looked at", every=0.5)
    seconds, cpu = time.monotonic() - began, one.cpu_seconds() - before
    after = "operator: 10,000 made: all looked at, from the last one on"
    yield at_most("operator: 10,000 made: all looked at", seconds, "s", 60, COMMAND)
    yield note(after, seconds - made, "s", COMMAND)
    yield at_most(
        f"operator: {bursts} bursts: ended itself", ended + (not one.runs), "", 0, COMMAND
    )
    yield note("operator: CPU to look at one for the first time", cpu / MANY * 1000, "ms", COMMAND)


def _all_looked_at(server: ApiServer, one: Operator) -> bool:
    """Return whether each has a status; the API server is asked only where that may be."""
    if one.looked() < MANY:
        return False
    return all("status" in splitjob for splitjob in server.items(server.splitjobs))


def _rest(one: Operator, standby: Operator) -> Iterator[Figure]:
    """Yield what it costs that nothing happens."""
    time.sleep(SETTLING_SECONDS)
    before, standby_before = one.cpu_seconds(), standby.cpu_seconds()
    time.sleep(RESTING_SECONDS)
    cpu, standby_cpu = one.cpu_seconds() - before, standby.cpu_seconds() - standby_before
    share, standby_share = 100 * cpu / RESTING_SECONDS, 100 * standby_cpu / RESTING_SECONDS
    yield at_most("operator: full resync of 10,000, CPU", cpu / RESYNCS, "s", 5, COMMAND)
    yield at_most("operator: 10,000 at rest, of a core", share, "%", 3, COMMAND)
    yield note("operator: 10,000 at rest, standby: of a core", standby_share, "%", COMMAND)
    yield note("operator: peak memory of the standby", standby.peak_megabytes(), "MB", COMMAND)


def _delays(server: ApiServer) -> Iterator[Figure]:
    """Yield how long it takes until what comes now and then has a status, resyncs included."""
    seen: list[float] = []
    for number in range(COMERS):
        seen.append(1000 * _until_looked_at(server, f"comer-{number:04}"))
        time.sleep(BETWEEN)
    seen.sort()
    what = "operator: 10,000 at rest: event to write"
    yield note(f"{what}, median", seen[len(seen) // 2], "ms", COMMAND)
    yield at_most(f"{what}, p99", seen[int(0.99 * len(seen))], "ms", 300, COMMAND)


def _takeover(server: ApiServer, leader: Operator) -> Figure:
    """Return how long nobody writes after the leader was killed, where another one stands by."""
    leader.process.kill()
    seconds = _until_looked_at(server, "after-the-kill")
    return at_most("operator: killed at 10,000: the standby writes", seconds, "s", 20, COMMAND)


def _start(place: Place, server: ApiServer, empty: float, grown: float) -> Iterator[Figure]:
    """Yield what a start costs, of the pod that has led before."""
    latest = server.create("the-latest")["metadata"]["name"]  # while none runs
    with operator(place, server.namespace, STANDBY) as again:
        began = again.process.create_time()
        path = f"{server.splitjobs}/{latest}"
        wait_until(lambda: "status" in server.ask("GET", path), 600, "the latest was looked at")
        seconds, started = time.time() - began, again.peak_megabytes()
    yield at_most("operator: started with 10,000: in step", seconds, "s", 15, COMMAND)
    yield note("operator: peak memory, started with 10,000", started, "MB", COMMAND)
    yield at_most("operator: memory for 10,000", max(grown, started) - empty, "MB", 200, COMMAND)


def _until_looked_at(server: ApiServer, name: str) -> float:
    """Make one; return how long it took until it had a status."""
    path = f"{server.splitjobs}/{server.create(name)['metadata']['name']}"
    return wait_until(
        lambda: "status" in server.ask("GET", path), 600, f"{name} was looked at", 0.005
    )
