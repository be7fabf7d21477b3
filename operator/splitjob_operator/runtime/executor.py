"""Carries plans out: looks up what a plan names, writes the status, then does what follows.

The order is what keeps a job safe across crashes: first the actions that must stand before the
status, then the status under the resourceVersion that was read, last the actions that the status
announces. Every action may be done twice.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from splitjob import workload
from splitjob.lifecycle import lifecycle_of
from splitjob.request_policy import RequestPolicy
from splitjob.result import ProgressLine
from splitjob.status import SplitJobStatus
from splitjob_kube.errors import AlreadyExistsError, KubernetesError, NotFoundError
from splitjob_operator.core.check_before_start import check_before_start
from splitjob_operator.core.events import event_manifest, events_between
from splitjob_operator.core.inputs import IN_USE
from splitjob_operator.core.kueue import Workload
from splitjob_operator.core.lookups import (
    CheckRequest,
    ClaimTombstone,
    DeleteInput,
    EraseData,
    ErasureLookup,
    InputDeletion,
    LastProgress,
    Lookup,
    LookupResults,
    ManifestLookup,
    ManifestState,
    ReadAutoscalerEvents,
    ReadJobWarning,
    ReadLastProgress,
    ReadManifest,
    ReadPodEvents,
    ReadWorkload,
)
from splitjob_operator.core.observed import JobCreationError, KubeJob, SplitJob
from splitjob_operator.core.plan import (
    Action,
    CreateJob,
    DeleteJob,
    DeletePod,
    DeleteSplitJob,
    Deliver,
    OwnSecret,
    Plan,
    ReplaceForeignManifest,
    SetWorkloadActive,
)
from splitjob_operator.core.ports import InputStorePort, KubernetesPort, ManifestStorePort
from splitjob_operator.core.settings import Settings
from splitjob_operator.core.status_json import dump_status, keep_unknown
from splitjob_operator.core.worker_job import build_job, network_policy, owner_reference
from splitjob_operator.runtime.event_poster import EventPoster
from splitjob_operator.runtime.job_metrics import JobMetrics
from splitjob_operator.runtime.job_traces import JobTraces
from splitjob_operator.runtime.pod_events import PodEvents, in_order

__all__ = ["Execution", "Executor"]

log = logging.getLogger(__name__)

Json = dict[str, Any]
NO_BUCKET = ManifestLookup(
    ManifestState.REFUSED,
    message="No bucket is configured for this installation: set S3_BUCKET, or give uploads.",
)
REFUSED = {400, 403, 422}  # a quota, a policy, or settings that make no valid Job


@dataclass(frozen=True, slots=True)
class Execution:
    """What came of a plan.

    Attributes:
        splitjob: the SplitJob as it is now, as the API server's JSON.
        job_creation_error: why the attempt's Job was not created; the actions behind it in the plan
            were not done either. None: the whole plan was carried out.
    """

    splitjob: Json
    job_creation_error: JobCreationError | None = None


class Executor:
    """Does what plans say. Every call blocks.

    Args:
        kubernetes: the namespace.
        manifests: the manifests in the bucket; None where no bucket is configured.
        inputs: the files from POST /uploads there; None likewise.
        policy: what this installation allows a request.
        settings: the installation's.
        deliver: starts the delivery of a SplitJob's final event, by the SplitJob's name.
        traces: tells spans.
        events: posts what happens; by default each Event at once.
    """

    def __init__(
        self,
        kubernetes: KubernetesPort,
        manifests: ManifestStorePort | None,
        inputs: InputStorePort | None,
        policy: RequestPolicy,
        settings: Settings,
        deliver: Callable[[str], object],
        traces: JobTraces | None = None,
        events: EventPoster | None = None,
    ) -> None:
        self._kubernetes = kubernetes
        self._pod_events = PodEvents(kubernetes)
        self._manifests = manifests
        self._inputs = inputs
        self._policy = policy
        self._settings = settings
        self._deliver = deliver
        self._metrics = JobMetrics(policy.registry)
        self._traces = traces or JobTraces()
        self._events = events or EventPoster(kubernetes)

    def look_up(
        self, lookup: Lookup, splitjob: SplitJob, so_far: LookupResults, now: datetime
    ) -> LookupResults:
        """Return the results so far with one more.

        Raises:
            KubernetesError: the API server could not be reached, or refused.
        """
        match lookup:
            case CheckRequest():
                return self._check(splitjob, so_far, now)
            case ReadManifest():
                return replace(so_far, manifest=self._manifest(splitjob))
            case ClaimTombstone():
                return replace(so_far, claim=self._claim(splitjob, lookup))
            case EraseData():
                return self._erase(splitjob, so_far, lookup)
            case DeleteInput():
                return replace(so_far, input=self._delete_input(splitjob, lookup))
            case ReadJobWarning() | ReadPodEvents() | ReadAutoscalerEvents():
                return self._read_events(lookup, so_far)
            case ReadLastProgress():
                return replace(so_far, last_progress=self._last_progress(lookup.pod_name))
            case ReadWorkload():
                found = Workload.of(self._kubernetes.workload(lookup.job_uid))
                return replace(so_far, workload=found)

    def execute(self, raw: Json, splitjob: SplitJob, plan: Plan, now: datetime) -> Execution:
        """Do what a plan says, in its order.

        Args:
            raw: the SplitJob that the plan was made for, as the API server gave it.
            splitjob: the same, parsed.
            plan: what is to be done.
            now: the time, for the events that are posted.

        Raises:
            ConflictError: the SplitJob has changed since it was read; nothing after that was done.
            KubernetesError: the API server could not be reached, or refused.
            BucketError: a foreign manifest could not be replaced.
        """
        for action in plan.before:
            self._do(action, splitjob, raw)
        if plan.status is not None:
            raw = self._write(raw, splitjob, plan.status, now, always=plan.creates_job)
        for action in plan.after:
            if error := self._do(action, splitjob, raw):
                return Execution(raw, error)
        return Execution(raw)

    def _write(
        self,
        raw: Json,
        splitjob: SplitJob,
        status: SplitJobStatus,
        now: datetime,
        *,
        always: bool,
    ) -> Json:
        if status == splitjob.status and raw.get("status") and not always:
            return raw
        wanted = keep_unknown(dump_status(status), raw.get("status") or {})
        raw = self._kubernetes.write_status(raw, wanted)
        log.info("Status: %s", _summary(status))
        self._tell(splitjob, status, now)
        return raw

    def _tell(self, splitjob: SplitJob, status: SplitJobStatus, now: datetime) -> None:
        """Post events, count and trace, after the write: none may ever hold anything up."""
        self._metrics.observe(splitjob, status, now)
        self._traces.observe(splitjob, status)
        for item in events_between(splitjob.status, status):
            self._events.post(event_manifest(splitjob, item, now))

    def _do(self, action: Action, splitjob: SplitJob, raw: Json) -> JobCreationError | None:
        """Carry out one action; return why a Job could not be created, nothing otherwise.

        Args:
            action: what to do.
            splitjob: the SplitJob that the plan was made for.
            raw: the same as it is now.
        """
        match action:
            case OwnSecret(name, if_there):
                with suppress(*([NotFoundError] if if_there else [])):
                    self._own_secret(splitjob, name)
            case ReplaceForeignManifest():
                if self._manifests and splitjob.spec:
                    self._manifests.replace_foreign(splitjob, splitjob.spec.request)
            case CreateJob():
                return self._create_job(splitjob, action)
            case DeleteJob(name, uid, propagation):
                self._kubernetes.delete_job(name, uid, propagation)
            case DeletePod(name, uid, force):
                self._kubernetes.delete_pod(name, uid, force=force)
            case SetWorkloadActive(job_uid, active):
                self._kubernetes.set_workload_active(job_uid, active=active)
            case Deliver():
                self._deliver(splitjob.name)
            case DeleteSplitJob():
                log.info("Its time to live is over")
                self._kubernetes.delete_splitjob(raw)
        return None

    def _own_secret(self, splitjob: SplitJob, name: str) -> None:
        secret = self._kubernetes.secret(name)
        owners = secret["metadata"].get("ownerReferences", [])
        if all(owner.get("uid") != splitjob.uid for owner in owners):
            self._kubernetes.own_secret(secret, owner_reference(splitjob, controller=False))

    def _create_job(self, splitjob: SplitJob, action: CreateJob) -> JobCreationError | None:
        traceparent = self._traces.of_worker(splitjob, action.attempt.number)
        try:
            raw = self._kubernetes.create_job(
                build_job(splitjob, action.attempt, self._settings, traceparent)
            )
        except AlreadyExistsError:
            raw = self._kubernetes.job(action.attempt.job_name)
            job = KubeJob.of(raw)
            if not job.belongs_to(splitjob):
                return JobCreationError(f"Job {job.name} is not ours", occupied_by=job)
        except KubernetesError as error:
            if error.status in REFUSED:
                return JobCreationError(str(error))
            raise
        self._close_network(raw)
        return None

    def _close_network(self, job: Json) -> None:
        """Give a Job a NetworkPolicy of its own, beside the chart's: it outlives the chart's."""
        spec = self._settings.worker_network_policy
        if spec is None:
            return
        try:
            with suppress(AlreadyExistsError):
                self._kubernetes.create_network_policy(network_policy(job, spec))
        except KubernetesError as error:
            log.warning("A Job has no NetworkPolicy but the chart's: %s", error)

    def _check(self, splitjob: SplitJob, so_far: LookupResults, now: datetime) -> LookupResults:
        if splitjob.spec is None:
            return replace(so_far, checked=True)
        request = splitjob.spec.request
        secret = None
        if request.secret_name:
            with suppress(NotFoundError):
                secret = self._kubernetes.secret(request.secret_name)
        problem = check_before_start(splitjob.name, request, secret, self._policy, now)
        return replace(so_far, checked=True, problem=problem)

    def _manifest(self, splitjob: SplitJob) -> ManifestLookup:
        if self._manifests is None or splitjob.spec is None:
            return NO_BUCKET
        return self._manifests.read(splitjob, splitjob.spec.request)

    def _claim(self, splitjob: SplitJob, wanted: ClaimTombstone) -> ManifestLookup:
        if self._manifests is None or splitjob.spec is None:
            return NO_BUCKET
        return self._manifests.claim(splitjob, splitjob.spec.request, wanted)

    def _erase(self, splitjob: SplitJob, so_far: LookupResults, wanted: EraseData) -> LookupResults:
        if self._manifests is None or splitjob.spec is None:
            return replace(so_far, erasure=ErasureLookup(None, NO_BUCKET.message))
        if wanted.input_key and not wanted.keep_input and (kept := self._kept_input(splitjob)):
            wanted, so_far = replace(wanted, keep_input=True), replace(so_far, input=kept)
        found = self._manifests.erase(splitjob, splitjob.spec.request, wanted)
        if found.files is None:
            log.warning("Its data could not be erased: %s", found.message)
            return replace(so_far, erasure=found)
        input_gone = bool(wanted.input_key) and not wanted.keep_input
        return replace(
            so_far, erasure=found, input=InputDeletion(done=True) if input_gone else so_far.input
        )

    def _delete_input(self, splitjob: SplitJob, wanted: DeleteInput) -> InputDeletion:
        if self._inputs is None:
            return InputDeletion(done=False, message=NO_BUCKET.message)
        if kept := self._kept_input(splitjob):
            return kept
        found = self._inputs.delete(wanted.key)
        if not found.done:
            log.warning("The file from POST /uploads could not be deleted: %s", found.message)
        return found

    def _kept_input(self, splitjob: SplitJob) -> InputDeletion | None:
        """Return why the file that a job has read must stay; None: it may be deleted now.

        The cache knows of no other job that needs it, but one may have come since the watch last
        told. What is left is one that comes between this answer and the bucket's: it ends with
        `source_not_found`, as one that comes later does. No look can close that: the bucket knows
        nothing of jobs.
        """
        if splitjob.spec is None:
            return None
        try:
            readers = self._kubernetes.readers(splitjob.spec.request.source.url)
        except KubernetesError as error:
            log.warning("The file from POST /uploads stays for now: %s", error)
            return InputDeletion(done=False, message=str(error))
        needed = any(
            raw["metadata"]["uid"] != splitjob.uid and not lifecycle_of(raw).finished
            for raw in readers
        )
        return InputDeletion(done=False, message=IN_USE) if needed else None

    def _read_events(
        self,
        lookup: ReadJobWarning | ReadPodEvents | ReadAutoscalerEvents,
        so_far: LookupResults,
    ) -> LookupResults:
        match lookup:
            case ReadJobWarning(job_name):
                return replace(so_far, job_warning=self._warning(job_name))
            case ReadPodEvents(pod_name):
                return replace(so_far, pod_events=self._pod_events.about(pod_name))
            case ReadAutoscalerEvents(pod_name):
                said = self._pod_events.of_autoscalers(pod_name)
                return replace(so_far, autoscaler_events=said)

    def _warning(self, job_name: str) -> str:
        events = in_order(self._kubernetes.events("Job", job_name))
        warnings = [event for event in events if event.get("type") == "Warning"]
        return str(warnings[-1].get("message", "")) if warnings else ""

    def _last_progress(self, pod_name: str) -> LastProgress:
        try:
            tail = self._kubernetes.log_tail(pod_name, workload.CONTAINER)
        except KubernetesError as error:
            log.debug("How far the worker was is not known: %s", error)
            return LastProgress(None)
        return LastProgress(ProgressLine.last_in(tail))


def _summary(status: SplitJobStatus) -> str:
    if status.finished_at:
        return f"{status.phase} ({status.failure.code})" if status.failure else str(status.phase)
    return f"{status.phase}, attempt {len(status.attempts)}"
