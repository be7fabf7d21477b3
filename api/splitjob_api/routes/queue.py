"""How busy the installation is."""

import time
from datetime import UTC, datetime

from fastapi import APIRouter
from pydantic import BaseModel, Field

from splitjob.totals import Totals, TotalsError
from splitjob_api.cluster_route import ClusterRoute
from splitjob_api.deps import CurrentJobsDep, Services, ServicesDep
from splitjob_api.error_catalogue import documented
from splitjob_api.kubernetes import ClusterUnavailableError
from splitjob_api.queue_stats import Snapshot

router = APIRouter(tags=["operation"], route_class=ClusterRoute)


class QueueStatus(BaseModel):
    """The queue now, and the totals for the life of the installation."""

    queue_depth: int = Field(description="Jobs no worker has started on.")
    active_workers: int = Field(description="Jobs that a worker runs.")
    completed_jobs: int
    failed_jobs: int
    canceled_jobs: int
    oldest_queued_seconds: int = Field(description="0 where none waits.")
    estimated_drain_seconds: int | None = Field(
        description="When all of it is expected to be done; null: not known."
    )
    observed_at: datetime = Field(description="Up to when no change is missing here.")


class QueueCapacity(BaseModel):
    """What the installation takes on."""

    max_active_jobs: int | None = Field(
        description="Jobs at once; null: as many as the cluster has room for."
    )
    max_queued_jobs: int | None = Field(
        description="Jobs that may wait before new ones get 429; null: any number."
    )
    paused: bool = Field(description="Whether nothing new is started.")


@router.get("/queue/capacity", summary="How much the installation takes on")
async def queue_capacity(services: ServicesDep) -> QueueCapacity:
    """Answer with the installation's own limits: `queue.*` of the chart."""
    settings = services.settings
    return QueueCapacity(
        max_active_jobs=settings.max_active_jobs or None,
        max_queued_jobs=settings.max_queued_jobs or None,
        paused=settings.paused,
    )


@router.get(
    "/queue/status",
    summary="The queue and the totals",
    responses=documented("cluster_unavailable"),
)
def queue_status(services: ServicesDep, jobs: CurrentJobsDep) -> QueueStatus:
    """Answer from counts that a watch keeps current, whatever the number of jobs."""
    observed_at = datetime.fromtimestamp(jobs.observed_at, UTC)
    # In this order: a job that is counted in between is then in the batch, and not missed.
    now = services.queue_stats.snapshot(time.time())
    finished = _totals(services, now)
    return QueueStatus(
        queue_depth=now.queued,
        active_workers=now.running,
        completed_jobs=finished.completed,
        failed_jobs=finished.failed,
        canceled_jobs=finished.canceled,
        oldest_queued_seconds=now.oldest_seconds,
        estimated_drain_seconds=now.drain_seconds,
        observed_at=observed_at,
    )


def _totals(services: Services, now: Snapshot) -> Totals:
    name = services.settings.totals_configmap
    counted = services.cluster.config_map(name)
    try:
        return Totals.parse(counted).with_uncounted(now.uncounted)
    except TotalsError:
        raise ClusterUnavailableError(
            f"holds totals that cannot be read: mend or delete the ConfigMap {name}"
        ) from None
