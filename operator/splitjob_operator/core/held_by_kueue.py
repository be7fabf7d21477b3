"""An attempt whose Job Kueue holds back: before it is admitted, and after it was evicted.

The attempt stays the same: Kueue admits its Job again, whose next pod begins anew. How long it ran
before is kept, and no deadline of a run counts meanwhile.
"""

from dataclasses import replace

from splitjob.conditions import ConditionType, Reason, find
from splitjob.status import Attempt
from splitjob_operator.core import outcome
from splitjob_operator.core.context import ReconcileContext
from splitjob_operator.core.kueue import Workload
from splitjob_operator.core.lookups import ManifestState, ReadManifest, ReadWorkload
from splitjob_operator.core.observed import KubeJob, KubePod
from splitjob_operator.core.plan import Plan, SetWorkloadActive
from splitjob_operator.core.queue import queue_status
from splitjob_operator.core.stuck_pods import delete_stuck_pods
from splitjob_operator.core.waiting import suspend

__all__ = [
    "goes_with_eviction",
    "note_eviction",
    "settle_eviction",
    "wait_for_admission",
]

NO_WORKLOAD_RETRY_SECONDS = 5


def goes_with_eviction(attempt: Attempt, pod: KubePod) -> bool:
    """Return whether a pod of a Job that Kueue holds back goes with an eviction.

    Job and pods are not read at once: a pod that runs and is not known may be of a Job that Kueue
    has admitted again, and stays.
    """
    return pod.name == attempt.pod_name or pod.stopped or pod.deleting_since is not None


def note_eviction(ctx: ReconcileContext, attempt: Attempt) -> None:
    """Note which pod goes with an eviction: that it goes says nothing of the song."""
    going = [pod.name for pod in ctx.pods_of(attempt) if goes_with_eviction(attempt, pod)]
    others = [name for name in going if name != attempt.evicted_pod]
    if others:
        attempt.evicted_pod = others[0]
    elif attempt.started_at:  # it is gone already
        attempt.evicted_pod = attempt.pod_name
    _delete_stuck(ctx, attempt)


def settle_eviction(ctx: ReconcileContext, attempt: Attempt) -> None:
    """Put on record for how long an evicted worker held its resources, once it has ended."""
    _delete_stuck(ctx, attempt)
    pod = _evicted(ctx, attempt)
    if not _evicted_run_ended(ctx, attempt, pod) or attempt.started_at is None:
        return
    end = (pod.ended_at if pod else None) or attempt.ended_at or ctx.now
    ran = max(0, round((end - attempt.started_at).total_seconds()))
    attempt.evicted_seconds = (attempt.evicted_seconds or 0) + ran
    attempt.started_at = attempt.ended_at = None


def wait_for_admission(ctx: ReconcileContext, attempt: Attempt, job: KubeJob) -> Plan:
    """Return the plan of an attempt whose Job is held back, with Kueue's reason."""
    if plan := _completed_before_eviction(ctx, attempt):
        return plan
    workload = ctx.observed.lookups.workload
    if workload is None:
        return ctx.look_up(ReadWorkload(job.uid))
    settle_eviction(ctx, attempt)
    ctx.status.progress = None
    ctx.condition(
        ConditionType.STARTED, "False", Reason.NOT_STARTED, "No worker runs: Kueue holds its Job."
    )
    if ctx.suspended:
        return _suspend_workload(ctx, job, workload)
    if _was_suspended(ctx) and not workload.active:
        ctx.before.append(SetWorkloadActive(job.uid, active=True))
    if not workload.there:
        ctx.requeue_after(NO_WORKLOAD_RETRY_SECONDS)
    message = _sentence(job, workload)
    decision = replace(ctx.observed.queue_decision, position=None, eta_seconds=None)
    ctx.condition(ConditionType.ADMITTED, "False", workload.reason, message)
    ctx.status.queue = queue_status(ctx.status.queue, decision, workload.reason, message)
    return ctx.plan()


def _suspend_workload(ctx: ReconcileContext, job: KubeJob, workload: Workload) -> Plan:
    """Have Kueue hold the Job until `spec.suspend` is taken back."""
    if workload.there and workload.active:
        ctx.after.append(SetWorkloadActive(job.uid, active=False))
    if not workload.there:
        ctx.requeue_after(NO_WORKLOAD_RETRY_SECONDS)
    return suspend(ctx)


def _was_suspended(ctx: ReconcileContext) -> bool:
    """Whether it was us who made the Workload inactive: what somebody else did stays."""
    admitted = find(ctx.observed.splitjob.status.conditions, ConditionType.ADMITTED)
    return admitted is not None and admitted.reason == Reason.SUSPENDED


def _completed_before_eviction(ctx: ReconcileContext, attempt: Attempt) -> Plan | None:
    """Return the plan of a job whose worker was done when Kueue evicted it, by its manifest."""
    ended = _evicted_run_ended(ctx, attempt, _evicted(ctx, attempt))
    if not (ended and attempt.started_at and ctx.needs_bucket):
        return None
    stored = ctx.observed.lookups.manifest
    if stored is None:
        return ctx.look_up(ReadManifest())
    if stored.state is ManifestState.COMPLETED:
        return outcome.adopt_stored_outcome(ctx, stored)
    return None


def _delete_stuck(ctx: ReconcileContext, attempt: Attempt) -> None:
    """Delete an evicted pod by force where its node is away: until it is gone no other is made."""
    evicted = _evicted(ctx, attempt)
    delete_stuck_pods(ctx, [evicted] if evicted else [])


def _evicted(ctx: ReconcileContext, attempt: Attempt) -> KubePod | None:
    return next((pod for pod in ctx.pods_of(attempt) if pod.name == attempt.evicted_pod), None)


def _evicted_run_ended(ctx: ReconcileContext, attempt: Attempt, pod: KubePod | None) -> bool:
    evicted = attempt.evicted_pod == attempt.pod_name  # of one elsewhere neither is known
    return evicted and (pod is None or pod.stopped)


def _sentence(job: KubeJob, workload: Workload) -> str:
    if not workload.there:
        return (
            f"Kueue has no Workload of Job {job.name} yet. Is Kueue there, does it manage "
            f"batch/job in this namespace, and is there a LocalQueue {job.queue_name}?"
        )
    said = workload.message or "Kueue has not said why."
    stopped = "" if workload.active else " Its Workload was made inactive (spec.active)."
    return f"Waiting in Kueue's queue {job.queue_name}: {said}{stopped}"
