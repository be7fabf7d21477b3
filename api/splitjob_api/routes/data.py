"""What the bucket holds of a job, gone for good."""

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Response

from splitjob.lifecycle import lifecycle_of
from splitjob_api.cluster_route import ClusterRoute
from splitjob_api.deps import ServicesDep
from splitjob_api.error_catalogue import documented
from splitjob_api.job_response import JobResponse, job_response
from splitjob_api.kubernetes import SplitJobObject
from splitjob_api.problems import ApiError
from splitjob_api.spec_change import change_spec

router = APIRouter(tags=["jobs"], route_class=ClusterRoute)


@router.delete(
    "/jobs/{job_id}/data",
    summary="Erase a job's stems",
    status_code=202,
    responses={
        200: {"model": JobResponse, "description": "They are erased; `erased` says since when."},
        **documented(
            "job_not_found",
            "not_finished",
            "stems_elsewhere",
            "cluster_unavailable",
            "not_ready",
        ),
    },
)
def erase(job_id: str, services: ServicesDep, response: Response) -> JobResponse:
    """Answer 202 while it is under way, 200 once it is done; the job and its event stay."""
    splitjob = change_spec(services, job_id, _erasure)
    answer = job_response(splitjob, datetime.now(UTC))
    if answer.erased:
        response.status_code = 200
    return answer


def _erasure(splitjob: SplitJobObject) -> dict[str, Any]:
    if not lifecycle_of(splitjob).finished:
        raise ApiError(409, "not_finished", "the job has not ended: cancel it first, or wait")
    if splitjob["spec"]["request"].get("uploads"):
        raise ApiError(
            409,
            "stems_elsewhere",
            "the stems went to the URLs of the request's `uploads`: erase them there",
        )
    return {} if splitjob["spec"].get("erase") else {"erase": True}
