"""A SplitJob without an attempt under way: it is checked, waits for its turn, and is started."""

from datetime import datetime, timedelta

from splitjob.conditions import ConditionType, Reason
from splitjob.errors import ErrorCode, reason_of
from splitjob.quantity import bytes_of
from splitjob.resource import Attempt, Queue
from splitjob_operator.core import outcome
from splitjob_operator.core.context import Round
from splitjob_operator.core.ended_jobs import clear_ended_jobs
from splitjob_operator.core.lookups import CheckRequest, LookAtManifest, ManifestState, Problem
from splitjob_operator.core.observed import Turn
from splitjob_operator.core.plan import CreateJob, DeleteTombstone, OwnSecret, Plan
from splitjob_operator.core.queue import Hold, updated

__all__ = ["wait"]

STORAGE_RETRY_SECONDS = 5
SECRET_RETRY_SECONDS = 2
AT_ONCE = {reason_of(ErrorCode.WORKER_DISRUPTED), reason_of(ErrorCode.WORKER_LOST)}


def wait(r: Round) -> Plan:
    """Return what a SplitJob without an attempt under way needs."""
    if r.canceled:
        return (r.first_sight and _verdict_in_bucket(r)) or outcome.cancel(r)
    if r.request is None:
        return outcome.fail(r, ErrorCode.REQUEST_INVALID, r.seen.splitjob.spec_error)
    if not r.suspended and (r.status.queue is None or r.status.queue.since is None):
        r.status.queue = Queue(since=r.seen.splitjob.created_at if r.first_sight else r.now)
    unchecked = r.first_sight or _waits_for_secret(r)
    if unchecked and (plan := _look(r)):
        return plan
    clear_ended_jobs(r)  # whose deletion may have been missed
    if hold := _held(r):
        return hold
    looked = None if unchecked else _look(r)
    return looked or _start(r)


def _look(r: Round) -> Plan | None:
    """Look at the bucket, then check the request; a plan where that decides, or must be asked.

    In this order: a job that is completed stays so, also when its URLs have expired since.
    """
    return _verdict_in_bucket(r) or _check(r)


def _verdict_in_bucket(r: Round) -> Plan | None:
    if not r.stores:
        return None
    answer = r.seen.answers.manifest
    if answer is None:
        return r.asking(LookAtManifest())
    if answer.state in {ManifestState.COMPLETED, ManifestState.OUR_TOMBSTONE}:
        return outcome.as_the_bucket_says(r, answer)
    return None


def _check(r: Round) -> Plan | None:
    answers = r.seen.answers
    if not answers.checked:
        return r.asking(CheckRequest())
    if answers.problem and (hold := _wait_for_secret(r, answers.problem)):
        return hold
    if answers.problem:
        return outcome.fail(r, answers.problem.code, answers.problem.message)
    if r.request and r.request.secret_name:
        r.before.append(OwnSecret(r.request.secret_name))
    return None


def _waits_for_secret(r: Round) -> bool:
    return r.status.queue is not None and r.status.queue.reason == Reason.SECRET_MISSING


def _wait_for_secret(r: Round, problem: Problem) -> Plan | None:
    """Give a Secret that was written after its SplitJob, as by `kubectl apply`, time to come."""
    grace = timedelta(seconds=r.settings.waiting_grace_seconds)
    until = min(r.seen.splitjob.created_at + grace, _queue_deadline(r))
    if not problem.missing or until <= r.now:
        return None
    r.wake_at(until)
    r.wake_in(SECRET_RETRY_SECONDS)
    r.hold = Hold.OWN
    message = f"{problem.message} It is waited for until {until:%Y-%m-%dT%H:%M:%SZ}."
    return _hold(r, Reason.SECRET_MISSING, message)


