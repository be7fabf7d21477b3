"""A SplitJob with an attempt under way: create its Job, follow its pod, recognise its end."""

import re
from dataclasses import replace
from datetime import timedelta

from splitjob.conditions import ConditionType, Reason
from splitjob.errors import ErrorCode, reason_of
from splitjob.jsonlog import redact
from splitjob.resource import KIND
from splitjob.status import Attempt, Progress
from splitjob_operator.core import outcome
from splitjob_operator.core.causes import (
    PULLING,
    explained,
    further_lookup,
    last_event,
    why_unschedulable,
)
from splitjob_operator.core.context import ReconcileContext
from splitjob_operator.core.diagnosis import (
    CONFIG_REASONS,
    IMAGE_REASONS,
    Diagnosis,
    diagnose,
    no_capacity,
    reason_due,
    too_long,
)
from splitjob_operator.core.ended_jobs import delete_ended_jobs
from splitjob_operator.core.held_by_kueue import (
    goes_with_eviction,
    note_eviction,
    settle_eviction,
    wait_for_admission,
)
from splitjob_operator.core.kueue import is_kueues
from splitjob_operator.core.lookups import (
    PodEvent,
    ReadAutoscalerEvents,
    ReadJobWarning,
    ReadPodEvents,
)
from splitjob_operator.core.observed import KubeJob, KubePod
from splitjob_operator.core.plan import CreateJob, Plan
from splitjob_operator.core.queue import queue_status
from splitjob_operator.core.waiting import begin_to_wait, suspend

__all__ = ["reconcile_running"]

NAME_TAKEN_RETRY_SECONDS = 2
JOB_REFUSED_RETRY_SECONDS = 10
NO_POD_SECONDS = 3  # after so long without a pod, the Job's events are read
NO_POD_RETRY_SECONDS = 10
SLOW_START_SECONDS = 3  # after so long on its node without running, the pod's events are read
SLOW_START_RETRY_SECONDS = 10
UNSCHEDULABLE_RETRY_SECONDS = 30  # after so long, the autoscaler may have something new to say
# What the API server says where the quota is used up, or counts what the pod does not specify.
_QUOTA = re.compile("(exceeded|failed) quota")


def reconcile_running(ctx: ReconcileContext, attempt: Attempt) -> Plan:
    """Return what an attempt under way needs."""
    delete_ended_jobs(ctx)
    job = ctx.job_of(attempt)
    if job is None and (plan := _begin(ctx, attempt)):
        return plan
    held = job is not None and job.held_by_kueue
    if not held and attempt.evicted_pod:
        settle_eviction(ctx, attempt)
    pods = [pod for pod in ctx.pods_of(attempt) if pod.name != attempt.evicted_pod]
    if held:
        pods = [pod for pod in pods if goes_with_eviction(attempt, pod)]
    pod = pods[0] if pods else None
    _record(ctx, attempt, job, pod)
    if ctx.canceled or attempt.reason:
        return outcome.end_attempt(ctx, attempt)
    if job and held:
        return _held(ctx, attempt, job)
    if job and job.managed_elsewhere and not job.deleting:
        return _run_elsewhere(ctx, attempt, job)
    if pod and _waits_for_node(pod) and ctx.observed.lookups.autoscaler_events is None:
        return ctx.look_up(ReadAutoscalerEvents(pod.name))
    if attempt.started_at and (pod is None or pod.started_at is None):
        begin_to_wait(ctx)  # for another pod, or for what became of this one: not since it ran
    return _follow(ctx, attempt, job, pod)


def _begin(ctx: ReconcileContext, attempt: Attempt) -> Plan | None:
    """Create the Job of an attempt; None where it was there before, or is not wanted any more."""
    goes_on = not attempt.reason and not ctx.canceled
    if goes_on and (other := _occupying_job(ctx, attempt)):
        return _wait_for_name(ctx, attempt, other)
    attempt.job_uid = attempt.job_uid or _uid_of_missed_job(ctx, attempt)
    return _create(ctx, attempt) if goes_on and attempt.job_uid is None else None


def _follow(
    ctx: ReconcileContext, attempt: Attempt, job: KubeJob | None, pod: KubePod | None
) -> Plan:
    """Tell how far an attempt is, or end it where it has failed."""
    diagnosis = diagnose(
        job,
        pod,
        ctx.observed.lost_nodes.get(pod.node) if pod else None,
        ctx.deadlines(attempt),
        ctx.now,
        _why_waiting(ctx, pod),
    )
    if diagnosis is None:
        return _show_progress(ctx, attempt, job, pod)
    known = ctx.observed.lookups
    if lookup := further_lookup(diagnosis, pod, known):
        return ctx.look_up(lookup)
    cause = explained(diagnosis, pod, known, ctx.observed.progress)
    return _fail_attempt(ctx, attempt, cause)


