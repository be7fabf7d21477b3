"""A SplitJob without an attempt under way: it is checked, waits for its turn, and is started."""

from dataclasses import replace
from datetime import datetime, timedelta

from splitjob.conditions import ConditionType, Reason
from splitjob.errors import ErrorCode
from splitjob.status import Attempt, Queue
from splitjob_operator.core import outcome
from splitjob_operator.core.attempt_retry import memory_of_next_attempt, retry_at, retry_message
from splitjob_operator.core.cached_splitjob import BlockedReason
from splitjob_operator.core.context import ReconcileContext
from splitjob_operator.core.ended_jobs import delete_ended_jobs
from splitjob_operator.core.lookups import CheckRequest, ManifestState, Problem, ReadManifest
from splitjob_operator.core.observed import QueueDecision
from splitjob_operator.core.plan import CreateJob, OwnSecret, Plan, ReplaceForeignManifest
from splitjob_operator.core.queue import queue_status

__all__ = ["reconcile_pending"]

STORAGE_RETRY_SECONDS = 5
SECRET_RETRY_SECONDS = 2


def reconcile_pending(ctx: ReconcileContext) -> Plan:
    """Return what a SplitJob without an attempt under way needs."""
    if ctx.canceled:
        return (ctx.first_reconcile and _stored_outcome(ctx)) or outcome.cancel(ctx)
    if ctx.request is None:
        return outcome.fail(ctx, ErrorCode.REQUEST_INVALID, ctx.observed.splitjob.spec_error)
    _begin_to_wait(ctx)
    unchecked = ctx.first_reconcile or _waits_for_secret(ctx)
    if unchecked and (plan := _restored_outcome(ctx) or _check_request(ctx)):
        return plan
    delete_ended_jobs(ctx)  # a deletion may have been missed
    if plan := _not_yet(ctx):
        return plan
    # A completed job stays completed, also when its URLs have expired since: the bucket goes first.
    checked = _stored_outcome(ctx) or (None if unchecked else _check_request(ctx))
    return checked or _start(ctx)


def _begin_to_wait(ctx: ReconcileContext) -> None:
    """Note since when the job waits, from which its queue deadline counts."""
    waits = ctx.status.queue is not None and ctx.status.queue.since is not None
    if not ctx.suspended and not waits:
        created_at = ctx.observed.splitjob.created_at
        ctx.status.queue = Queue(since=created_at if ctx.first_reconcile else ctx.now)


def _restored_outcome(ctx: ReconcileContext) -> Plan | None:
    """Return the plan of a job that has ended in a former life; one just submitted has had none."""
    return _stored_outcome(ctx) if ctx.may_have_ended_before else None


def _stored_outcome(ctx: ReconcileContext) -> Plan | None:
    """Return the plan of a job whose outcome stands in the bucket already."""
    if not ctx.needs_bucket:
        return None
    stored = ctx.observed.lookups.manifest
    if stored is None:
        return ctx.look_up(ReadManifest())
    if stored.state in {ManifestState.COMPLETED, ManifestState.OUR_TOMBSTONE}:
        return outcome.adopt_stored_outcome(ctx, stored)
    return None


def _check_request(ctx: ReconcileContext) -> Plan | None:
    """Return the plan of a job whose request cannot be served, or not yet."""
    lookups = ctx.observed.lookups
    if not lookups.checked:
        return ctx.look_up(CheckRequest())
    if lookups.problem:
        waiting = _wait_for_secret(ctx, lookups.problem)
        return waiting or outcome.fail(ctx, lookups.problem.code, lookups.problem.message)
    if ctx.request and ctx.request.secret_name:
        ctx.before.append(OwnSecret(ctx.request.secret_name))
    return None


def _waits_for_secret(ctx: ReconcileContext) -> bool:
    return ctx.status.queue is not None and ctx.status.queue.reason == Reason.SECRET_MISSING


def _wait_for_secret(ctx: ReconcileContext, problem: Problem) -> Plan | None:
    """Wait for a Secret that is written after its SplitJob, as `kubectl apply` may do."""
    grace = timedelta(seconds=ctx.settings.waiting_grace_seconds)
    until = min(ctx.observed.splitjob.created_at + grace, _queue_deadline(ctx))
    if not problem.missing or until <= ctx.now:
        return None
    ctx.requeue_at(until)
    ctx.requeue_after(SECRET_RETRY_SECONDS)
    ctx.blocked = BlockedReason.JOB
    message = f"{problem.message} It is waited for until {until:%Y-%m-%dT%H:%M:%SZ}."
    return _wait(ctx, Reason.SECRET_MISSING, message)


