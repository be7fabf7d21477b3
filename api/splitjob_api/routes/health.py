"""Probes, and what Prometheus reads."""

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from splitjob_api.deps import ServicesDep
from splitjob_api.error_catalogue import documented
from splitjob_api.problems import not_ready

router = APIRouter(tags=["operation"])


class Healthy(BaseModel):
    """The process is alive."""

    ok: bool = True


@router.get("/healthz", summary="Is the process alive")
async def healthz() -> Healthy:
    """Answer as long as the process serves at all; it asks nobody."""
    return Healthy()


@router.get("/readyz", summary="Can requests be served", responses=documented("not_ready"))
async def readyz(services: ServicesDep) -> Healthy:
    """Answer 200 only while the cluster answers and is as we need it, else 503 with the reason."""
    if unready := await services.readiness.told():
        raise not_ready(unready)
    return Healthy()


@router.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
async def metrics(services: ServicesDep) -> Response:
    """Answer in Prometheus' text format."""
    text = generate_latest(services.metrics.registry)
    return Response(text, media_type=CONTENT_TYPE_LATEST)
