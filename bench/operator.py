"""The operator by itself, with workers that never run: what it does a second, what 10,000 cost."""

import time
from functools import partial

import yaml

from bench import operator_crowd, operator_life, operator_queue
from bench.api_server import ApiServer, at_once
from bench.figures import Figure, at_least, note
from bench.operator_process import operator, wait_until
from splitjob.crd import custom_resource_definition
from splitjob_local.cluster.local_cluster import ClusterOptions, LocalCluster
from splitjob_local.processes.ports import PortLeases

COMMAND = "make bench ONLY=operator"
JOBS = 1000


def measure() -> list[Figure]:
    """Return the figures of the operator; takes about fifteen minutes on two cores."""
    with LocalCluster(ClusterOptions(install=False), print) as cluster, PortLeases() as leases:
        cluster.kubectl("apply", "-f", "-", text=yaml.safe_dump(custom_resource_definition()))
        cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=20s")
        crowd = operator_crowd.measure(cluster, leases)
        life = operator_life.measure(cluster, leases)
        queue = operator_queue.measure(cluster, leases)
        return [*_starts(cluster, leases), *life, *queue, *crowd]


def _starts(cluster: LocalCluster, leases: PortLeases) -> list[Figure]:
    """Return how fast SplitJobs become Jobs, against a client that does the same writes."""
    served, plain = ApiServer(cluster, "bench-served"), ApiServer(cluster, "bench-plain")
    names = [f"job-{number:04}" for number in range(JOBS)]
    for server in (served, plain):
        at_once(partial(server.create, name) for name in names)
    with operator(cluster, served.namespace, leases.port(), {}) as one:
        already, before = served.count(served.jobs), one.cpu_seconds()
        seconds = wait_until(lambda: served.count(served.jobs) >= JOBS, 600, "all Jobs are there")
        cpu = one.cpu_seconds() - before
    rate, raw_rate = (JOBS - already) / seconds, JOBS / _write_plainly(served, plain)
    where = f"{JOBS} at once"
    return [
        note(f"operator: Jobs a second, {where}", rate, "1/s", COMMAND),
        note(f"operator: the same writes by a plain client, {where}", raw_rate, "1/s", COMMAND),
        at_least("operator: rate against the plain client", rate / raw_rate, "ratio", 0.8, COMMAND),
        note("operator: CPU to start one", 1000 * cpu / (JOBS - already), "ms", COMMAND),
    ]


def _write_plainly(served: ApiServer, plain: ApiServer) -> float:
    """Write the status and the Job of each as the operator has; return how long it took."""
    (like, *_), (job, *_) = served.items(served.splitjobs), served.items(served.jobs)
    template = job["spec"]["template"]
    for labels in (template["metadata"]["labels"], job["metadata"]["labels"]):
        for generated in [key for key in labels if key.endswith(("controller-uid", "job-name"))]:
            del labels[generated]
    kept = ("activeDeadlineSeconds", "backoffLimit", "completions", "parallelism")
    spec = {key: value for key, value in job["spec"].items() if key in kept}

    def write(splitjob: dict[str, object]) -> None:
        metadata = splitjob["metadata"]
        name = metadata["name"]  # type: ignore[index]
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