def _not_yet(ctx: ReconcileContext) -> Plan | None:
    """Return the plan of a job that must not start now; None where it may."""
    if ctx.suspended:
        ctx.status.queue = Queue()  # suspended time does not count towards the queue deadline
        return _wait(ctx, Reason.SUSPENDED, "spec.suspend is true.")
    deadline = _queue_deadline(ctx)
    if deadline <= ctx.now:
        return _out_of_time(ctx)
    ctx.requeue_at(deadline)
    if ctx.settings.paused:
        return _wait(ctx, Reason.INSTALLATION_PAUSED, "This installation is paused.")
    retry = retry_at(ctx.status.attempts, ctx.settings)
    if retry and retry > ctx.now:
        ctx.requeue_at(retry)
        ctx.blocked = BlockedReason.JOB
        message = retry_message(ctx.status.attempts, ctx.settings)
        return _wait(ctx, Reason.RETRYING, message, retry)
    if not ctx.observed.queue_decision.may_start:
        return _wait(ctx, Reason.QUEUED, _turn_message(ctx))
    return None


def _turn_message(ctx: ReconcileContext) -> str:
    if not ctx.observed.queue_decision.group_full:
        return "Waiting for its turn."
    group_by, most = ctx.settings.queue_group_by, ctx.settings.max_active_jobs_per_group
    value = ((ctx.request and ctx.request.metadata) or {}).get(group_by)
    whose = f"without {group_by!r}" if value is None else f"whose {group_by!r} is {value!r}"
    return f"Waiting for its turn: of the jobs {whose}, at most {most} are active at once."


def _wait(
    ctx: ReconcileContext, reason: Reason, message: str, retry_at: datetime | None = None
) -> Plan:
    # A blocked job has no position in the queue.
    decision = QueueDecision() if ctx.blocked else ctx.observed.queue_decision
    ctx.status.queue = queue_status(ctx.status.queue, decision, reason, message, retry_at)
    ctx.condition(ConditionType.ADMITTED, "False", reason, message)
    return ctx.plan()


def _queue_deadline(ctx: ReconcileContext) -> datetime:
    asked = ctx.request.queue_deadline_seconds if ctx.request else None
    since = ctx.status.queue.since if ctx.status.queue else None
    return (since or ctx.now) + timedelta(seconds=asked or ctx.settings.queue_deadline_seconds)


def _out_of_time(ctx: ReconcileContext) -> Plan:
    """Fail a job that did not start by its queue deadline, with what it waited for."""
    queue = ctx.status.queue
    if queue and queue.reason == Reason.STORAGE_UNAVAILABLE:
        return outcome.fail(ctx, ErrorCode.UPLOAD_FAILED, queue.message)
    why = f": {queue.message}" if queue and queue.message else "."
    message = f"It was not started before its queue deadline{why}"
    return outcome.fail(ctx, ErrorCode.NO_CAPACITY, message)


def _start(ctx: ReconcileContext) -> Plan:
    """Begin an attempt: its number stands in the status before its Job is created."""
    stored = ctx.observed.lookups.manifest
    if stored and stored.state == ManifestState.UNREACHABLE:
        ctx.requeue_after(STORAGE_RETRY_SECONDS)
        ctx.blocked = BlockedReason.STORAGE
        return _wait(ctx, Reason.STORAGE_UNAVAILABLE, stored.message)
    if stored and stored.state == ManifestState.REFUSED:
        return outcome.fail(ctx, ErrorCode.UPLOAD_FAILED, stored.message)
    if stored and stored.state == ManifestState.FOREIGN:
        ctx.before.append(ReplaceForeignManifest())
    attempt = _next_attempt(ctx)
    ctx.status.attempts.append(attempt)
    ctx.status.job_name = attempt.job_name
    (_leave_to_kueue if ctx.settings.kueue_local_queue else _admit)(ctx, attempt)
    ctx.requeue_after(ctx.settings.waiting_grace_seconds)
    return ctx.plan([CreateJob(attempt)])


def _admit(ctx: ReconcileContext, attempt: Attempt) -> None:
    admitted = f"Attempt {attempt.number} may start."
    starting = f"Job {attempt.job_name} is starting."
    decision = replace(ctx.observed.queue_decision, position=None)
    ctx.status.queue = queue_status(ctx.status.queue, decision, Reason.STARTING, starting)
    ctx.condition(ConditionType.ADMITTED, "True", Reason.ADMITTED, admitted)
    ctx.condition(ConditionType.STARTED, "False", Reason.STARTING, starting)


def _leave_to_kueue(ctx: ReconcileContext, attempt: Attempt) -> None:
    waiting = f"Job {attempt.job_name} is left to Kueue's queue {ctx.settings.kueue_local_queue}."
    decision = replace(ctx.observed.queue_decision, position=None, eta_seconds=None)
    ctx.status.queue = queue_status(ctx.status.queue, decision, Reason.KUEUE_PENDING, waiting)
    ctx.condition(ConditionType.ADMITTED, "False", Reason.KUEUE_PENDING, waiting)
    ctx.condition(ConditionType.STARTED, "False", Reason.NOT_STARTED, waiting)


def _next_attempt(ctx: ReconcileContext) -> Attempt:
    past = ctx.status.attempts
    number = past[-1].number + 1 if past else 1
    return Attempt(
        number=number,
        job_name=f"{ctx.observed.splitjob.name}-{number}",
        memory_bytes=memory_of_next_attempt(past, ctx.resources),
        created_at=ctx.now,
    )
