"""The Jobs of attempts that have ended: deleted at once, or once their logs could be read.

What is kept is only what can do nothing any more. It holds up nobody: the next attempt's Job has
another name, and the queue counts SplitJobs, not Jobs.
"""

from datetime import datetime, timedelta

from splitjob_operator.core.context import Round
from splitjob_operator.core.observed import JobView
from splitjob_operator.core.plan import DeleteJob

__all__ = ["clear_ended_jobs"]


def clear_ended_jobs(r: Round) -> None:
    """Delete the Jobs of the attempts that have ended, each once it was kept long enough."""
    under_way = r.attempt.job_name if r.attempt else None
    for job in r.own_jobs:
        if job.deleting or job.name == under_way:
            continue
        until = _kept_until(r, job)
        if until and until > r.now:
            r.wake_at(until)
        elif (delete := DeleteJob(job.name, job.uid, "Background")) not in r.after:
            r.after.append(delete)


def _kept_until(r: Round, job: JobView) -> datetime | None:
    """Return until when a Job stays; None where it must go: a pod of it could still do something.

    It counts from what the status says, which is written before anything is deleted.
    """
    attempt = next((a for a in r.status.attempts if a.job_name == job.name), None)
    if attempt is None or attempt.finished_at is None or not _over(r, job):
        return None
    return attempt.finished_at + timedelta(seconds=r.settings.keep_finished_jobs_seconds)


def _over(r: Round, job: JobView) -> bool:
    """Whether nothing of a Job runs or will: its controller may not have written that yet."""
    pods = [pod for pod in r.seen.pods if pod.job_uid == job.uid]
    return job.finished or (bool(pods) and all(pod.over for pod in pods))
