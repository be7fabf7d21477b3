"""What the operator looks at before it reconciles a SplitJob: its Jobs, pods, nodes, deliveries."""

from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from splitjob_operator.core.observed import (
    KubeJob,
    KubePod,
    Observed,
    QueueDecision,
    SplitJob,
)
from splitjob_operator.core.ports import KubernetesPort
from splitjob_operator.runtime.cache import SplitJobCache
from splitjob_operator.runtime.node_monitor import NodeMonitor
from splitjob_operator.runtime.progress_reader import ProgressReader
from splitjob_operator.runtime.thread_pool import ThreadPool
from splitjob_operator.runtime.webhook_delivery import WebhookDelivery

__all__ = ["Observer", "is_urgent"]

_READINGS: Mapping[str, Callable[[Mapping[str, Any]], KubeJob | KubePod]] = {
    "Job": KubeJob.of,
    "Pod": KubePod.of,
}


class _Told(NamedTuple):
    """A Job or pod as the watch last told.

    Attributes:
        version: its resource version.
        reading: what of it is looked at.
    """

    version: int
    reading: KubeJob | KubePod


@dataclass(kw_only=True)
class Observer:
    """Reads what belongs to a SplitJob.

    Attributes:
        keeps_finished_jobs: whether Jobs outlive their SplitJob's end for a while.
    """

    kubernetes: KubernetesPort
    cache: SplitJobCache
    progress: ProgressReader
    delivery: WebhookDelivery
    threads: ThreadPool
    node_monitor: NodeMonitor
    keeps_finished_jobs: bool
    _job_names: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _told: defaultdict[str, dict[str, _Told]] = field(default_factory=lambda: defaultdict(dict))

    def note_job(self, owner: str, name: str, *, deleted: bool) -> None:
        """Note that a Job is there, or is gone.

        Args:
            owner: the SplitJob in its label.
            name: of the Job.
            deleted: whether it is gone.
        """
        names = self._job_names[owner]
        (names.discard if deleted else names.add)(name)
        if not names:
            del self._job_names[owner]

    def replace_jobs(self, jobs: Iterable[tuple[str, str]]) -> None:
        """Forget all Jobs, and take these for what there is: the SplitJob and name of each."""
        self._job_names.clear()
        for owner, name in jobs:
            self.note_job(owner, name, deleted=False)

    def note_told(self, owner: str, kind: str, raw: Mapping[str, Any], *, deleted: bool) -> None:
        """Note what the watch has told of a Job or pod, or that it is gone.

        Args:
            owner: the SplitJob in its label.
            kind: Job or Pod.
            raw: the object.
            deleted: whether it is gone.
        """
        metadata, told = raw["metadata"], self._told[owner]
        if deleted:
            told.pop(metadata["uid"], None)
        else:
            self._note(owner, kind, raw)
        if not told:
            del self._told[owner]

    def says_anything_new(self, owner: str, kind: str, raw: Mapping[str, Any]) -> bool:
        """Return whether a Job or pod has changed in what is looked at, since the watch last told.

        Most of what its controllers write there is no concern of a SplitJob. See `note_told`.
        """
        before = self._told.get(owner, {}).get(raw["metadata"]["uid"])
        return before is None or before.reading != _READINGS[kind](raw)

    def forget_told(self, but_for: Container[str]) -> None:
        """Forget what was told of Jobs and pods that are gone.

        Args:
            but_for: the uids of those that are there.
        """
        for owner, told in list(self._told.items()):
            for uid in [uid for uid in told if uid not in but_for]:
                del told[uid]
            if not told:
                del self._told[owner]

    def as_told(self, splitjob: SplitJob) -> Observed | None:
        """Return what is to be observed as far as the watches tell, without asking anybody.

        Returns:
            None where that is too little to go by.
        """
        told = [one.reading for one in self._told.get(splitjob.name, {}).values()]
        jobs = tuple(one for one in told if isinstance(one, KubeJob))
        pods = tuple(one for one in told if isinstance(one, KubePod))
        nodes = {pod.node for pod in pods if not pod.stopped}
        if not (_under_way(splitjob) and jobs and pods) or self.node_monitor.lost.keys() & nodes:
            return None
        return self._observed(splitjob, jobs, pods, {})

    def _note(self, owner: str, kind: str, raw: Mapping[str, Any]) -> None:
        uid, version = raw["metadata"]["uid"], raw["metadata"]["resourceVersion"]
        before = self._told[owner].get(uid)
        if before is None or int(version) > before.version:
            self._told[owner][uid] = _Told(int(version), _READINGS[kind](raw))

    def has_jobs(self, owner: str) -> bool:
        """Return whether a SplitJob has a Job, as far as the watches say."""
        return owner in self._job_names

    def at_rest(self, splitjob: SplitJob) -> Observed | None:
        """Return what is to be observed of one that has no Job, its place as its status says it.

        Returns:
            None where it may have a Job: that has to be read.
        """
        if _under_way(splitjob) or self.has_jobs(splitjob.name):
            return None
        queue = splitjob.status.queue
        return Observed(
            splitjob=splitjob,
            queue_decision=QueueDecision(
                may_start=self.cache.queue_decision(splitjob.name).may_start,
                position=queue.position if queue else None,
                eta_seconds=queue.eta_seconds if queue else None,
            ),
            secret_shared=self.cache.shares_secret(splitjob.name),
            input_shared=self.cache.shares_input(splitjob.name),
        )

    async def observe(self, splitjob: SplitJob) -> Observed:
        """Read what belongs to a SplitJob; no Jobs or pods where it cannot have any.

        Raises:
            splitjob_kube.errors.KubernetesError: the API server does not say.
        """
        jobs, pods = await self._jobs_and_pods(splitjob)
        nodes = {pod.node for pod in pods if not pod.stopped}
        return self._observed(splitjob, jobs, pods, await self.node_monitor.recheck(nodes))

    def _observed(
        self,
        splitjob: SplitJob,
        jobs: tuple[KubeJob, ...],
        pods: tuple[KubePod, ...],
        lost_nodes: Mapping[str, datetime],
    ) -> Observed:
        progress = next((line for pod in pods if (line := self.progress.line_of(pod.name))), None)
        return Observed(
            splitjob=splitjob,
            jobs=jobs,
            pods=pods,
            lost_nodes=lost_nodes,
            queue_decision=self.cache.queue_decision(splitjob.name),
            progress=progress,
            delivery=self.delivery.report(splitjob.name),
            secret_shared=self.cache.shares_secret(splitjob.name),
            input_shared=self.cache.shares_input(splitjob.name),
        )

    async def _jobs_and_pods(
        self, splitjob: SplitJob
    ) -> tuple[tuple[KubeJob, ...], tuple[KubePod, ...]]:
        """Read both; of an attempt under way the pods first.

        Where its Job is deleted or suspended in between, that is why the pod goes.
        """
        if _under_way(splitjob):
            pods = await self._pods(splitjob)
            return await self._jobs(splitjob), pods
        jobs = await self._jobs(splitjob) if self.has_jobs(splitjob.name) else ()
        kept = jobs and self.keeps_finished_jobs
        return jobs, await self._pods(splitjob) if kept else ()

    async def _jobs(self, splitjob: SplitJob) -> tuple[KubeJob, ...]:
        found = await self.threads.run(lambda: list(self.kubernetes.jobs(splitjob.name)))
        self._note_read(splitjob, "Job", found)
        return tuple(KubeJob.of(job) for job in found)

    async def _pods(self, splitjob: SplitJob) -> tuple[KubePod, ...]:
        found = await self.threads.run(lambda: list(self.kubernetes.pods(splitjob.name)))
        self._note_read(splitjob, "Pod", found)
        return tuple(KubePod.of(pod) for pod in found)

    def _note_read(self, splitjob: SplitJob, kind: str, found: Iterable[Mapping[str, Any]]) -> None:
        """Note what was read of those that the watch has told of, so that it cannot go back."""
        known = self._told.get(splitjob.name, {})
        for raw in found:
            if raw["metadata"]["uid"] in known:
                self._note(splitjob.name, kind, raw)


def _under_way(splitjob: SplitJob) -> bool:
    """Whether an attempt may have a Job."""
    return bool(splitjob.status.attempts) and splitjob.status.finished_at is None


def is_urgent(kind: str, raw: Mapping[str, Any]) -> bool:
    """Return whether a Job or pod has come so far that a song is worked on, or no more."""
    if kind == "Job":
        job = KubeJob.of(raw)
        return job.finished or job.deleting
    pod = KubePod.of(raw)
    return pod.running or pod.stopped or pod.deleting_since is not None
