"""The Jobs of attempts that have ended: deleted at once, or once their logs could be read.

What is kept is only what can do nothing any more. It holds up nobody: the next attempt's Job has
another name, and the queue counts SplitJobs, not Jobs.
"""

from datetime import datetime, timedelta

from splitjob_operator.core.context import ReconcileContext
from splitjob_operator.core.observed import KubeJob
from splitjob_operator.core.plan import DeleteJob

__all__ = ["delete_ended_jobs"]


def delete_ended_jobs(ctx: ReconcileContext) -> None:
    """Delete the Jobs of the attempts that have ended, each once it was kept long enough."""
    under_way = ctx.attempt.job_name if ctx.attempt else None
    for job in ctx.own_jobs:
        if job.deleting or job.name == under_way:
            continue
        until = _kept_until(ctx, job)
        if until and until > ctx.now:
            ctx.requeue_at(until)
        elif (delete := DeleteJob(job.name, job.uid, "Background")) not in ctx.after:
            ctx.after.append(delete)


def _kept_until(ctx: ReconcileContext, job: KubeJob) -> datetime | None:
    """Return until when a Job stays; None where it must go: a pod of it could still do something.

    It counts from what the status says, which is written before anything is deleted.
    """
    attempt = next((a for a in ctx.status.attempts if a.job_name == job.name), None)
    if attempt is None or attempt.finished_at is None or not _over(ctx, job):
        return None
    return attempt.finished_at + timedelta(seconds=ctx.settings.keep_finished_jobs_seconds)


def _over(ctx: ReconcileContext, job: KubeJob) -> bool:
    """Whether nothing of a Job runs or will: its controller may not have written that yet."""
    pods = [pod for pod in ctx.observed.pods if pod.job_uid == job.uid]
    return job.finished or (bool(pods) and all(pod.over for pod in pods))
