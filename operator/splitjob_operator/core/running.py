"""A SplitJob with an attempt under way: its Job is made, its pod followed, its end recognised."""

import re
from datetime import timedelta

from splitjob.conditions import ConditionType, Reason
from splitjob.errors import ErrorCode, reason_of
from splitjob.resource import KIND, Attempt, Progress
from splitjob_operator.core import diagnosis, outcome
from splitjob_operator.core.context import Round
from splitjob_operator.core.ended_jobs import clear_ended_jobs
from splitjob_operator.core.lookups import ReadJobWarning
from splitjob_operator.core.observed import JobView, PodView
from splitjob_operator.core.plan import CreateJob, Plan
from splitjob_operator.core.queue import updated

__all__ = ["follow"]

NAME_TAKEN_RETRY_SECONDS = 2
JOB_REFUSED_RETRY_SECONDS = 10
NO_POD_SECONDS = 3  # a Job without a pod for longer is asked why
NO_POD_RETRY_SECONDS = 10
# The quota is used up, or it counts something that the pod does not say.
_QUOTA = re.compile("(exceeded|failed) quota")


def follow(r: Round, attempt: Attempt) -> Plan:
    """Return what an attempt under way needs."""
    clear_ended_jobs(r)
    job = r.job_of(attempt)
    if job is None and (other := _namesake(r, attempt)):
        return _blocked_by(r, attempt, other)
    if job is None and attempt.job_uid is None and not attempt.reason and not r.canceled:
        return _create(r, attempt)
    pods = r.pods_of(attempt)
    pod = pods[0] if pods else None
    _record(r, attempt, job, pod)
    if r.canceled or attempt.reason:
        return outcome.end(r, attempt)
    reading = diagnosis.read(
        job,
        pod,
        r.seen.lost_nodes.get(pod.node) if pod else None,
        r.limits(attempt),
        r.now,
        r.status.queue.message if r.status.queue else "",
    )
    return _end(r, attempt, reading) if reading else _go_on(r, attempt, job, pod)


def _create(r: Round, attempt: Attempt) -> Plan:
    """Create the Job: a crash came between it and the status, or it was refused before."""
    if r.request is None:
        return outcome.fail(r, ErrorCode.REQUEST_INVALID, r.seen.splitjob.spec_error)
    limits = r.limits(attempt)
    why = r.status.queue.message if r.status.queue else ""
    if reading := diagnosis.no_capacity(why, limits, r.now):
        return _end(r, attempt, reading)
    refused = r.seen.answers.job_refused
    if not refused:
        return r.plan([CreateJob(attempt)])
    r.wake_at(limits.queued_since + timedelta(seconds=limits.queue))
    r.wake_in(JOB_REFUSED_RETRY_SECONDS)
    quota = _QUOTA.search(refused)
    return _pending(r, Reason.QUOTA_EXCEEDED if quota else Reason.JOB_REFUSED, refused)


def _end(r: Round, attempt: Attempt, reading: diagnosis.Reading) -> Plan:
    attempt.reason = reason_of(reading.code)
    attempt.message = reading.message[:1024]
    attempt.retryable = reading.retryable
    return outcome.end(r, attempt)


def _namesake(r: Round, attempt: Attempt) -> JobView | None:
    """Return a Job that has this attempt's name and is not ours."""
    return next((job for job in r.seen.jobs if job.name == attempt.job_name), None)


def _blocked_by(r: Round, attempt: Attempt, other: JobView) -> Plan:
    """Wait for the garbage collector where a former SplitJob left it; else fail clearly."""
    if other.owner_kind != KIND:
        return outcome.fail(
            r,
            ErrorCode.WORKER_CONFIG,
            f"A Job {other.name} that belongs to something else stands in the way. Delete it, "
            "then ask again.",
        )
    message = f"A Job {other.name} of a former SplitJob is being collected."
    r.condition(ConditionType.ADMITTED, "False", Reason.NAME_TAKEN, message)
    r.wake_in(NAME_TAKEN_RETRY_SECONDS)
    return r.plan()


