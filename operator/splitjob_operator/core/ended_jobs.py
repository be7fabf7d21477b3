"""The Jobs of attempts that have ended: deleted at once, or once their logs could be read.

Only a Job whose pods have all ended is kept. It delays nobody: the next attempt's Job has another
name, and the queue counts SplitJobs, not Jobs.
"""

from datetime import datetime, timedelta

from splitjob_operator.core.context import ReconcileContext
from splitjob_operator.core.observed import KubeJob
from splitjob_operator.core.plan import DeleteJob, DeletePod

__all__ = ["delete_ended_jobs"]


def delete_ended_jobs(ctx: ReconcileContext) -> None:
    """Delete the Jobs of the attempts that have ended, each once it was kept long enough.

    A pod that such a Job left behind, by `kubectl delete job --cascade=orphan`, goes at once.
    """
    _delete_orphans(ctx)
    under_way = ctx.attempt.job_name if ctx.attempt else None
    for job in ctx.own_jobs:
        if job.deleting or job.name == under_way:
            continue
        until = _kept_until(ctx, job)
        if until and until > ctx.now:
            ctx.requeue_at(until)
        elif (delete := DeleteJob(job.name, job.uid, "Background")) not in ctx.after:
            ctx.after.append(delete)


def _delete_orphans(ctx: ReconcileContext) -> None:
    ended = {one.job_uid for one in ctx.status.attempts if one is not ctx.attempt} - {None}
    for pod in ctx.observed.pods:
        delete = DeletePod(pod.name, pod.uid, force=False)
        if pod.orphaned and pod.job_uid in ended and delete not in ctx.after:
            ctx.after.append(delete)


def _kept_until(ctx: ReconcileContext, job: KubeJob) -> datetime | None:
    """Return until when a Job is kept; None where it must go, as a pod of it may still run.

    It counts from the end that the status says, which is written before anything is deleted.
    """
    attempt = next((a for a in ctx.status.attempts if a.job_name == job.name), None)
    if attempt is None or attempt.finished_at is None or not _has_ended(ctx, job):
        return None
    return attempt.finished_at + timedelta(seconds=ctx.settings.keep_finished_jobs_seconds)


def _has_ended(ctx: ReconcileContext, job: KubeJob) -> bool:
    """Whether no pod of a Job runs or will; its controller may not have written that yet."""
    pods = [pod for pod in ctx.observed.pods if pod.job_uid == job.uid]
    return job.finished or (bool(pods) and all(pod.stopped for pod in pods))
