"""What many that wait cost each one that starts."""

from collections.abc import Iterator
from functools import partial

from bench.api_server import ApiServer, at_once
from bench.figures import Figure, at_most, note
from bench.operator_process import COMMAND, MANY, Place, operator
from bench.program import wait_until
from bench.stand_in_worker import StandInWorkers

FEW = 100
AT_ONCE = {"MAX_ACTIVE_JOBS": "10"}
WARM_UP, STARTS = 20, 100


def measure(place: Place) -> Iterator[Figure]:
    """Yield the cost of a start in a long queue against one in a short queue."""
    few = _life_ms(place, ApiServer(place.cluster, "bench-queue"), FEW)
    yield note(f"operator: CPU of one life, {FEW} waiting", few, "ms", COMMAND)
    many = _life_ms(place, place.crowd, MANY)
    yield note(f"operator: CPU of one life, {MANY} waiting", many, "ms", COMMAND)
    what = "operator: a life in the long queue against the short"
    yield at_most(what, many / few, "", 2, COMMAND)


def _life_ms(place: Place, server: ApiServer, waiting: int) -> float:
    """Return the processor time for one that starts and ends while so many wait behind it."""
    made = waiting + WARM_UP + STARTS
    missing = range(made - server.count(server.splitjobs))
    at_once(partial(server.create, f"waiting-{number:05}") for number in missing)
    with operator(place, server.namespace, AT_ONCE) as one:
        wait_until(lambda: one.looked() >= made, 900, "all were looked at", every=0.5)
        with StandInWorkers(server, delivered=True, run_seconds=0):
            wait_until(lambda: one.finished() >= WARM_UP, 300, "some have ended", every=1.0)
            before, began = one.cpu_seconds(), one.finished()
            enough = began + STARTS
            wait_until(lambda: one.finished() >= enough, 900, "more have ended", every=1.0)
            ended = one.finished() - began
            return 1000 * (one.cpu_seconds() - before) / ended
