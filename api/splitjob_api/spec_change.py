"""Changing what is wanted of a job: read, decide, write under the version that was read.

The precondition is what makes two callers at once, and a job that ends at the same moment, safe:
whoever comes second reads again and decides anew.
"""

from collections.abc import Callable
from typing import Any

from splitjob_api.admission import refuse_work
from splitjob_api.deps import Services
from splitjob_api.job_names import is_job_name
from splitjob_api.kubernetes import ClusterUnavailableError, SplitJobObject
from splitjob_api.problems import job_not_found
from splitjob_api.request_log import note_splitjob

# The operator writes a running job's progress about once a second, between our read and our write.
MAX_TRIES = 8

# Returns what is to be changed of the spec, nothing where it is as wanted; raises ApiError where
# the job's state forbids it.
Decision = Callable[[SplitJobObject], dict[str, Any]]


def existing_job(services: Services, job_id: str, *, being_deleted: bool = False) -> SplitJobObject:
    """Return a job as the API server has it now; the request's log line names its song.

    Args:
        services: the app's.
        job_id: its name, as the caller gave it.
        being_deleted: whether one that is being deleted counts as well.

    Raises:
        ApiError: 404; there is none.
    """
    found = services.cluster.get(job_id) if is_job_name(job_id) else None
    if found is None:
        services.jobs.note_gone(job_id)
    if found is None or ("deletionTimestamp" in found["metadata"] and not being_deleted):
        raise job_not_found()
    services.jobs.note_answer(found)
    note_splitjob(found)
    return found


def change_spec(services: Services, job_id: str, decide: Decision) -> SplitJobObject:
    """Return a job with what was decided written into its spec.

    Args:
        services: the app's.
        job_id: as the caller wrote it.
        decide: called with the job as it is, again where it has changed before the write.

    Raises:
        ApiError: there is no such job, or `decide` raised it; nothing was written.
        ClusterUnavailableError: it could not be written; asking again is safe.
    """
    refuse_work(services.readiness.forbids_work())
    for _ in range(MAX_TRIES):
        splitjob = existing_job(services, job_id)
        change = decide(splitjob)
        changed = services.cluster.patch_spec(splitjob, change) if change else splitjob
        if changed:
            services.jobs.note_answer(changed)
            return changed
    raise ClusterUnavailableError(f"changed {job_id} too often while this request was served")
