"""Streams of events: one job's, and those of the list."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from splitjob_api.cached_job import Changes, JobFilter, ObservedJob
from splitjob_api.caller import caller_of
from splitjob_api.deps import CurrentJobsDep, Services, ServicesDep
from splitjob_api.error_catalogue import documented
from splitjob_api.head_only import is_head_only
from splitjob_api.job_cache import JobCache
from splitjob_api.problems import retry_later
from splitjob_api.routes.jobs import JobQuery, Responses, find_job, given_once
from splitjob_api.streams import (
    Streams,
    Subscription,
    TooManyStreamsError,
    TooManyStreamsOfCallerError,
    is_last,
    job_events,
    list_events,
)

LAG_SECONDS = 6.0  # how far one replica may be behind another that its reader was at before
LAG_PAUSE_SECONDS = 0.05
EVENTS = "text/event-stream"
# Proxies must pass on each event as it comes.
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

router = APIRouter(tags=["jobs"])


class EventStream(StreamingResponse):
    """An answer that goes on until its subscription ends, or its reader leaves.

    Args:
        streams: where the subscription is.
        subscription: given back at the end.
        events: what is sent.
    """

    media_type = EVENTS

    def __init__(
        self, streams: Streams, subscription: Subscription, events: AsyncIterator[bytes]
    ) -> None:
        super().__init__(events, headers=HEADERS)
        self._streams = streams
        self._subscription = subscription

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the stream."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._streams.unsubscribe(self._subscription)


LastEventId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        pattern="^[0-9]{1,18}$",
        description="The `id` of the last event received, from whichever replica.",
    ),
]
STREAM: Responses = {200: {"content": {EVENTS: {"schema": {"type": "string"}}}}}


@router.get(
    "/events",
    summary="What happens to all jobs, as it happens",
    status_code=200,
    response_class=EventStream,
    dependencies=[Depends(given_once)],
    responses={
        **STREAM,
        **documented(
            "request_invalid", "cluster_unavailable", "too_many_streams", "too_many_own_streams"
        ),
    },
)
async def events(
    query: Annotated[JobQuery, Query()],
    services: ServicesDep,
    jobs: CurrentJobsDep,
    request: Request,
    last_event_id: LastEventId = None,
) -> Response:
    """Answer with server-sent events of the jobs that a filter takes in.

    `job` is a job as in `GET /jobs/{id}`; one that leaves the filter is told once more. `deleted`
    names a job that is gone, `reload` says that deletions since `Last-Event-ID` are not known here,
    `resume` that the stream ends and another one goes on from the last `id`.
    """
    if is_head_only(request.scope):
        return _head()
    wanted = query.job_filter()
    since, known = await _known_version(jobs, last_event_id)
    subscription = _subscribe(services.streams, wanted, None, request)
    changes = _changes(jobs, wanted, since, known=known)
    subscription.floor = changes.version
    since = changes.version if since is None else since
    return EventStream(services.streams, subscription, list_events(subscription, since, changes))


@router.get(
    "/jobs/{job_id}/events",
    summary="What happens to a job, as it happens",
    status_code=200,
    response_class=EventStream,
    responses={
        **STREAM,
        204: {"description": "It has ended, and `Last-Event-ID` is its last event."},
        **documented(
            "job_not_found",
            "request_invalid",
            "cluster_unavailable",
            "too_many_streams",
            "too_many_own_streams",
        ),
    },
)
async def events_of_job(
    job_id: str,
    services: ServicesDep,
    jobs: CurrentJobsDep,
    request: Request,
    last_event_id: LastEventId = None,
) -> Response:
    """Answer with server-sent events: the job as it is now, and each change until it has ended."""
    found = await find_job(services, job_id)
    if is_head_only(request.scope):
        return _head()
    since, _ = await _known_version(jobs, last_event_id)
    subscription = _subscribe(services.streams, JobFilter(), job_id, request)
    subscription.floor = max(since or 0, found.job.version)
    try:
        now = await _latest(services, found)
    except BaseException:
        services.streams.unsubscribe(subscription)
        raise
    known = since is not None and now.job.version <= since
    if known and is_last(now.job):
        services.streams.unsubscribe(subscription)
        return Response(status_code=204)  # which tells an EventSource not to come back
    subscription.floor = max(since or 0, now.job.version)
    sent = job_events(subscription, None if known else now)
    return EventStream(services.streams, subscription, sent)


async def _known_version(jobs: JobCache, last_event_id: str | None) -> tuple[int | None, bool]:
    """Return from which version to go on, and whether that is one of this cluster's.

    Another replica may have been quicker; one that is never reached is of a cluster that has been
    restored from a backup since.
    """
    if last_event_id is None:
        return None, True
    for _ in range(round(LAG_SECONDS / LAG_PAUSE_SECONDS)):
        if jobs.version >= int(last_event_id):
            return int(last_event_id), True
        await asyncio.sleep(LAG_PAUSE_SECONDS)
    return None, False


def _changes(jobs: JobCache, wanted: JobFilter, since: int | None, *, known: bool) -> Changes:
    if since is None:
        return Changes([], jobs.version, known, jobs.observed_at)
    return jobs.changes(since, wanted)


async def _latest(services: Services, found: ObservedJob) -> ObservedJob:
    """Return how a job is now that its changes are subscribed to.

    Its deletion may have come just before, and is not told again then.

    Raises:
        ApiError: 404; it is gone.
        ClusterUnavailableError: it seems to be gone, and the cluster does not say.
    """
    if services.jobs.is_gone(found.job):
        return await find_job(services, found.job.name)
    cached = services.jobs.cached(found.job.name)
    return cached if cached and cached.job.version > found.job.version else found


def _subscribe(
    streams: Streams, wanted: JobFilter, name: str | None, request: Request
) -> Subscription:
    try:
        return streams.subscribe(wanted, name, caller_of(request.scope))
    except TooManyStreamsOfCallerError:
        raise retry_later(
            429, "too_many_own_streams", "you have as many streams open here as one caller may have"
        ) from None
    except TooManyStreamsError:
        raise retry_later(
            503, "too_many_streams", "as many streams are open here as there may be"
        ) from None


def _head() -> Response:
    return Response(media_type=EVENTS, headers=HEADERS)
