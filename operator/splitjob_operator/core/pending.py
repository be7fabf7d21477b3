"""A SplitJob without an attempt under way: it is checked, waits for its turn, and is started."""

from datetime import datetime, timedelta

from splitjob.conditions import ConditionType, Reason
from splitjob.errors import ErrorCode, reason_of
from splitjob.quantity import bytes_of
from splitjob.resource import Attempt, Queue
from splitjob_operator.core import outcome
from splitjob_operator.core.context import ReconcileContext
from splitjob_operator.core.ended_jobs import delete_ended_jobs
from splitjob_operator.core.lookups import CheckRequest, ManifestState, Problem, ReadManifest
from splitjob_operator.core.observed import QueueDecision
from splitjob_operator.core.plan import CreateJob, DeleteForeignManifest, OwnSecret, Plan
from splitjob_operator.core.queue import BlockedReason, queue_status

__all__ = ["reconcile_pending"]

STORAGE_RETRY_SECONDS = 5
SECRET_RETRY_SECONDS = 2
AT_ONCE = {reason_of(ErrorCode.WORKER_DISRUPTED), reason_of(ErrorCode.WORKER_LOST)}


def reconcile_pending(ctx: ReconcileContext) -> Plan:
    """Return what a SplitJob without an attempt under way needs."""
    if ctx.canceled:
        return (ctx.first_sight and _verdict_in_bucket(ctx)) or outcome.cancel(ctx)
    if ctx.request is None:
        return outcome.fail(ctx, ErrorCode.REQUEST_INVALID, ctx.observed.splitjob.spec_error)
    if not ctx.suspended and (ctx.status.queue is None or ctx.status.queue.since is None):
        ctx.status.queue = Queue(
            since=ctx.observed.splitjob.created_at if ctx.first_sight else ctx.now
        )
    unchecked = ctx.first_sight or _waits_for_secret(ctx)
    if unchecked and (plan := _look(ctx)):
        return plan
    delete_ended_jobs(ctx)  # whose deletion may have been missed
    if hold := _held(ctx):
        return hold
    looked = None if unchecked else _look(ctx)
    return looked or _start(ctx)


def _look(ctx: ReconcileContext) -> Plan | None:
    """Look at the bucket, then check the request; a plan where that decides, or must be asked.

    In this order: a job that is completed stays so, also when its URLs have expired since.
    """
    return _verdict_in_bucket(ctx) or _check(ctx)


def _verdict_in_bucket(ctx: ReconcileContext) -> Plan | None:
    if not ctx.needs_bucket:
        return None
    answer = ctx.observed.lookups.manifest
    if answer is None:
        return ctx.look_up(ReadManifest())
    if answer.state in {ManifestState.COMPLETED, ManifestState.OUR_TOMBSTONE}:
        return outcome.adopt_stored_outcome(ctx, answer)
    return None


def _check(ctx: ReconcileContext) -> Plan | None:
    answers = ctx.observed.lookups
    if not answers.checked:
        return ctx.look_up(CheckRequest())
    if answers.problem and (hold := _wait_for_secret(ctx, answers.problem)):
        return hold
    if answers.problem:
        return outcome.fail(ctx, answers.problem.code, answers.problem.message)
    if ctx.request and ctx.request.secret_name:
        ctx.before.append(OwnSecret(ctx.request.secret_name))
    return None


def _waits_for_secret(ctx: ReconcileContext) -> bool:
    return ctx.status.queue is not None and ctx.status.queue.reason == Reason.SECRET_MISSING


def _wait_for_secret(ctx: ReconcileContext, problem: Problem) -> Plan | None:
    """Give a Secret that was written after its SplitJob, as by `kubectl apply`, time to come."""
    grace = timedelta(seconds=ctx.settings.waiting_grace_seconds)
    until = min(ctx.observed.splitjob.created_at + grace, _queue_deadline(ctx))
    if not problem.missing or until <= ctx.now:
        return None
    ctx.requeue_at(until)
    ctx.requeue_after(SECRET_RETRY_SECONDS)
    ctx.blocked = BlockedReason.JOB
    message = f"{problem.message} It is waited for until {until:%Y-%m-%dT%H:%M:%SZ}."
    return _hold(ctx, Reason.SECRET_MISSING, message)


