"""How an attempt ends, and how a job does: completed, tried again, failed or canceled.

No verdict is given before the pods are gone and the bucket was looked at: a manifest there means
completed, whatever else happened. A verdict other than completed first claims the manifest's place
with a tombstone, so that a worker cut off from the cluster cannot complete the job afterwards.
"""

from datetime import timedelta
from typing import Literal

from pydantic import ValidationError

from splitjob.conditions import ConditionType, Reason
from splitjob.errors import ErrorCode, code_of, reason_of, retry_rule
from splitjob.resource import Attempt, FailureStatus, Progress, Queue, Result
from splitjob.result import storage_prefix
from splitjob_io.webhook_sender import DeliveryOutcome
from splitjob_operator.core import outbox
from splitjob_operator.core.context import Round
from splitjob_operator.core.ended_jobs import clear_ended_jobs
from splitjob_operator.core.finished import DELIVERY_RETRY_SECONDS, notified
from splitjob_operator.core.lookups import (
    ClaimTombstone,
    LookAtManifest,
    ManifestAnswer,
    ManifestState,
)
from splitjob_operator.core.plan import DeleteJob, DeletePod, Deliver, Plan

__all__ = ["as_the_bucket_says", "cancel", "complete", "end", "fail"]

STORAGE_RETRY_SECONDS = 10
CANCELED_MESSAGE = "The job was canceled."
Claimed = Literal["failed", "canceled"]


def end(r: Round, attempt: Attempt) -> Plan:
    """See an attempt out whose reason is known, or whose job is canceled; then settle it."""
    if plan := _completed_by_report(r, attempt):
        return plan
    if not _pods_gone(r, attempt):
        return r.plan()
    if r.canceled:
        return cancel(r)
    code = code_of(attempt.reason)
    if not _may_retry(r, attempt, code):
        return fail(r, code, attempt.message)
    if not r.stores:
        return _retry(r, attempt)
    answer = r.seen.answers.manifest
    if answer is None:
        return r.asking(LookAtManifest())
    if answer.state == ManifestState.COMPLETED:
        return as_the_bucket_says(r, answer)
    return _wait_for_storage(r, answer) or _retry(r, attempt)


def cancel(r: Round) -> Plan:
    """Cancel a job whose pods are gone, unless it turns out completed."""
    return _claim(r, "canceled", ErrorCode.CANCELED, CANCELED_MESSAGE)


def fail(r: Round, code: ErrorCode, message: str) -> Plan:
    """Fail a job whose pods are gone, unless it turns out completed."""
    return _claim(r, "failed", code, message)


def as_the_bucket_says(r: Round, answer: ManifestAnswer) -> Plan:
    """Give the verdict that stands in the bucket already: a manifest, or our own tombstone."""
    manifest = answer.manifest
    if manifest is None:
        raise ValueError("there is no verdict in the bucket")
    if manifest.result is not None:
        return complete(r, manifest.result)
    code = ErrorCode(manifest.error_code or ErrorCode.INTERNAL_ERROR)
    status: Claimed = "canceled" if manifest.status == "canceled" else "failed"
    message = CANCELED_MESSAGE if status == "canceled" else f"The job failed: {reason_of(code)}."
    return _conclude(r, status, code, message)


def complete(r: Round, result: Result, by_worker: DeliveryOutcome | None = None) -> Plan:
    """Give the verdict `completed`.

    Args:
        r: the round.
        result: what the worker made.
        by_worker: what came of the worker's own delivery; None: nothing is known of one.
    """
    r.status.result = result
    r.status.progress = Progress(stage="notify", percent=100, updated_at=r.now)
    count = len(result.stems)
    message = f"{count} stem{'' if count == 1 else 's'} of {result.model}."
    r.condition(ConditionType.SUCCEEDED, "True", Reason.COMPLETED, message)
    return _finish(r, "completed", Reason.COMPLETED, message, by_worker)


def _claim(r: Round, status: Claimed, code: ErrorCode, message: str) -> Plan:
    """Conclude once the bucket has been claimed; where no worker ever ran there is no need to."""
    if not r.stores or not r.status.attempts:
        return _conclude(r, status, code, message)
    answer = r.seen.answers.claim
    if answer is None:
        return r.asking(ClaimTombstone(status, code))
    if answer.state == ManifestState.COMPLETED:
        return as_the_bucket_says(r, answer)
    return _wait_for_storage(r, answer) or _conclude(r, status, code, message)


def _conclude(r: Round, status: Claimed, code: ErrorCode, message: str) -> Plan:
    r.status.failure = FailureStatus(code=code, message=message[:1024])
    r.condition(ConditionType.SUCCEEDED, "False", reason_of(code), message)
    return _finish(r, status, reason_of(code), message)


