"""How an attempt ends, and how a job does: completed, tried again, failed or canceled.

A worker's report that all is uploaded completes a job at once. Otherwise the pods must be gone, and
the bucket is read first: a manifest there means completed, whatever else happened. Before a job
fails or is canceled, a tombstone is written under the manifest's key, so that a worker cut off from
the cluster cannot complete it afterwards, and a restore without its status finds how it ended. A
job without a bucket has neither, and a bucket that stays away or refuses does not keep a job from
ending for ever.
"""

from datetime import timedelta
from typing import Literal

from pydantic import ValidationError

from splitjob.conditions import ConditionType, Reason
from splitjob.errors import ErrorCode, code_of, reason_of
from splitjob.result import Manifest, storage_prefix
from splitjob.status import Attempt, FailureStatus, Progress, Queue, Result, Usage
from splitjob.usage import earlier_seconds, usage_of_attempts, usage_when_completed
from splitjob.webhook import DeliveryOutcome
from splitjob_operator.core import outbox
from splitjob_operator.core.attempt_retry import final_message, may_retry, retry_at, retry_message
from splitjob_operator.core.context import ReconcileContext
from splitjob_operator.core.ended_jobs import delete_ended_jobs
from splitjob_operator.core.lookups import (
    ClaimTombstone,
    ManifestLookup,
    ManifestState,
    ReadManifest,
)
from splitjob_operator.core.notify import deliver_when_due, set_outbox
from splitjob_operator.core.plan import DeleteJob, DeletePod, OwnSecret, Plan
from splitjob_operator.core.stuck_pods import delete_stuck_pods

__all__ = ["adopt_stored_outcome", "cancel", "end_attempt", "fail"]

STORAGE_RETRY_SECONDS = 10
CANCELED_MESSAGE = "The job was canceled."
ERASED_MESSAGE = "The job was completed once, and its data were erased."
Claimed = Literal["failed", "canceled"]


def end_attempt(ctx: ReconcileContext, attempt: Attempt) -> Plan:
    """Stop an attempt that has failed, or whose job is canceled; then decide what follows."""
    if plan := _completed_by_report(ctx, attempt):
        return plan
    if not _pods_gone(ctx, attempt):
        return ctx.plan()
    if attempt.started_at:
        attempt.ended_at = attempt.ended_at or ctx.now  # where its node could not say when
    if ctx.canceled:
        return cancel(ctx)
    code = code_of(attempt.reason)
    if not may_retry(ctx.status.attempts):
        return fail(ctx, code, final_message(ctx.status.attempts))
    if not ctx.needs_bucket:
        return _retry(ctx, attempt)
    stored = ctx.observed.lookups.manifest
    if stored is None:
        return ctx.look_up(ReadManifest())
    if stored.state == ManifestState.COMPLETED:
        return adopt_stored_outcome(ctx, stored)
    return _wait_for_storage(ctx, stored) or _retry(ctx, attempt)


def cancel(ctx: ReconcileContext) -> Plan:
    """Cancel a job whose pods are gone, unless it turns out completed."""
    return _claim(ctx, "canceled", ErrorCode.CANCELED, CANCELED_MESSAGE)


def fail(ctx: ReconcileContext, code: ErrorCode, message: str) -> Plan:
    """Fail a job whose pods are gone, unless it turns out completed."""
    return _claim(ctx, "failed", code, message)


def adopt_stored_outcome(ctx: ReconcileContext, stored: ManifestLookup) -> Plan:
    """End the job as the bucket says already: by a manifest, or by our own tombstone."""
    manifest = stored.manifest
    if manifest is None:
        raise ValueError("there is no outcome in the bucket")
    ctx.status.usage = _stored_usage(ctx, manifest)
    if manifest.result is not None:
        return _complete(ctx, manifest.result)
    if manifest.status == "erased":
        return _end_without_stems(ctx, "canceled", ErrorCode.CANCELED, ERASED_MESSAGE)
    code = ErrorCode(manifest.error_code or ErrorCode.INTERNAL_ERROR)
    status: Claimed = "canceled" if manifest.status == "canceled" else "failed"
    of_older = CANCELED_MESSAGE if status == "canceled" else f"The job failed: {reason_of(code)}."
    message = manifest.message or of_older
    return _end_without_stems(ctx, status, code, message)


