"""What routes are handed: the app's services, and the request's checked body."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from splitjob.request import SplitRequest
from splitjob.request_policy import RequestPolicy
from splitjob_api.kubernetes import Cluster
from splitjob_api.metrics import Metrics
from splitjob_api.queue_stats import QueueStats
from splitjob_api.readiness import Readiness
from splitjob_api.request_body import parse_object, validate
from splitjob_api.settings import Settings


@dataclass(frozen=True)
class Services:
    """Everything one app holds.

    Attributes:
        settings: as it was started with.
        policy: what the installation allows.
        cluster: the way to Kubernetes.
        queue_stats: what waits, runs and has ended.
        readiness: whether requests can be served.
        metrics: what Prometheus is told.
    """

    settings: Settings
    policy: RequestPolicy
    cluster: Cluster
    queue_stats: QueueStats
    readiness: Readiness
    metrics: Metrics


async def services(request: Request) -> Services:
    """Return the services of the app that serves a request."""
    found: Services = request.app.state.services
    return found


async def split_request(request: Request) -> SplitRequest:
    """Return the body of POST /split; its size and signature have been checked before."""
    return validate(SplitRequest, parse_object(await request.body()))


ServicesDep = Annotated[Services, Depends(services)]
SplitRequestDep = Annotated[SplitRequest, Depends(split_request)]
