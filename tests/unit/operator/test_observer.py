"""What is read of the cluster before a SplitJob is reconciled, in which order."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from tests.support.operator_samples import NAME, raw_pod, stamp
from tests.support.operator_samples import after as seconds
from tests.support.reconcile_situations import plan_of, running

from splitjob_operator.core.admission_queue import Bounds
from splitjob_operator.core.ports import KubernetesPort
from splitjob_operator.runtime.cache import SplitJobCache
from splitjob_operator.runtime.node_monitor import NodeMonitor
from splitjob_operator.runtime.observer import Observer
from splitjob_operator.runtime.thread_pool import ThreadPool

Json = dict[str, Any]


class JobDeletedMeanwhile:
    """A cluster in which a Job is deleted, and its pod told to stop, while both are read."""

    def __init__(self) -> None:
        self.job_there = True

    def jobs(self, splitjob: str) -> list[Json]:
        found = [{"metadata": {"name": f"{splitjob}-1", "uid": "any"}}] if self.job_there else []
        self.job_there = False
        return found

    def pods(self, _: str) -> list[Json]:
        pod = raw_pod(running={"startedAt": stamp(seconds(0))})
        if not self.job_there:
            pod["metadata"]["deletionTimestamp"] = stamp(seconds(90))
        self.job_there = False
        return [pod]


def observer(cluster: JobDeletedMeanwhile) -> Observer:
    kubernetes, threads = cast("KubernetesPort", cluster), ThreadPool(1, "test")
    nothing_known = SimpleNamespace(line_of=lambda _: None, report=lambda _: None)
    return Observer(
        kubernetes=kubernetes,
        cache=SplitJobCache(Bounds(0, 0), "cpu", lambda: 0.0),
        progress=cast("Any", nothing_known),
        delivery=cast("Any", nothing_known),
        threads=threads,
        node_monitor=NodeMonitor(cast("Any", cluster), threads),
        keeps_finished_jobs=False,
    )


def test_a_job_that_is_deleted_while_it_is_read_is_missed_and_not_its_pod() -> None:
    """Acceptance 46: else a pod that goes is taken for one that was evicted, five times over."""
    view = running()
    observed = asyncio.run(observer(JobDeletedMeanwhile()).observe(view))
    plan = plan_of(observed, 61)
    assert plan.status
    (attempt,) = plan.status.attempts
    assert attempt.job_name == f"{NAME}-1"
    assert (attempt.reason, attempt.job_deleted) == ("WorkerLost", True)
