"""What can be done to a job: cancel it, have its webhook sent again, try its request anew."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool

from splitjob.lifecycle import LifecycleState, lifecycle_of
from splitjob_api.admission import answer_submission, refuse_work, submit
from splitjob_api.cluster_route import ClusterRoute
from splitjob_api.deps import ServicesDep
from splitjob_api.error_catalogue import documented
from splitjob_api.job_response import JobResponse, SplitAnswer, job_response
from splitjob_api.job_retry import RetryRequest, read_request, retry_draft
from splitjob_api.kubernetes import SplitJobObject
from splitjob_api.openapi import RETRY_BODY
from splitjob_api.problems import ApiError
from splitjob_api.request_body import parse_object, validate
from splitjob_api.spec_change import change_spec, existing_job

MAX_REDELIVERIES = 1000  # as the resource says

router = APIRouter(tags=["jobs"], route_class=ClusterRoute)


async def no_body(request: Request) -> None:
    """Refuse a body where it would mean nothing.

    The signature of a body says nothing of the path: that of a captured request would do here.
    """
    if await request.body():
        raise ApiError(400, "body_not_expected", "this call takes no body; sign method and path")


async def retry_request(request: Request) -> RetryRequest | None:
    """Return the body of a retry, None where there is none."""
    body = await request.body()
    return validate(RetryRequest, parse_object(body)) if body else None


RetryRequestDep = Annotated[RetryRequest | None, Depends(retry_request)]


@router.delete(
    "/jobs/{job_id}",
    summary="Cancel a job",
    status_code=202,
    responses={
        200: {"model": JobResponse, "description": "It has ended already, and stays as it is."},
        **documented("job_not_found", "cluster_unavailable", "not_ready"),
    },
)
def cancel(job_id: str, services: ServicesDep, response: Response) -> JobResponse:
    """Answer 202 while it is being canceled, 200 where it has ended, however it did.

    A job that waits never starts; a worker that runs is stopped. Where it completes at the same
    moment, its manifest decides, and its state says what came of it.
    """
    splitjob = change_spec(services, job_id, _cancellation)
    if lifecycle_of(splitjob).finished:
        response.status_code = 200
    return job_response(splitjob, datetime.now(UTC))


@router.post(
    "/jobs/{job_id}/redeliver",
    summary="Send the final webhook again",
    status_code=202,
    dependencies=[Depends(no_body)],
    responses=documented(
        "body_not_expected",
        "job_not_found",
        "not_finished",
        "nothing_to_send",
        "redeliveries_exhausted",
        "cluster_unavailable",
        "not_ready",
    ),
)
def redeliver(job_id: str, services: ServicesDep) -> JobResponse:
    """Answer 202 once it is to be sent again, with the same `webhook-id`, by a new schedule."""
    splitjob = change_spec(services, job_id, _one_more_delivery)
    return job_response(splitjob, datetime.now(UTC))


@router.post(
    "/jobs/{job_id}/retry",
    summary="Try the request of a failed or canceled job anew",
    status_code=202,
    response_model=SplitAnswer,
    responses={
        200: {"model": SplitAnswer, "description": "Another job serves the request already."},
        **documented(
            "json_invalid",
            "job_not_found",
            "not_finished",
            "already_completed",
            "not_retryable",
            "erased",
            "input_deleted",
            "request_invalid",
            "webhook_not_allowed",
            "queue_full",
            "cluster_unavailable",
            "not_ready",
        ),
    },
    openapi_extra={"requestBody": RETRY_BODY},
)
async def retry(job_id: str, body: RetryRequestDep, services: ServicesDep) -> Response:
    """Answer 202 with a new job, or 200 with the one that serves the same request already."""
    async with services.cluster_limit.held():
        refuse_work(await services.readiness.told_of_work())
        splitjob = await run_in_threadpool(existing_job, services, job_id)
        _refuse_unless_failed(splitjob)
        request, priority = read_request(splitjob)
        draft = retry_draft(request, priority, body)
        submitted = await submit(services, draft, priority, _without_input(splitjob))
        return answer_submission(services, submitted)


def _cancellation(splitjob: SplitJobObject) -> dict[str, Any]:
    settled = lifecycle_of(splitjob).finished or splitjob["spec"].get("canceled")
    return {} if settled else {"canceled": True}


def _one_more_delivery(splitjob: SplitJobObject) -> dict[str, Any]:
    if not lifecycle_of(splitjob).finished:
        raise ApiError(409, "not_finished", "the job has not ended, so it has no final webhook yet")
    if splitjob["status"].get("webhook", {}).get("state") == "NotWanted":
        raise ApiError(
            409, "nothing_to_send", "the request's `events` do not ask for the event it ended in"
        )
    sent = int(splitjob["spec"].get("redeliveries", 0))
    if sent >= MAX_REDELIVERIES:
        raise ApiError(
            409, "redeliveries_exhausted", f"it was asked for {MAX_REDELIVERIES} times already"
        )
    return {"redeliveries": sent + 1}


def _without_input(splitjob: SplitJobObject) -> ApiError | None:
    """Return why a job cannot be done anew whose file from POST /uploads went with its end."""
    deleted = splitjob.get("status", {}).get("inputDeletedAt")
    if deleted is None:
        return None
    return ApiError(
        410,
        "input_deleted",
        f"the file from POST /uploads that it read was deleted at {deleted}, with the job's end: "
        "send it again, then POST /split with the new audioUrl",
    )


def _refuse_unless_failed(splitjob: SplitJobObject) -> None:
    state = lifecycle_of(splitjob)
    if not state.finished:
        raise ApiError(409, "not_finished", "the job has not ended: cancel it first, or wait")
    if state is LifecycleState.COMPLETED and splitjob["spec"].get("erase"):
        raise ApiError(410, "erased", "the stems were erased: send the request to POST /split anew")
    if state is LifecycleState.COMPLETED:
        raise ApiError(409, "already_completed", "the job is completed: its stems are there")