def _waits_for_node(pod: KubePod) -> bool:
    return bool(pod.unschedulable) and not pod.stopped


def _why_waiting(ctx: ReconcileContext, pod: KubePod | None) -> str:
    """Return why an attempt has no running pod so far, as a sentence; blank: not known."""
    if pod is None:
        return _obstacle(ctx)
    if not pod.unschedulable:
        return ""
    return why_unschedulable(pod, ctx.observed.lookups.autoscaler_events or ())


def _held(ctx: ReconcileContext, attempt: Attempt, job: KubeJob) -> Plan:
    """Wait for Kueue, as long as the queue deadline says."""
    note_eviction(ctx, attempt)
    begin_to_wait(ctx)
    deadlines = ctx.deadlines(attempt)
    diagnosis = None if ctx.suspended else no_capacity(_obstacle(ctx), deadlines, ctx.now)
    if diagnosis:
        return _fail_attempt(ctx, attempt, diagnosis)
    if not ctx.suspended:
        ctx.requeue_at(deadlines.queued_since + timedelta(seconds=deadlines.queue))
    return wait_for_admission(ctx, attempt, job)


def _run_elsewhere(ctx: ReconcileContext, attempt: Attempt, job: KubeJob) -> Plan:
    """Follow a Job whose pods are in another cluster, as Kueue's MultiKueue has it: by its status.

    There a pod that its node stopped at its deadline is replaced: the deadline is kept here.
    """
    if job.complete and not ctx.needs_bucket:
        words = "its worker's report stays in the cluster that it ran in: upload URLs need one here"
        lost = Diagnosis(ErrorCode.WORKER_CONFIG, f"The job is done, but {words}.", retryable=False)
        return _fail_attempt(ctx, attempt, lost)
    if attempt.started_at:
        begin_to_wait(ctx)
    deadlines = ctx.deadlines(attempt)
    if job.finished and (diagnosis := diagnose(job, None, None, deadlines, ctx.now)):
        return _fail_attempt(ctx, attempt, diagnosis)
    if job.started_at is None:
        return _starting(ctx, attempt, None)
    deadline = job.started_at + timedelta(seconds=deadlines.start + deadlines.run)
    if deadline <= ctx.now:
        return _fail_attempt(ctx, attempt, too_long(deadlines))
    ctx.requeue_at(deadline)
    attempt.started_at = job.started_at
    ctx.status.started_at = ctx.status.started_at or job.started_at
    admitted = f"Attempt {attempt.number} was admitted."
    ctx.condition(ConditionType.ADMITTED, "True", Reason.ADMITTED, admitted)
    ctx.condition(ConditionType.STARTED, "True", Reason.RUNNING, "It runs in another cluster.")
    ctx.status.queue = None
    return ctx.plan()


def _create(ctx: ReconcileContext, attempt: Attempt) -> Plan:
    """Create the Job, after a crash before that or where it was refused before."""
    if ctx.request is None:
        return outcome.fail(ctx, ErrorCode.REQUEST_INVALID, ctx.observed.splitjob.spec_error)
    if ctx.suspended:
        return suspend(ctx)
    begin_to_wait(ctx)
    deadlines = ctx.deadlines(attempt)
    if diagnosis := no_capacity(_obstacle(ctx), deadlines, ctx.now):
        return _fail_attempt(ctx, attempt, diagnosis)
    error = ctx.observed.job_creation_error
    if error is None:
        return ctx.plan([CreateJob(attempt)])
    ctx.requeue_at(deadlines.queued_since + timedelta(seconds=deadlines.queue))
    ctx.requeue_after(JOB_REFUSED_RETRY_SECONDS)
    quota = _QUOTA.search(error.message)
    return _not_admitted(ctx, Reason.QUOTA_EXCEEDED if quota else Reason.JOB_REFUSED, error.message)


def _obstacle(ctx: ReconcileContext) -> str:
    """Return what the attempt has waited for so far, as a sentence; blank: not known."""
    queue = ctx.status.queue
    return queue.message if queue and queue.reason != Reason.STARTING else ""


