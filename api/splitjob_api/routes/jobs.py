"""One job."""

import re

from fastapi import APIRouter

from splitjob.resource import MAX_NAME_LENGTH
from splitjob_api.deps import ServicesDep
from splitjob_api.error_catalogue import documented
from splitjob_api.job_response import JobResponse, job_response
from splitjob_api.problems import ApiError

# The names that a SplitJob can have: DNS subdomains that leave room for a Job's suffix.
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?", re.ASCII)

router = APIRouter(tags=["jobs"])


@router.get(
    "/jobs/{job_id}",
    summary="Where a job stands",
    responses=documented("job_not_found", "cluster_unavailable"),
)
def job(job_id: str, services: ServicesDep) -> JobResponse:
    """Answer with the job's state, and what came of it."""
    found = services.cluster.get(job_id) if _is_name(job_id) else None
    if found is None:
        raise ApiError(404, "job_not_found", "there is no such job")
    return job_response(found)


def _is_name(job_id: str) -> bool:
    return len(job_id) <= MAX_NAME_LENGTH and _NAME.fullmatch(job_id) is not None
