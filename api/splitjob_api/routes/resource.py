"""One job as the cluster holds it, for people who look into what became of it."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import Field

from splitjob_api.cluster_route import ClusterRoute
from splitjob_api.deps import ServicesDep
from splitjob_api.error_catalogue import documented
from splitjob_api.job_response import ResponsePart
from splitjob_api.spec_change import existing_job

router = APIRouter(tags=["jobs"], route_class=ClusterRoute)


class EventResponse(ResponsePart):
    """A Kubernetes Event about a job."""

    at: datetime | None = Field(description="When it was last seen.")
    type: str = Field(description="Normal or Warning.")
    reason: str = Field(description="For programs.")
    message: str = Field(description="For people.")
    count: int = Field(description="How often it was seen.")


class ResourceResponse(ResponsePart):
    """A job as the cluster holds it."""

    resource: dict[str, Any] = Field(description="The SplitJob, as `kubectl get -o json` gives it.")
    events: list[EventResponse] = Field(
        description="The oldest first. The cluster forgets them after a while."
    )


@router.get(
    "/jobs/{job_id}/resource",
    summary="A job as the cluster holds it",
    responses=documented("job_not_found", "cluster_unavailable"),
)
def resource(job_id: str, services: ServicesDep) -> ResourceResponse:
    """Answer with the SplitJob and its Events: conditions, attempts with their pods and reasons.

    What it holds is what `kubectl` shows, and no secret. Its fields are those of the resource
    (`kubectl explain splitjob`); programs are better off with `GET /jobs/{id}`.
    """
    found = existing_job(services, job_id, being_deleted=True)
    metadata = {name: one for name, one in found["metadata"].items() if name != "managedFields"}
    events = [_event(one) for one in services.cluster.events(job_id)]
    events.sort(key=lambda event: str(event.at))
    return ResourceResponse(resource={**found, "metadata": metadata}, events=events)


def _event(event: dict[str, Any]) -> EventResponse:
    seen = event.get("lastTimestamp") or event.get("eventTime")
    return EventResponse(
        at=seen or event["metadata"].get("creationTimestamp"),
        type=event.get("type") or "Normal",
        reason=event.get("reason") or "",
        message=event.get("message") or "",
        count=event.get("count") or 1,
    )