def _held(r: Round) -> Plan | None:
    """Return the plan of a job that must not start now."""
    if r.suspended:
        r.status.queue = Queue()  # the time held back does not count as waiting
        return _hold(r, Reason.SUSPENDED, "spec.suspend is true.")
    deadline = _queue_deadline(r)
    if deadline <= r.now:
        return _out_of_time(r)
    r.wake_at(deadline)
    if r.settings.paused:
        return _hold(r, Reason.INSTALLATION_PAUSED, "This installation is paused.")
    retry_at = _retry_at(r)
    if retry_at > r.now:
        r.wake_at(retry_at)
        r.hold = Hold.OWN
        return r.plan()
    if not r.seen.turn.may_start:
        return _hold(r, Reason.QUEUED, "Waiting for its turn.")
    return None


def _hold(r: Round, reason: Reason, message: str) -> Plan:
    turn = Turn() if r.hold else r.seen.turn  # it stands in no line
    r.status.queue = updated(r.status.queue, turn, reason, message)
    r.condition(ConditionType.ADMITTED, "False", reason, message)
    return r.plan()


def _queue_deadline(r: Round) -> datetime:
    asked = r.request.queue_deadline_seconds if r.request else None
    since = r.status.queue.since if r.status.queue else None
    return (since or r.now) + timedelta(seconds=asked or r.settings.queue_deadline_seconds)


def _out_of_time(r: Round) -> Plan:
    queue = r.status.queue
    if queue and queue.reason == Reason.STORAGE_UNAVAILABLE:
        return outcome.fail(r, ErrorCode.UPLOAD_FAILED, queue.message)
    why = f": {queue.message}" if queue and queue.message else "."
    return outcome.fail(
        r, ErrorCode.NO_CAPACITY, f"It was not started before its queue deadline{why}"
    )


def _retry_at(r: Round) -> datetime:
    """Return when the next attempt may start: a failure of the job's own waits longer each time."""
    last = r.status.attempts[-1] if r.status.attempts else None
    if last is None or last.finished_at is None or last.reason in AT_ONCE:
        return r.now
    delay = r.settings.retry_delay_seconds * 2 ** (last.number - 1)
    return last.finished_at + timedelta(seconds=min(delay, 600))


def _start(r: Round) -> Plan:
    """Begin an attempt: its number stands in the status before its Job is created."""
    answer = r.seen.answers.manifest
    if answer and answer.state == ManifestState.UNREACHABLE:
        r.wake_in(STORAGE_RETRY_SECONDS)
        r.hold = Hold.STORAGE
        return _hold(r, Reason.STORAGE_UNAVAILABLE, answer.message)
    if answer and answer.state == ManifestState.REFUSED:
        return outcome.fail(r, ErrorCode.UPLOAD_FAILED, answer.message)
    if answer and answer.state == ManifestState.FOREIGN:
        r.before.append(DeleteTombstone())
    attempt = _next_attempt(r)
    r.status.attempts.append(attempt)
    r.status.job_name = attempt.job_name
    since = r.status.queue.since if r.status.queue else r.now
    r.status.queue = Queue(since=since, position=r.seen.turn.position)
    r.condition(
        ConditionType.ADMITTED, "True", Reason.ADMITTED, f"Attempt {attempt.number} may start."
    )
    r.condition(
        ConditionType.STARTED, "False", Reason.STARTING, f"Job {attempt.job_name} is starting."
    )
    r.wake_in(r.settings.waiting_grace_seconds)
    return r.plan([CreateJob(attempt)])


def _next_attempt(r: Round) -> Attempt:
    number = r.status.attempts[-1].number + 1 if r.status.attempts else 1
    out_of_memory = reason_of(ErrorCode.WORKER_OOM)
    more = any(past.reason == out_of_memory for past in r.status.attempts)
    return Attempt(
        number=number,
        job_name=f"{r.seen.splitjob.name}-{number}",
        memory_bytes=bytes_of(r.settings.worker_memory_retry) if more else None,
        created_at=r.now,
    )