def _finish(
    r: Round,
    event: Literal["completed", "failed", "canceled"],
    reason: str,
    message: str,
    by_worker: DeliveryOutcome | None = None,
) -> Plan:
    """Write down the end of the job together with its outbox, then clean up."""
    attempt = r.attempt
    if attempt:
        attempt.reason, attempt.message = str(reason), message[:1024]
        attempt.finished_at = r.now
    r.status.finished_at = r.now
    r.status.queue = None
    _started(r, Reason.ENDED, "No worker runs any more.")
    hook = outbox.open_outbox(r.seen.splitjob.uid, r.request, event, r.now, by_worker)
    r.status.webhook = hook
    r.condition(*notified(hook))
    if outbox.due(hook, r.now):
        r.after.append(Deliver())
        r.wake_in(DELIVERY_RETRY_SECONDS)
    elif hook.next_attempt_at:
        r.wake_at(hook.next_attempt_at)
    clear_ended_jobs(r)
    return r.plan()


def _started(r: Round, reason: Reason, message: str) -> None:
    """Say more about the worker, without changing whether one has started."""
    r.condition(ConditionType.STARTED, "True" if r.status.started_at else "False", reason, message)


def _completed_by_report(r: Round, attempt: Attempt) -> Plan | None:
    """Complete the job where the worker of this attempt said that it is."""
    if r.request is None:
        return None
    for pod in r.pods_of(attempt):
        report = pod.end.report if pod.end and pod.end.exit_code == 0 else None
        if report is None or report.outcome != "completed":
            continue
        prefix = storage_prefix(
            r.settings.storage_prefix, r.request.version_id, r.seen.splitjob.name
        )
        bucket = "" if r.request.uploads else r.settings.s3_bucket
        try:
            result = report.result(r.request, bucket, prefix)
        except ValidationError:
            return None  # not what our worker writes: let the manifest decide
        return complete(r, result, outbox.worker_outcome(report))
    return None


def _pods_gone(r: Round, attempt: Attempt) -> bool:
    """Whether nothing of the attempt can do anything any more; if not, make it so."""
    job = r.job_of(attempt)
    pods = r.pods_of(attempt)
    alive = [pod for pod in pods if not pod.over]
    idle = not alive and (job is None or job.deleting or job.finished or bool(pods))
    if idle:
        return True
    if job and not job.deleting:
        r.after.append(DeleteJob(job.name, job.uid, "Foreground"))
    patience = timedelta(seconds=r.settings.node_lost_seconds)
    for pod in alive:
        lost_since = r.seen.lost_nodes.get(pod.node)
        lost = lost_since is not None and lost_since + patience <= r.now
        stuck = pod.deleting_since is not None and pod.deleting_since + patience <= r.now
        if lost or stuck:
            r.after.append(DeletePod(pod.name, pod.uid, force=True))
        elif job is None and pod.deleting_since is None:
            r.after.append(DeletePod(pod.name, pod.uid, force=False))
        elif pod.deleting_since:
            r.wake_at(pod.deleting_since + patience)
    _started(r, Reason.STOPPING, "The worker is being stopped.")
    return False


def _wait_for_storage(r: Round, answer: ManifestAnswer) -> Plan | None:
    """Keep the verdict open while the storage is away, for as long as the settings say."""
    if answer.state != ManifestState.UNREACHABLE:
        return None
    attempt = r.status.attempts[-1]
    attempt.stopped_at = attempt.stopped_at or r.now
    if attempt.stopped_at + timedelta(seconds=r.settings.storage_patience_seconds) <= r.now:
        return None
    r.wake_in(STORAGE_RETRY_SECONDS)
    return r.plan()


def _may_retry(r: Round, attempt: Attempt, code: ErrorCode) -> bool:
    """Whether this failure may be followed by another attempt: each code has its own bound."""
    same = sum(1 for past in r.status.attempts if past.reason == attempt.reason)
    return attempt.retryable and same <= retry_rule(code).attempts


def _retry(r: Round, attempt: Attempt) -> Plan:
    attempt.finished_at = r.now
    attempt.stopped_at = None  # the storage may go away anew while the job waits
    message = f"Attempt {attempt.number} ended: {attempt.message}"
    r.status.progress = None
    r.status.queue = Queue(reason=Reason.RETRYING, message=message[:1024], since=r.now)
    r.condition(ConditionType.ADMITTED, "False", Reason.RETRYING, message)
    r.condition(ConditionType.STARTED, "False", Reason.NOT_STARTED, message)
    clear_ended_jobs(r)
    r.wake_in(0)
    return r.plan()