def _record(r: Round, attempt: Attempt, job: JobView | None, pod: PodView | None) -> None:
    """Write down what is seen of the attempt, before it is gone."""
    if job:
        attempt.job_uid = job.uid
    if pod is None:
        return
    attempt.pod_name = pod.name
    attempt.node_name = pod.node or attempt.node_name
    attempt.started_at = pod.started_at or attempt.started_at
    if attempt.started_at and r.status.started_at is None:
        r.status.started_at = attempt.started_at


def _go_on(r: Round, attempt: Attempt, job: JobView | None, pod: PodView | None) -> Plan:
    if pod and (due := diagnosis.reason_due(pod)):
        r.wake_at(due)
        return r.plan()
    _wake_for_deadlines(r, attempt, pod)
    if pod and pod.running:
        return _running(r, attempt, pod)
    if pod and pod.unschedulable:
        return _pending(r, Reason.UNSCHEDULABLE, pod.unschedulable)
    if pod is None and job and _without_pod_too_long(r, job):
        return _without_pod(r, job)
    where = f" on {pod.node}" if pod and pod.node else ""
    r.condition(
        ConditionType.ADMITTED, "True", Reason.ADMITTED, f"Attempt {attempt.number} may start."
    )
    detail = f" ({pod.waiting_reason})" if pod and pod.waiting_reason else ""
    r.condition(
        ConditionType.STARTED,
        "False",
        Reason.STARTING,
        f"Job {attempt.job_name} is starting{where}{detail}.",
    )
    _queue(r, "", "")
    return r.plan()


def _running(r: Round, attempt: Attempt, pod: PodView) -> Plan:
    r.condition(
        ConditionType.ADMITTED, "True", Reason.ADMITTED, f"Attempt {attempt.number} was admitted."
    )
    r.condition(
        ConditionType.STARTED, "True", Reason.RUNNING, f"Pod {pod.name} runs on {pod.node}."
    )
    r.status.queue = None
    line, before = r.seen.progress, r.status.progress
    if line and (before is None or (line.stage, line.percent) != (before.stage, before.percent)):
        percent = max(line.percent, before.percent if before else 0)
        r.status.progress = Progress(stage=line.stage[:32], percent=percent, updated_at=r.now)
    return r.plan()


def _without_pod_too_long(r: Round, job: JobView) -> bool:
    created = job.created_at or r.now
    if created + timedelta(seconds=NO_POD_SECONDS) > r.now:
        r.wake_at(created + timedelta(seconds=NO_POD_SECONDS))
        return False
    return True


def _without_pod(r: Round, job: JobView) -> Plan:
    warning = r.seen.answers.job_warning
    if warning is None:
        return r.asking(ReadJobWarning(job.name))
    r.wake_in(NO_POD_RETRY_SECONDS)
    if not warning:
        return r.plan()
    quota = _QUOTA.search(warning)
    return _pending(r, Reason.QUOTA_EXCEEDED if quota else Reason.POD_REFUSED, warning)


def _pending(r: Round, reason: Reason, message: str) -> Plan:
    r.condition(ConditionType.ADMITTED, "False", reason, message)
    _queue(r, reason, message)
    return r.plan()


def _queue(r: Round, reason: str, message: str) -> None:
    r.status.queue = updated(r.status.queue, r.seen.turn, reason, message)


def _wake_for_deadlines(r: Round, attempt: Attempt, pod: PodView | None) -> None:
    limits = r.limits(attempt)
    if pod is None or (pod.scheduled_at is None and pod.started_at is None):
        r.wake_at(limits.queued_since + timedelta(seconds=limits.queue))
    elif pod.started_at:
        r.wake_at(pod.started_at + timedelta(seconds=limits.run))
    else:
        since = pod.scheduled_at or r.now
        r.wake_at(since + timedelta(seconds=limits.start))
        if pod.waiting_reason in diagnosis.IMAGE_REASONS | diagnosis.CONFIG_REASONS:
            r.wake_at(since + timedelta(seconds=limits.waiting_grace))
