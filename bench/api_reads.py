"""What reads cost at 10,000 SplitJobs against 10, and what memory they take."""

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from bench.api_replica import Replica
from bench.api_server import ApiServer
from bench.figures import Figure, at_most, note
from bench.served_jobs import create_completed

COMMAND = "make bench ONLY=api"
FEW, MANY = 10, 10_000
WRITERS = 8
QUESTIONS = 200
PAGE = "/jobs?limit=10"
LAST = "the-last"


def fill(server: ApiServer, replica: Replica, count: int) -> None:
    """Make so many SplitJobs, of which every tenth waits; return once a replica has them all."""

    def make(number: int) -> None:
        name = f"many-{number:05}"
        if number % 10 == 0:
            server.create(name)
        else:
            create_completed(server, name)

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(make, range(count - 1)))
    create_completed(server, LAST)
    while LAST not in {
        job["jobId"] for job in replica.get("/jobs?limit=50&status=completed")["jobs"]
    }:
        time.sleep(0.1)


def reads(few: Replica, many: Replica) -> list[Figure]:
    """Return how long each read takes where there are many SplitJobs against few.

    Args:
        few: a replica on a namespace with `FEW`.
        many: one on a namespace with `MANY`.
    """
    few_job, many_job = (one.get(PAGE)["jobs"][0]["jobId"] for one in (few, many))
    return [
        *_compared("/queue/status", few, "/queue/status", many, "/queue/status"),
        *_compared("GET /jobs/{id}", few, f"/jobs/{few_job}", many, f"/jobs/{many_job}"),
        *_compared("first page of /jobs", few, PAGE, many, PAGE),
        *_compared("100th page of /jobs", few, PAGE, many, hundredth_page(many)),
    ]


def memory(empty: float, grown: Replica, started: Replica) -> list[Figure]:
    """Return what memory the jobs take once all of them have been read.

    Args:
        empty: of the same API without a SplitJob, in MB.
        grown: a replica that saw them come.
        started: one that found them there.
    """
    for one in (grown, started):
        read_all(one)
    more = max(grown.megabytes(), started.megabytes()) - empty
    return [
        at_most("api: memory at rest", empty, "MB", 110, COMMAND),
        note(
            f"api: memory at {MANY} SplitJobs, having seen them come",
            grown.megabytes(),
            "MB",
            COMMAND,
        ),
        note(f"api: memory at {MANY} SplitJobs, started there", started.megabytes(), "MB", COMMAND),
        at_most(f"api: memory for {MANY} SplitJobs", more, "MB", 60, COMMAND),
    ]


def hundredth_page(replica: Replica) -> str:
    """Return the path of the hundredth page of the list."""
    path = PAGE
    for _ in range(99):
        path = f"{PAGE}&cursor={replica.get(path)['nextCursor']}"
    return path


def read_all(replica: Replica) -> int:
    """Read the whole list; return how many jobs are in it."""
    found, path = 0, "/jobs?limit=500"
    while True:
        page = replica.get(path)
        found += len(page["jobs"])
        if page["nextCursor"] is None:
            return found
        path = f"/jobs?limit=500&cursor={page['nextCursor']}"


def _compared(name: str, few: Replica, few_path: str, many: Replica, path: str) -> list[Figure]:
    """Ask both in turn, so that what else the machine does meets both alike."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(QUESTIONS):
        times[0].append(_timed(lambda: few.get(few_path)))
        times[1].append(_timed(lambda: many.get(path)))
    small, large = (statistics.median(one) for one in times)
    return [
        note(f"api: {name} at {FEW} SplitJobs", small, "ms", COMMAND),
        note(f"api: {name} at {MANY} SplitJobs", large, "ms", COMMAND),
        at_most(f"api: {name} at {MANY} against {FEW}", large / small, "ratio", 1.2, COMMAND),
    ]


def _timed(question: Callable[[], object]) -> float:
    began = time.perf_counter()
    question()
    return (time.perf_counter() - began) * 1000