def _stored_usage(ctx: ReconcileContext, manifest: Manifest) -> Usage:
    """Return what the job took by what the bucket says, as far as that goes."""
    seconds = manifest.gpu_seconds or usage_of_attempts(ctx.status.attempts).gpu_seconds
    return Usage(attempts=manifest.attempt, gpu_seconds=seconds)


def _complete(
    ctx: ReconcileContext, result: Result, by_worker: DeliveryOutcome | None = None
) -> Plan:
    """End the job as completed.

    Args:
        ctx: the context.
        result: what the worker made.
        by_worker: what came of the worker's own delivery; None: nothing is known of one.
    """
    ctx.status.result = result
    ctx.status.progress = Progress(stage="notify", percent=100, updated_at=ctx.now)
    count = len(result.stems)
    message = f"{count} stem{'' if count == 1 else 's'} of {result.model}."
    ctx.condition(ConditionType.SUCCEEDED, "True", Reason.COMPLETED, message)
    return _finish(ctx, "completed", Reason.COMPLETED, message, by_worker)


def _claim(ctx: ReconcileContext, status: Claimed, code: ErrorCode, message: str) -> Plan:
    """End the job once its tombstone is written.

    A job that never had a worker does not wait for a bucket that is away: no worker of it can come
    late. Only a restore without its status would miss the tombstone, which is written later.
    """
    if not ctx.needs_bucket:
        return _end_without_stems(ctx, status, code, message)
    claim = ctx.observed.lookups.claim
    if claim is None:
        usage = usage_of_attempts(ctx.status.attempts)
        return ctx.look_up(ClaimTombstone(status, code, message[:1024], usage))
    if claim.manifest and claim.state in {ManifestState.COMPLETED, ManifestState.OUR_TOMBSTONE}:
        return adopt_stored_outcome(ctx, claim)  # ours, or that of whoever came first
    if ctx.status.attempts and (waiting := _wait_for_storage(ctx, claim)):
        return waiting
    if claim.state == ManifestState.UNREACHABLE:
        ctx.status.tombstone_due = True
    return _end_without_stems(ctx, status, code, message)


def _end_without_stems(
    ctx: ReconcileContext, status: Claimed, code: ErrorCode, message: str
) -> Plan:
    ctx.status.failure = FailureStatus(code=code, message=message[:1024])
    ctx.condition(ConditionType.SUCCEEDED, "False", reason_of(code), message)
    return _finish(ctx, status, reason_of(code), message)


def _finish(
    ctx: ReconcileContext,
    event: Literal["completed", "failed", "canceled"],
    reason: str,
    message: str,
    by_worker: DeliveryOutcome | None = None,
) -> Plan:
    """Set the end of the job and its outbox in one status, then clean up."""
    attempt = ctx.attempt
    if attempt:
        attempt.reason, attempt.message = str(reason), message[:1024]
        attempt.retryable = attempt.retryable and event == "failed"
        attempt.finished_at = ctx.now
    ctx.status.finished_at = ctx.now
    if attempt is None and ctx.request and ctx.request.secret_name:
        # It may have ended before it was ever checked, as one that is canceled at once.
        ctx.before.append(OwnSecret(ctx.request.secret_name, if_there=True))
    ctx.status.usage = _settled_usage(ctx)
    ctx.status.queue = None
    _explain_started(ctx, Reason.ENDED, "No worker runs any more.")
    hook = outbox.open_outbox(ctx.identity, ctx.request, event, ctx.now, by_worker)
    set_outbox(ctx, hook)
    deliver_when_due(ctx)
    delete_ended_jobs(ctx)
    return ctx.plan()