def _held(ctx: ReconcileContext) -> Plan | None:
    """Return the plan of a job that must not start now."""
    if ctx.suspended:
        ctx.status.queue = Queue()  # the time held back does not count as waiting
        return _hold(ctx, Reason.SUSPENDED, "spec.suspend is true.")
    deadline = _queue_deadline(ctx)
    if deadline <= ctx.now:
        return _out_of_time(ctx)
    ctx.requeue_at(deadline)
    if ctx.settings.paused:
        return _hold(ctx, Reason.INSTALLATION_PAUSED, "This installation is paused.")
    retry_at = _retry_at(ctx)
    if retry_at > ctx.now:
        ctx.requeue_at(retry_at)
        ctx.blocked = BlockedReason.JOB
        return ctx.plan()
    if not ctx.observed.queue_decision.may_start:
        return _hold(ctx, Reason.QUEUED, "Waiting for its turn.")
    return None


def _hold(ctx: ReconcileContext, reason: Reason, message: str) -> Plan:
    turn = QueueDecision() if ctx.blocked else ctx.observed.queue_decision  # it stands in no line
    ctx.status.queue = queue_status(ctx.status.queue, turn, reason, message)
    ctx.condition(ConditionType.ADMITTED, "False", reason, message)
    return ctx.plan()


def _queue_deadline(ctx: ReconcileContext) -> datetime:
    asked = ctx.request.queue_deadline_seconds if ctx.request else None
    since = ctx.status.queue.since if ctx.status.queue else None
    return (since or ctx.now) + timedelta(seconds=asked or ctx.settings.queue_deadline_seconds)


def _out_of_time(ctx: ReconcileContext) -> Plan:
    queue = ctx.status.queue
    if queue and queue.reason == Reason.STORAGE_UNAVAILABLE:
        return outcome.fail(ctx, ErrorCode.UPLOAD_FAILED, queue.message)
    why = f": {queue.message}" if queue and queue.message else "."
    return outcome.fail(
        ctx, ErrorCode.NO_CAPACITY, f"It was not started before its queue deadline{why}"
    )


def _retry_at(ctx: ReconcileContext) -> datetime:
    """Return when the next attempt may start: a failure of the job's own waits longer each time."""
    last = ctx.status.attempts[-1] if ctx.status.attempts else None
    if last is None or last.finished_at is None or last.reason in AT_ONCE:
        return ctx.now
    delay = ctx.settings.retry_delay_seconds * 2 ** (last.number - 1)
    return last.finished_at + timedelta(seconds=min(delay, 600))


def _start(ctx: ReconcileContext) -> Plan:
    """Begin an attempt: its number stands in the status before its Job is created."""
    answer = ctx.observed.lookups.manifest
    if answer and answer.state == ManifestState.UNREACHABLE:
        ctx.requeue_after(STORAGE_RETRY_SECONDS)
        ctx.blocked = BlockedReason.STORAGE
        return _hold(ctx, Reason.STORAGE_UNAVAILABLE, answer.message)
    if answer and answer.state == ManifestState.REFUSED:
        return outcome.fail(ctx, ErrorCode.UPLOAD_FAILED, answer.message)
    if answer and answer.state == ManifestState.FOREIGN:
        ctx.before.append(DeleteForeignManifest())
    attempt = _next_attempt(ctx)
    ctx.status.attempts.append(attempt)
    ctx.status.job_name = attempt.job_name
    since = ctx.status.queue.since if ctx.status.queue else ctx.now
    ctx.status.queue = Queue(since=since, position=ctx.observed.queue_decision.position)
    ctx.condition(
        ConditionType.ADMITTED, "True", Reason.ADMITTED, f"Attempt {attempt.number} may start."
    )
    ctx.condition(
        ConditionType.STARTED, "False", Reason.STARTING, f"Job {attempt.job_name} is starting."
    )
    ctx.requeue_after(ctx.settings.waiting_grace_seconds)
    return ctx.plan([CreateJob(attempt)])


def _next_attempt(ctx: ReconcileContext) -> Attempt:
    number = ctx.status.attempts[-1].number + 1 if ctx.status.attempts else 1
    out_of_memory = reason_of(ErrorCode.WORKER_OOM)
    more = any(past.reason == out_of_memory for past in ctx.status.attempts)
    return Attempt(
        number=number,
        job_name=f"{ctx.observed.splitjob.name}-{number}",
        memory_bytes=bytes_of(ctx.settings.worker_memory_retry) if more else None,
        created_at=ctx.now,
    )