def _fail_attempt(ctx: ReconcileContext, attempt: Attempt, diagnosis: Diagnosis) -> Plan:
    attempt.reason = reason_of(diagnosis.code)
    attempt.message = diagnosis.message[:1024]
    attempt.retryable = diagnosis.retryable
    attempt.job_deleted = diagnosis.job_deleted
    if diagnosis.code == ErrorCode.WORKER_LOST:
        attempt.progress = _last_progress(ctx)
    return outcome.end_attempt(ctx, attempt)


def _last_progress(ctx: ReconcileContext) -> Progress | None:
    """Return how far the worker was when it was last heard of; None: it never said."""
    line, before = ctx.observed.progress, ctx.status.progress
    if line is None:
        return before
    return Progress(stage=line.stage[:32], percent=line.percent, updated_at=ctx.now)


def _occupying_job(ctx: ReconcileContext, attempt: Attempt) -> KubeJob | None:
    """Return a Job that has this attempt's name and is not ours."""
    error = ctx.observed.job_creation_error
    found = error.occupied_by if error else None
    others = (*ctx.observed.jobs, *([found] if found else []))
    return next((job for job in others if job.name == attempt.job_name), None)


def _uid_of_missed_job(ctx: ReconcileContext, attempt: Attempt) -> str | None:
    """Return the uid of an attempt's Job that went before it was noted; None: there was none.

    Its pods may still run. Those of a former SplitJob of the name are older than this one.
    """
    jobs, since = {job.uid for job in ctx.observed.jobs}, ctx.observed.splitjob.created_at
    for pod in ctx.observed.pods:
        missed = pod.attempt == attempt.number and pod.job_uid and pod.job_uid not in jobs
        if missed and pod.created_at and pod.created_at >= since:
            return pod.job_uid
    return None


def _wait_for_name(ctx: ReconcileContext, attempt: Attempt, other: KubeJob) -> Plan:
    """Wait for the garbage collector where a former SplitJob left a Job; else fail clearly."""
    if other.owner_kind != KIND:
        return outcome.fail(
            ctx,
            ErrorCode.WORKER_CONFIG,
            f"A Job {other.name} that belongs to something else stands in the way. Delete it, "
            "then ask again.",
        )
    deadlines = ctx.deadlines(attempt)
    if diagnosis := no_capacity(_obstacle(ctx), deadlines, ctx.now):
        return _fail_attempt(ctx, attempt, diagnosis)
    ctx.requeue_at(deadlines.queued_since + timedelta(seconds=deadlines.queue))
    message = f"A Job {other.name} of a former SplitJob is being collected."
    ctx.requeue_after(NAME_TAKEN_RETRY_SECONDS)
    return _not_admitted(ctx, Reason.NAME_TAKEN, message)


def _record(
    ctx: ReconcileContext, attempt: Attempt, job: KubeJob | None, pod: KubePod | None
) -> None:
    """Note Job, pod, node, start and end in the attempt, before they are gone."""
    if job:
        attempt.job_uid = job.uid
    if pod is None:
        return
    attempt.pod_name = pod.name
    attempt.node_name = pod.node or attempt.node_name
    attempt.started_at = pod.started_at or attempt.started_at
    attempt.ended_at = pod.ended_at or attempt.ended_at
    if attempt.started_at and ctx.status.started_at is None:
        ctx.status.started_at = attempt.started_at


def _show_progress(
    ctx: ReconcileContext, attempt: Attempt, job: KubeJob | None, pod: KubePod | None
) -> Plan:
    if pod and (due := reason_due(pod)):
        ctx.requeue_at(due)
        return ctx.plan()
    _requeue_for_deadlines(ctx, attempt, pod)
    if pod and pod.running:
        return _running(ctx, attempt, pod)
    if pod and pod.unschedulable:
        ctx.requeue_after(UNSCHEDULABLE_RETRY_SECONDS)
        return _not_admitted(ctx, Reason.UNSCHEDULABLE, _why_waiting(ctx, pod))
    if pod is None and job and _too_long_without_pod(ctx, job):
        return _explain_missing_pod(ctx, attempt, job)
    return _starting(ctx, attempt, pod)


def _starting(ctx: ReconcileContext, attempt: Attempt, pod: KubePod | None) -> Plan:
    events = ctx.observed.lookups.pod_events
    if pod and events is None and _starts_slowly(ctx, pod):
        return ctx.look_up(ReadPodEvents(pod.name))
    ctx.condition(
        ConditionType.ADMITTED, "True", Reason.ADMITTED, f"Attempt {attempt.number} may start."
    )
    reason, message = _why_not_running(attempt, pod, last_event(events or ()))
    ctx.condition(ConditionType.STARTED, "False", reason, message)
    # It has left the queue: its place there, as it was last counted, may be from before.
    decision = replace(ctx.observed.queue_decision, position=None)
    ctx.status.queue = queue_status(ctx.status.queue, decision, reason, message)
    return ctx.plan()