def _settled_usage(ctx: ReconcileContext) -> Usage:
    """Return what the job took: as its worker or the bucket says, or as its attempts do.

    Who knows of more attempts is right. A status that was lost knows of none, and a manifest of
    none that came after it. Of as many, what the worker says stands: so does its own event.
    """
    told, seen = ctx.status.usage, usage_of_attempts(ctx.status.attempts)
    return told if told and told.attempts >= seen.attempts else seen


def _explain_started(ctx: ReconcileContext, reason: Reason, message: str) -> None:
    """Change reason and message of the condition Started, not whether it is true."""
    ctx.condition(
        ConditionType.STARTED, "True" if ctx.status.started_at else "False", reason, message
    )


def _completed_by_report(ctx: ReconcileContext, attempt: Attempt) -> Plan | None:
    """Complete the job where the worker of this attempt said that it is."""
    if ctx.request is None:
        return None
    for pod in ctx.pods_of(attempt):
        report = pod.terminated.report if pod.terminated and pod.terminated.exit_code == 0 else None
        if report is None or report.outcome != "completed":
            continue
        prefix = storage_prefix(
            ctx.settings.storage_prefix, ctx.request.version_id, ctx.observed.splitjob.name
        )
        bucket = "" if ctx.request.uploads else ctx.settings.s3_bucket
        try:
            result = report.result(ctx.request, bucket, prefix)
        except ValidationError:
            return None  # not what our worker writes: let the manifest decide
        ctx.status.usage = usage_when_completed(
            attempt.number,
            earlier_seconds(ctx.status.attempts, attempt.number),
            report.processing_time_ms,
        )
        return _complete(ctx, result, outbox.worker_outcome(report))
    return None


def _pods_gone(ctx: ReconcileContext, attempt: Attempt) -> bool:
    """Whether no pod of the attempt runs or will; where one does, have it stopped.

    One that has stopped goes with its Job, unless that was deleted without it.
    """
    job = ctx.job_of(attempt)
    pods = ctx.pods_of(attempt)
    if job is None:
        left = [pod for pod in pods if pod.stopped and pod.deleting_since is None]
        ctx.after += [DeletePod(pod.name, pod.uid, force=False) for pod in left]
    alive = [pod for pod in pods if not pod.stopped]
    idle = not alive and (job is None or job.deleting or job.finished or bool(pods))
    if idle:
        return True
    if job and not job.deleting:
        ctx.after.append(DeleteJob(job.name, job.uid, "Foreground"))
    for pod in delete_stuck_pods(ctx, alive):
        if job is None and pod.deleting_since is None:
            ctx.after.append(DeletePod(pod.name, pod.uid, force=False))
    _explain_started(ctx, Reason.STOPPING, "The worker is being stopped.")
    return False


def _wait_for_storage(ctx: ReconcileContext, found: ManifestLookup) -> Plan | None:
    """Leave the outcome open while the storage is away, for as long as the settings say."""
    if found.state != ManifestState.UNREACHABLE:
        return None
    attempt = ctx.status.attempts[-1]
    attempt.stopped_at = attempt.stopped_at or ctx.now
    if attempt.stopped_at + timedelta(seconds=ctx.settings.storage_patience_seconds) <= ctx.now:
        return None
    ctx.requeue_after(STORAGE_RETRY_SECONDS)
    return ctx.plan()


def _retry(ctx: ReconcileContext, attempt: Attempt) -> Plan:
    """End the attempt and let the job wait for its next one."""
    attempt.finished_at = ctx.now
    attempt.stopped_at = None  # the storage may go away anew while the job waits
    message = retry_message(ctx.status.attempts, ctx.settings)
    ctx.status.progress = None
    ctx.status.queue = Queue(
        reason=Reason.RETRYING,
        message=message,
        since=ctx.now,
        retry_at=retry_at(ctx.status.attempts, ctx.settings),
    )
    ctx.condition(ConditionType.ADMITTED, "False", Reason.RETRYING, message)
    ctx.condition(ConditionType.STARTED, "False", Reason.NOT_STARTED, message)
    delete_ended_jobs(ctx)
    ctx.requeue_after(0)
    return ctx.plan()
