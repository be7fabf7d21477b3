"""How fast SplitJobs become Jobs, against a plain client that does the same writes."""

import time
from collections.abc import Iterator
from functools import partial

from bench.api_server import ApiServer, Json, at_once
from bench.figures import Figure, at_least, note
from bench.operator_process import COMMAND, Place, operator
from bench.program import wait_until

JOBS = 1000


def measure(place: Place) -> Iterator[Figure]:
    """Yield what it takes to start many at once, in one run on the same API server."""
    served, plain = (
        ApiServer(place.cluster, "bench-served"),
        ApiServer(place.cluster, "bench-plain"),
    )
    names = [f"job-{number:04}" for number in range(JOBS)]
    for server in (served, plain):
        at_once(partial(server.create, name) for name in names)
    with operator(place, served.namespace, {}) as one:
        already, before = served.count(served.jobs), one.cpu_seconds()
        seconds = wait_until(lambda: served.count(served.jobs) >= JOBS, 600, "all Jobs are there")
        cpu = one.cpu_seconds() - before
    rate, raw_rate = (JOBS - already) / seconds, JOBS / _write_plainly(served, plain)
    where = f"{JOBS} at once"
    yield note(f"operator: Jobs a second, {where}", rate, "1/s", COMMAND)
    yield note(f"operator: the same writes by a plain client, {where}", raw_rate, "1/s", COMMAND)
    yield at_least(
        "operator: rate against the plain client", rate / raw_rate, "ratio", 0.8, COMMAND
    )
    yield note("operator: CPU to start one", 1000 * cpu / (JOBS - already), "ms", COMMAND)


def _write_plainly(served: ApiServer, plain: ApiServer) -> float:
    """Write the status and the Job of each as the operator has; return how long it took."""
    (like, *_), (job, *_) = served.items(served.splitjobs), served.items(served.jobs)
    template = job["spec"]["template"]
    for labels in (template["metadata"]["labels"], job["metadata"]["labels"]):
        for generated in [key for key in labels if key.endswith(("controller-uid", "job-name"))]:
            del labels[generated]
    kept = ("activeDeadlineSeconds", "backoffLimit", "completions", "parallelism")
    spec = {key: value for key, value in job["spec"].items() if key in kept}

    def write(splitjob: Json) -> None:
        name = splitjob["metadata"]["name"]
        path = f"{plain.splitjobs}/{name}/status"
        plain.ask("PUT", path, {**splitjob, "status": like["status"]})
        labels = job["metadata"]["labels"]
        body = {
            "metadata": {"name": name, "labels": labels},
            "spec": {**spec, "template": template},
        }
        plain.ask("POST", plain.jobs, {"apiVersion": "batch/v1", "kind": "Job", **body})

    splitjobs = plain.items(plain.splitjobs)
    began = time.monotonic()
    at_once(partial(write, splitjob) for splitjob in splitjobs)
    return time.monotonic() - began
