"""The way in: one song to separate."""

import time
from datetime import UTC, datetime

from fastapi import APIRouter, Response

from splitjob.presigned import expiry
from splitjob.request import ResourceDraft, SplitRequest
from splitjob.request_policy import NOT_ALLOWED, FieldProblem
from splitjob_api.deps import Services, ServicesDep, SplitRequestDep
from splitjob_api.error_catalogue import documented
from splitjob_api.job_response import ResponsePart
from splitjob_api.openapi import SPLIT_BODY
from splitjob_api.problems import (
    ApiError,
    fields_invalid,
    not_ready,
    retry_later,
)
from splitjob_api.request_log import note
from splitjob_api.submission import IdempotencyConflictError, Submission, Submitted

BODY_FIELDS = {"model": "aiModel", "source": "audioUrl"}

router = APIRouter(tags=["jobs"])


class SplitAnswer(ResponsePart):
    """The job that serves the request."""

    job_id: str
    warnings: list[str] | None = None


@router.post(
    "/split",
    summary="Separate a song",
    status_code=202,
    response_model_exclude_none=True,
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
def split(body: SplitRequestDep, services: ServicesDep, response: Response) -> SplitAnswer:
    """Answer 202 once the job is durable in the cluster, 200 where the request has one already."""
    note(version_id=body.version_id, correlation_id=body.correlation_id)
    if unready := services.readiness.forbids_work():
        raise not_ready([unready])
    draft = _checked(body, services)
    submission = Submission(
        services.cluster,
        draft,
        body.priority,
        retried=services.jobs.may_be_retried,
        admit=lambda: _refuse_expired_or_full(draft, services),
    )
    try:
        submitted = submission.submit()
    except IdempotencyConflictError as conflict:
        raise ApiError(409, "idempotency_conflict", str(conflict), job_id=conflict.job_id) from None
    warnings = _warnings(draft, services) if submitted.created else []
    _count(submitted, services)
    response.status_code = 202 if submitted.created else 200
    response.headers["Location"] = services.link(f"/jobs/{submitted.job_id}")
    return SplitAnswer(job_id=submitted.job_id, warnings=warnings or None)


def _checked(body: SplitRequest, services: Services) -> ResourceDraft:
    """Return the request as the cluster will hold it.

    Raises:
        ApiError: 422; first what is wrong with the fields, then what the allowlist says.
    """
    draft = body.to_resource_draft()
    found = services.policy.problems(draft.request, draft.urls, draft.headers)
    fields = [_in_body(problem) for problem in found if problem.code != NOT_ALLOWED]
    if fields:
        raise fields_invalid(fields)
    for problem in found:
        raise ApiError(422, "webhook_not_allowed", problem.message, errors=[problem])
    return draft


def _expired(draft: ResourceDraft) -> list[FieldProblem]:
    now = datetime.now(UTC)
    return [
        FieldProblem(field, "expired", f"this presigned URL expired at {end:%Y-%m-%dT%H:%M:%SZ}")
        for field, end in _expiries(draft).items()
        if end <= now
    ]


def _warnings(draft: ResourceDraft, services: Services) -> list[str]:
    drain = services.queue_stats.snapshot(time.time()).drain_seconds
    if drain is None:
        return []
    turn = time.time() + drain
    return [
        f"{field} expires at {end:%Y-%m-%dT%H:%M:%SZ}, before this job is expected to have its turn"
        for field, end in _expiries(draft).items()
        if end.timestamp() < turn
    ]


def _expiries(draft: ResourceDraft) -> dict[str, datetime]:
    """Return when each presigned URL of a request ends, in UTC, by its field in the body."""
    ends = {
        BODY_FIELDS.get(field, field): expiry(url.whole)
        for field, url in draft.urls.items()
        if field != "webhook"
    }
    return {field: end.astimezone(UTC) for field, end in ends.items() if end is not None}


def _refuse_expired_or_full(draft: ResourceDraft, services: Services) -> None:
    """Refuse what no new job can be made of; one that is there already serves it all the same.

    Raises:
        ApiError: 422 where a presigned URL has expired, 429 where too many jobs wait.
    """
    if expired := _expired(draft):
        raise fields_invalid(expired)
    limit = services.settings.max_queued_jobs
    if limit and services.queue_stats.snapshot(time.time()).queued >= limit:
        raise retry_later(429, "queue_full", f"{limit} jobs wait already")


def _count(submitted: Submitted, services: Services) -> None:
    note(job_id=submitted.job_id)
    if submitted.created:
        services.queue_stats.accepted(submitted.splitjob)
    services.metrics.submissions.labels("created" if submitted.created else "repeated").inc()


def _in_body(problem: FieldProblem) -> FieldProblem:
    """Return a problem under the field's name in the body."""
    return problem._replace(field=BODY_FIELDS.get(problem.field, problem.field))
