"""The way in: one song to separate."""

import time

from fastapi import APIRouter, Request, Response

from splitjob.request import ResourceDraft, SplitRequest
from splitjob_api.admission import (
    answer_submission,
    expiries,
    refuse_work,
    submit,
)
from splitjob_api.deps import Services
from splitjob_api.deps import services as services_of
from splitjob_api.error_catalogue import documented
from splitjob_api.job_response import SplitAnswer
from splitjob_api.openapi import SPLIT_BODY
from splitjob_api.plain_route import PlainRoute
from splitjob_api.problems import ApiError
from splitjob_api.request_body import parse_object, validate
from splitjob_api.request_log import note
from splitjob_api.submission import IdempotencyConflictError

router = APIRouter(tags=["jobs"], route_class=PlainRoute)


@router.post(
    "/split",
    summary="Separate a song",
    status_code=202,
    response_model=SplitAnswer,
    responses={
        200: {"model": SplitAnswer, "description": "The same request again: the job it has."},
        **documented(
            "json_invalid",
            "idempotency_conflict",
            "request_invalid",
            "webhook_not_allowed",
            "queue_full",
            "cluster_unavailable",
            "not_ready",
        ),
    },
    openapi_extra={"requestBody": SPLIT_BODY},
)
async def split(request: Request) -> Response:
    """Answer 202 once the job is durable in the cluster, 200 where the request has one already.

    The body has passed the checks of its size and signature.
    """
    found = await services_of(request)
    body = validate(SplitRequest, parse_object(await request.body()))
    note(version_id=body.version_id, correlation_id=body.correlation_id)
    async with found.cluster_limit.held():
        return await _split(body, found)


async def _split(body: SplitRequest, services: Services) -> Response:
    refuse_work(await services.readiness.told_of_work())
    draft = body.to_resource_draft()
    try:
        submitted = await submit(services, draft, body.priority)
    except IdempotencyConflictError as conflict:
        raise ApiError(409, "idempotency_conflict", str(conflict), job_id=conflict.job_id) from None
    warnings = _warnings(draft, services) if submitted.created else []
    return answer_submission(services, submitted, warnings)


def _warnings(draft: ResourceDraft, services: Services) -> list[str]:
    ends = expiries(draft.urls)
    drain = services.queue_stats.snapshot(time.time()).drain_seconds if ends else None
    if drain is None:
        return []
    turn = time.time() + drain
    return [
        f"{field} expires at {end:%Y-%m-%dT%H:%M:%SZ}, before this job is expected to have its turn"
        for field, end in ends.items()
        if end.timestamp() < turn
    ]
