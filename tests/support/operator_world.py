"""A world for `reconcile` to be tried in: one SplitJob, its Jobs and pods, a bucket, a receiver.

It plays the API server (resource versions, uids), the Job controller, the kubelet, workers that go
on although nobody hears them, and an operator that crashes after any of its writes. Nothing here
decides anything: what is tested is the real `reconcile`.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from tests.support.operator_samples import NAME, NOW, UID, completed_report, settings, splitjob

from splitjob import conditions
from splitjob.conditions import ConditionType
from splitjob.resource import KIND, SplitJobStatus
from splitjob.result import Manifest
from splitjob.webhook import DeliveryOutcome
from splitjob_operator.core import outbox
from splitjob_operator.core.lookups import (
    CheckRequest,
    ClaimTombstone,
    Lookup,
    LookupResults,
    ManifestLookup,
    ManifestState,
    ReadJobWarning,
    ReadManifest,
)
from splitjob_operator.core.manifest import classify, tombstone
from splitjob_operator.core.observed import (
    DeliveryReport,
    KubeJob,
    KubePod,
    Observed,
    QueueDecision,
    SplitJob,
)
from splitjob_operator.core.plan import (
    Action,
    CreateJob,
    DeleteForeignManifest,
    DeleteJob,
    DeletePod,
    DeleteSplitJob,
    Deliver,
    OwnSecret,
    Plan,
)
from splitjob_operator.core.reconcile import reconcile
from splitjob_operator.core.settings import Settings
from splitjob_operator.core.status_json import dump_status

MAX_LOOKUPS = 6


@dataclass
class World:
    """Everything outside `reconcile`.

    Attributes:
        bucket: what stands in the manifest's place.
        workers: pods whose process runs, heard or not, by name.
        sent: the final events a receiver got: webhook-id and event.
        away: whether the storage is unreachable.
        delivery: what came of the last delivery, as long as the operator knows it alone.
        looked_in_vain: whether a verdict had to be given without the bucket.
    """

    settings: Settings = field(default_factory=settings)
    now: datetime = NOW
    view: SplitJob = field(default_factory=splitjob)
    version: int = 7
    jobs: dict[str, KubeJob] = field(default_factory=dict)
    pods: dict[str, KubePod] = field(default_factory=dict)
    workers: set[str] = field(default_factory=set)
    bucket: Manifest | None = None
    sent: list[tuple[str, str]] = field(default_factory=list)
    receiver_works: bool = True
    delivery: DeliveryReport | None = None
    away: bool = False
    looked_in_vain: bool = False
    may_start: bool = True
    lost_nodes: dict[str, datetime] = field(default_factory=dict)
    uids: int = 0
    created: list[str] = field(default_factory=list)
    gone: bool = False

    # What the tests ask

    @property
    def status(self) -> SplitJobStatus:
        return self.view.status

    @property
    def verdict(self) -> tuple[str, str] | None:
        found = conditions.find(self.status.conditions, ConditionType.SUCCEEDED)
        return (found.status, found.reason) if found and found.status != "Unknown" else None

    @property
    def live_jobs(self) -> list[str]:
        """Jobs that have, or may yet get, a pod that runs."""
        return [
            name
            for name, job in self.jobs.items()
            if not job.finished
            and not (job.deleting and not self._alive_pods(job))
            and (self._alive_pods(job) or not self.pods_of(job))
        ]

    # The operator

    def observe(self) -> Observed:
        return Observed(
            splitjob=self.view,
            jobs=tuple(self.jobs.values()),
            pods=tuple(self.pods.values()),
            lost_nodes=dict(self.lost_nodes),
            queue_decision=QueueDecision(may_start=self.may_start, position=1),
            delivery=self.delivery,
        )

    def plan(self, seen: Observed) -> Plan:
        for _ in range(MAX_LOOKUPS):
            plan = reconcile(seen, self.settings, self.now)
            if plan.lookup is None:
                return plan
            seen = replace(seen, lookups=self._answer(plan.lookup, seen))
        raise AssertionError("reconcile keeps asking")

    def carry_out(self, seen: Observed, plan: Plan, crash_after: int | None = None) -> None:
        """Do what a plan says; a crash comes after so many of its steps."""
        steps: list[Action | SplitJobStatus] = [*plan.before]
        if plan.status is not None and (
            plan.creates_job or dump_status(plan.status) != dump_status(seen.splitjob.status)
        ):
            steps.append(plan.status)
        steps.extend(plan.after)
        for done, step in enumerate(steps):
            if crash_after is not None and done >= crash_after:
                return
            if isinstance(step, SplitJobStatus):
                if seen.splitjob.resource_version != self.view.resource_version:
                    return  # Conflict
                self._write(step)
            elif not self._do(step):
                return

    def step(self, crash_after: int | None = None) -> Plan:
        seen = self.observe()
        plan = self.plan(seen)
        self.carry_out(seen, plan, crash_after)
        if crash_after is not None or self.delivery is seen.delivery:
            self.delivery = None  # lost with the process, or written
        return plan

    def change_spec(self, **changed: Any) -> None:
        if self.view.spec:
            spec = self.view.spec.model_copy(update=changed)
            self._touch(replace(self.view, spec=spec, generation=self.view.generation + 1))

    # The Job controller, the kubelet, the workers

    def give_pod(self, job: KubeJob) -> None:
        """The Job controller makes the one pod of a Job."""
        self.uids += 1
        name = f"{job.name}-{self.uids}"
        self.pods[name] = KubePod(
            name=name,
            uid=str(self.uids),
            job_uid=job.uid,
            node="node-1",
            scheduled_at=self.now,
        )

    def start_worker(self, name: str) -> None:
        self.pods[name] = replace(self.pods[name], phase="Running", started_at=self.now)
        self.workers.add(name)

    def end_worker(self, name: str, ended: KubePod) -> None:
        """A worker ends as another pod did, and its kubelet says so."""
        self.workers.discard(name)
        pod = self.pods[name]
        self.pods[name] = replace(
            pod,
            phase=ended.phase,
            terminated=ended.terminated,
            disruption=ended.disruption,
            started_at=pod.started_at or self.now,
        )
        self.settle_deletions()

    def complete_work(self) -> bool:
        """A worker has its stems in the bucket and writes the manifest, unless one stands there."""
        if self.bucket is not None:
            return False
        spec = self.view.spec
        result = completed_report().result(spec.request, "stems", "v1/x") if spec else None
        self.bucket = Manifest(
            job_id=NAME, job_uid=UID, version_id="v1", status="completed", result=result
        )
        return True

    def fail_jobs(self) -> None:
        """The Job controller fails the Jobs whose pod ended badly, or vanished."""
        for name, job in self.jobs.items():
            pods = self.pods_of(job)
            if pods and all(pod.stopped for pod in pods):
                good = all(pod.phase == "Succeeded" for pod in pods)
                self.jobs[name] = (
                    replace(job, complete=True)
                    if good
                    else replace(job, failed_reason="PodFailurePolicy")
                )

    def lose_pod(self, name: str) -> None:
        """A pod object vanishes; its process may run on, unheard."""
        pod = self.pods.pop(name)
        for key, job in self.jobs.items():
            if job.uid == pod.job_uid and not job.finished:
                self.jobs[key] = replace(job, failed_reason="BackoffLimitExceeded")
        self.settle_deletions()

    def delete_job(self, name: str) -> None:
        """A Job is deleted, with its pods in the foreground."""
        job = self.jobs[name]
        self.jobs[name] = replace(job, deleting=True)
        for pod in self.pods_of(job):
            if not pod.deleting_since:
                self.pods[pod.name] = replace(pod, deleting_since=self.now + timedelta(seconds=30))
        self.settle_deletions()

    def settle_deletions(self) -> None:
        """What is being deleted goes once nothing of it runs."""
        for name, job in list(self.jobs.items()):
            if not job.deleting:
                continue
            for pod in self.pods_of(job):
                if pod.stopped or pod.started_at is None:
                    del self.pods[pod.name]
            if not self.pods_of(job):
                del self.jobs[name]

    # Inside

    def pods_of(self, job: KubeJob) -> list[KubePod]:
        return [pod for pod in self.pods.values() if pod.job_uid == job.uid]

    def _alive_pods(self, job: KubeJob) -> list[KubePod]:
        return [pod for pod in self.pods_of(job) if not pod.stopped]

    def _touch(self, view: SplitJob) -> None:
        self.version += 1
        self.view = replace(view, resource_version=str(self.version))

    def _write(self, status: SplitJobStatus) -> None:
        read_back = SplitJobStatus.model_validate(dump_status(status))
        self._touch(replace(self.view, status=read_back))

    def _answer(self, question: Lookup, seen: Observed) -> LookupResults:
        answers = seen.lookups
        match question:
            case CheckRequest():
                return replace(answers, checked=True)
            case ReadManifest():
                return replace(answers, manifest=self._look())
            case ClaimTombstone():
                return replace(answers, claim=self._claim(question, seen))
            case ReadJobWarning():
                return replace(answers, job_warning="")

    def _look(self) -> ManifestLookup:
        if self.away:
            return ManifestLookup(ManifestState.UNREACHABLE)
        if self.bucket is None:
            return ManifestLookup(ManifestState.ABSENT)
        return self._classified()

    def _classified(self) -> ManifestLookup:
        spec = self.view.spec
        assert self.bucket
        assert spec
        return classify(self.bucket, UID, spec.request)

    def _claim(self, wanted: ClaimTombstone, seen: Observed) -> ManifestLookup:
        if self.away:
            self.looked_in_vain = True
            return ManifestLookup(ManifestState.UNREACHABLE)
        if self.bucket is None or self._classified().state is ManifestState.FOREIGN:
            request = seen.splitjob.spec.request if seen.splitjob.spec else None
            assert request
            self.bucket = tombstone(seen.splitjob, request, 1, wanted)
        return self._classified()

    def _do(self, action: Action) -> bool:  # noqa: C901 - one case an action
        match action:
            case CreateJob(attempt):
                return self._create_job(attempt.job_name)
            case DeleteJob(name, uid, _):
                if name in self.jobs and self.jobs[name].uid == uid:
                    self.delete_job(name)
            case DeletePod(name, uid, force):
                if name in self.pods and self.pods[name].uid == uid and force:
                    self.lose_pod(name)  # the process may run on: nobody could ask it
            case DeleteForeignManifest():
                if self.bucket and self._classified().state is ManifestState.FOREIGN:
                    self.bucket = None
            case Deliver():
                self._deliver()
            case DeleteSplitJob():
                self.gone = True
            case OwnSecret():
                pass
        return True

    def _create_job(self, name: str) -> bool:
        assert name in {a.job_name for a in self.status.attempts}, "not in the status yet"
        if name in self.jobs:
            return self.jobs[name].owner_uid == UID
        self.uids += 1
        self.created.append(name)
        self.jobs[name] = KubeJob(
            name=name, uid=f"job-{self.uids}", owner_kind=KIND, owner_uid=UID, created_at=self.now
        )
        return True

    def _deliver(self) -> None:
        hook = self.status.webhook
        if hook is None or not outbox.due(hook, self.now):
            return
        if self.receiver_works:
            self.sent.append((hook.event_id, hook.event))
            outcome = DeliveryOutcome(delivered=True, status=200)
        else:
            outcome = DeliveryOutcome(delivered=False, status=500, error="500")
        self.delivery = DeliveryReport(UID, hook.attempts, hook.redeliveries, outcome, 0.5)
