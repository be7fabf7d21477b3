"""One job, and the list of them."""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from splitjob.request_policy import FieldProblem
from splitjob_api.bulk_answers import make_answers
from splitjob_api.cached_job import JobFilter, JobPage, ObservedJob
from splitjob_api.cursor import CursorError, cursor_after, position_of
from splitjob_api.deps import CurrentJobsDep, Services, ServicesDep
from splitjob_api.error_catalogue import documented
from splitjob_api.etags import conditional, job_etag, known_version, page_etag
from splitjob_api.job_names import is_job_name
from splitjob_api.job_response import JobResponse, JobState, ResponsePart, observed, timestamp
from splitjob_api.problems import fields_invalid, job_not_found
from splitjob_api.request_log import note

Responses = dict[int | str, dict[str, Any]]  # as FastAPI describes them
MAX_PAGE = 500
SEVERAL = frozenset({"status"})  # the parameters that may be given several times
_NUMBER = re.compile(r"[1-9][0-9]{0,8}|0", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
NOT_MODIFIED: Responses = {
    304: {"description": "As the caller's `If-None-Match` says: nothing has changed."}
}

router = APIRouter(tags=["jobs"])


def _as_rfc3339(value: object) -> object:
    if isinstance(value, str) and not _TIME.fullmatch(value):
        raise ValueError("must be a time as 2026-01-31T20:00:00Z; a + in it is written %2B")
    return value


def _as_decimal(value: object) -> object:
    """Refuse what Python, and nobody else, reads as an integer: `1_0`, `5.0`, ` 5`."""
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        raise ValueError("must be an integer, without a sign or a zero before it")
    return value


Count = Annotated[int, BeforeValidator(_as_decimal)]
Moment = Annotated[datetime, BeforeValidator(_as_rfc3339)]


async def given_once(request: Request) -> None:
    """Refuse a parameter that is there twice and has one value: no two readers agree on which."""
    given = Counter(name for name, _ in request.query_params.multi_items())
    repeated = [name for name, times in given.items() if times > 1 and name not in SEVERAL]
    if repeated:
        message = "it is there several times, and takes one value"
        raise fields_invalid([FieldProblem(name, "invalid", message) for name in repeated])


class JobQuery(BaseModel):
    """Which jobs are wanted; without any of it all."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")

    status: list[JobState] = Field(
        default=[], description="Those in this state; may be given several times."
    )
    version_id: str | None = Field(default=None, min_length=1, max_length=128)
    model: str | None = Field(default=None, min_length=1, max_length=63)
    since: Moment | None = Field(default=None, description="Created at this time or later.")
    until: Moment | None = Field(default=None, description="Created before this time.")

    def job_filter(self) -> JobFilter:
        """Return the same as the cache of jobs takes it."""
        return JobFilter(
            states=frozenset(self.status),
            version_id=self.version_id,
            model=self.model,
            since=self.since.timestamp() if self.since else None,
            until=self.until.timestamp() if self.until else None,
        )


class JobListQuery(JobQuery):
    """Which jobs are wanted, and which part of them."""

    limit: Count = Field(default=50, ge=1, le=MAX_PAGE, description="At most so many jobs.")
    cursor: str | None = Field(
        default=None,
        min_length=1,
        max_length=512,
        description="`nextCursor` of the page before, with the same filters.",
    )


class JobList(ResponsePart):
    """A page of the list, the newest job first."""

    jobs: list[JobResponse]
    next_cursor: str | None = Field(description="Of the next page; null: this is the last.")
    observed_at: datetime = Field(description="Up to when no change is missing here.")


@router.get(
    "/jobs",
    summary="All jobs, the newest first",
    response_model=JobList,
    dependencies=[Depends(given_once)],
    responses={**NOT_MODIFIED, **documented("request_invalid", "cluster_unavailable")},
)
async def job_list(
    query: Annotated[JobListQuery, Query()], jobs: CurrentJobsDep, request: Request
) -> Response:
    """Answer with a page of the list; jobs that come and go meanwhile move no other."""
    wanted = query.job_filter()
    page = jobs.page(wanted, _position(query, wanted), query.limit)
    following = cursor_after(page.jobs[-1].position, wanted) if page.more else None
    etag = page_etag(_identities(page, following))
    await make_answers(page.jobs)
    return conditional(request, etag, _page_json(page, following))


@router.get(
    "/jobs/{job_id}",
    summary="Where a job stands",
    response_model=JobResponse,
    responses={**NOT_MODIFIED, **documented("job_not_found", "cluster_unavailable")},
)
async def job(job_id: str, services: ServicesDep, request: Request) -> Response:
    """Answer with the job's state, and what came of it."""
    found = await find_job(services, job_id, known_version(request))
    content = observed(found.job.answer(), found.observed_at)
    return conditional(request, job_etag(found.job.version), content)


async def find_job(services: Services, job_id: str, least: int = 0) -> ObservedJob:
    """Return a job: from memory, or, where it is not there or may not be told, from the cluster.

    Args:
        services: the app's.
        job_id: as the caller wrote it.
        least: the resourceVersion that the caller has, perhaps of a replica that is further on.

    Raises:
        ApiError: 404; there is none.
        ClusterUnavailableError: the cluster does not say.
    """
    found = services.jobs.cached(job_id, least)
    if found is None and is_job_name(job_id):
        async with services.cluster_limit.held():
            found = await run_in_threadpool(services.jobs.fetch, job_id)
    if found is None:
        raise job_not_found()
    job = found.job
    note(job_id=job.name, version_id=job.version_id, correlation_id=job.correlation_id)
    return found


def _position(query: JobListQuery, wanted: JobFilter) -> tuple[int, str] | None:
    if query.cursor is None:
        return None
    try:
        return position_of(query.cursor, wanted)
    except CursorError:
        message = "is none of this list: send `nextCursor` as it came, with the filters it came for"
        raise fields_invalid([FieldProblem("cursor", "invalid", message)]) from None


def _identities(page: JobPage, following: str | None) -> Iterator[str]:
    for found in page.jobs:
        yield f"{found.name} {found.version}"
    yield following or ""


def _page_json(page: JobPage, following: str | None) -> bytes:
    answers = b",".join(observed(found.answer(), page.observed_at) for found in page.jobs)
    after = b"null" if following is None else b'"%s"' % following.encode()
    at = timestamp(page.observed_at).encode()
    return b'{"jobs":[%s],"nextCursor":%s,"observedAt":"%s"}' % (answers, after, at)