def _starts_slowly(ctx: ReconcileContext, pod: KubePod) -> bool:
    """Whether a pod has been on its node for a while, which has not said what is wrong."""
    if pod.scheduled_at is None or pod.waiting_reason in IMAGE_REASONS | CONFIG_REASONS:
        return False
    slow_at = pod.scheduled_at + timedelta(seconds=SLOW_START_SECONDS)
    if slow_at > ctx.now:
        ctx.requeue_at(slow_at)
        return False
    ctx.requeue_after(SLOW_START_RETRY_SECONDS)
    return True


def _why_not_running(attempt: Attempt, pod: KubePod | None, event: PodEvent) -> tuple[Reason, str]:
    """Return why a pod that the cluster has room for does not run yet, for programs and people."""
    if pod and pod.waiting_reason in IMAGE_REASONS:
        return Reason.PULLING_IMAGE, redact(pod.waiting_message or pod.waiting_reason)
    if event.reason == PULLING:
        return Reason.PULLING_IMAGE, redact(event.message)
    where = f" on {pod.node}" if pod and pod.node else ""
    words = event.message if event.warning else pod.waiting_reason if pod else ""
    detail = f" ({redact(words)})" if words else ""
    return Reason.STARTING, f"Job {attempt.job_name} is starting{where}{detail}."


def _running(ctx: ReconcileContext, attempt: Attempt, pod: KubePod) -> Plan:
    ctx.condition(
        ConditionType.ADMITTED, "True", Reason.ADMITTED, f"Attempt {attempt.number} was admitted."
    )
    ctx.condition(
        ConditionType.STARTED, "True", Reason.RUNNING, f"Pod {pod.name} runs on {pod.node}."
    )
    ctx.status.queue = None
    line, before = ctx.observed.progress, ctx.status.progress
    if line and (before is None or (line.stage, line.percent) != (before.stage, before.percent)):
        percent = max(line.percent, before.percent if before else 0)
        ctx.status.progress = Progress(stage=line.stage[:32], percent=percent, updated_at=ctx.now)
    return ctx.plan()


def _too_long_without_pod(ctx: ReconcileContext, job: KubeJob) -> bool:
    since = job.started_at or job.created_at or ctx.now
    if since + timedelta(seconds=NO_POD_SECONDS) > ctx.now:
        ctx.requeue_at(since + timedelta(seconds=NO_POD_SECONDS))
        return False
    return True


def _explain_missing_pod(ctx: ReconcileContext, attempt: Attempt, job: KubeJob) -> Plan:
    warning = ctx.observed.lookups.job_warning
    if warning is None:
        return ctx.look_up(ReadJobWarning(job.name))
    ctx.requeue_after(NO_POD_RETRY_SECONDS)
    if not warning:
        held_before = ctx.status.queue is not None and is_kueues(ctx.status.queue.reason)
        return _starting(ctx, attempt, None) if held_before else ctx.plan()
    quota = _QUOTA.search(warning)
    return _not_admitted(ctx, Reason.QUOTA_EXCEEDED if quota else Reason.POD_REFUSED, warning)


def _not_admitted(ctx: ReconcileContext, reason: Reason, message: str) -> Plan:
    ctx.condition(ConditionType.ADMITTED, "False", reason, message)
    ctx.status.queue = queue_status(ctx.status.queue, ctx.observed.queue_decision, reason, message)
    return ctx.plan()


def _requeue_for_deadlines(ctx: ReconcileContext, attempt: Attempt, pod: KubePod | None) -> None:
    deadlines = ctx.deadlines(attempt)
    if pod is None or (pod.scheduled_at is None and pod.started_at is None):
        ctx.requeue_at(deadlines.queued_since + timedelta(seconds=deadlines.queue))
    elif pod.started_at:
        ctx.requeue_at(pod.started_at + timedelta(seconds=deadlines.run))
    else:
        since = pod.scheduled_at or ctx.now
        ctx.requeue_at(since + timedelta(seconds=deadlines.start))
        if pod.waiting_reason in IMAGE_REASONS | CONFIG_REASONS:
            ctx.requeue_at(since + timedelta(seconds=deadlines.waiting_grace))
