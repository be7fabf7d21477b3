"""One job as the cluster holds it, for people who look into what became of it."""

from typing import Any

from fastapi import APIRouter

from splitjob_api.deps import ServicesDep
from splitjob_api.error_catalogue import documented
from splitjob_api.job_names import is_job_name
from splitjob_api.problems import ApiError
from splitjob_api.request_log import note_splitjob

router = APIRouter(tags=["jobs"])


@router.get(
    "/jobs/{job_id}/resource",
    summary="A job as the cluster holds it",
    responses=documented("job_not_found", "cluster_unavailable"),
)
def resource(job_id: str, services: ServicesDep) -> dict[str, Any]:
    """Answer with the SplitJob: its conditions, and its attempts with their pods and reasons.

    What it holds is what `kubectl get splitjob` shows, and no secret. Its fields are those of the
    resource (`kubectl explain splitjob`); programs are better off with `GET /jobs/{id}`.
    """
    found = services.jobs.get(job_id) if is_job_name(job_id) else None
    if found is None:
        raise ApiError(404, "job_not_found", "there is no such job")
    note_splitjob(found)
    metadata = {name: one for name, one in found["metadata"].items() if name != "managedFields"}
    return {**found, "metadata": metadata}
