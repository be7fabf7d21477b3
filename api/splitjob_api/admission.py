"""Whether a new job may be made, how it is, and who is told once it is."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime

from fastapi.responses import JSONResponse

from splitjob.presigned import expiry
from splitjob.request import ResourceDraft
from splitjob.request_policy import NOT_ALLOWED, FieldProblem
from splitjob.urls import WebUrl
from splitjob_api.deps import Services
from splitjob_api.job_response import SplitAnswer
from splitjob_api.problems import ApiError, fields_invalid, not_ready, retry_later
from splitjob_api.request_log import note
from splitjob_api.submission import Submission, Submitted
from splitjob_kube.preconditions import Unready

BODY_FIELDS = {"model": "aiModel", "source": "audioUrl"}


def refuse_work(unready: Unready | None) -> None:
    """Refuse what would be work for the operator, while something keeps it from being done.

    Args:
        unready: what (`Readiness.forbids_work`, `Readiness.told_of_work`); None: nothing does.

    Raises:
        ApiError: 503; it says what.
    """
    if unready:
        raise not_ready([unready])


async def submit(
    services: Services, draft: ResourceDraft, priority: int, hopeless: ApiError | None = None
) -> Submitted:
    """Return the SplitJob that serves a request, made now or before.

    Args:
        services: the app's.
        draft: the checked request.
        priority: its priority.
        hopeless: why a new job could only fail; None: nothing is known to be in its way.

    Raises:
        ApiError: the installation does not serve the request, or takes no new job now.
        IdempotencyConflictError: its idempotency key stands for another request.
        ClusterUnavailableError: the same request may be sent again later.
    """
    refuse_unservable(services, draft)
    ends = expiries(draft.urls)
    submission = Submission(
        services.cluster.submissions,
        draft,
        priority,
        retried=services.jobs.may_be_retried,
        absent=services.jobs.is_absent,
        refusal=lambda: hopeless or refused_as_expired_or_full(services, ends),
    )
    return await submission.submit()


def answer_submission(
    services: Services, submitted: Submitted, warnings: list[str] | None = None
) -> JSONResponse:
    """Have a submission counted, and return its answer: 202 where the job is new, else 200.

    It is whole, for the framework would take one more thread to make it so.
    """
    note_submission(services, submitted)
    answer = SplitAnswer(job_id=submitted.job_id, warnings=warnings or None)
    return JSONResponse(
        answer.model_dump(by_alias=True, exclude_none=True),
        202 if submitted.created else 200,
        {"Location": services.link(f"/jobs/{submitted.job_id}")},
    )


def refuse_unservable(services: Services, draft: ResourceDraft) -> None:
    """Refuse a request that this installation does not serve.

    Raises:
        ApiError: 422; first what is wrong with the fields, then what the allowlist says.
    """
    found = services.policy.problems(draft.request, draft.urls, draft.headers)
    fields = [_in_body(problem) for problem in found if problem.code != NOT_ALLOWED]
    if fields:
        raise fields_invalid(fields)
    for problem in found:
        raise ApiError(422, "webhook_not_allowed", problem.message, errors=[problem])


def refused_as_expired_or_full(services: Services, ends: Mapping[str, datetime]) -> ApiError | None:
    """Return why no new job can be made; one that is there already serves a request all the same.

    That is a 422 where a presigned URL has expired, a 429 where too many jobs wait.

    Args:
        services: the app's.
        ends: of the request's presigned URLs (`expiries`).
    """
    now = datetime.now(UTC)
    expired = [
        FieldProblem(field, "expired", f"this presigned URL expired at {end:%Y-%m-%dT%H:%M:%SZ}")
        for field, end in ends.items()
        if end <= now
    ]
    if expired:
        return fields_invalid(expired)
    limit = services.settings.max_queued_jobs
    if limit and services.queue_stats.snapshot(time.time()).queued >= limit:
        return retry_later(429, "queue_full", f"{limit} jobs wait already")
    return None


def expiries(urls: Mapping[str, WebUrl]) -> dict[str, datetime]:
    """Return when each presigned URL of a request ends, in UTC, by its field in the body.

    Args:
        urls: by field as the resource names it; a webhook's query means something else.
    """
    ends = {
        BODY_FIELDS.get(field, field): expiry(url.whole)
        for field, url in urls.items()
        if field != "webhook"
    }
    return {field: end.astimezone(UTC) for field, end in ends.items() if end is not None}


def note_submission(services: Services, submitted: Submitted) -> None:
    """Have a job that a request has come to counted, named in the log, and told as it is now."""
    note(job_id=submitted.job_id)
    services.jobs.note_answer(submitted.splitjob)
    if submitted.created:
        services.queue_stats.accepted(submitted.splitjob)
    services.metrics.submissions.labels("created" if submitted.created else "repeated").inc()


def _in_body(problem: FieldProblem) -> FieldProblem:
    """Return a problem under the field's name in the body."""
    return problem._replace(field=BODY_FIELDS.get(problem.field, problem.field))
