"""A SplitJob as callers see it: the answer of `GET /jobs/{id}`."""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from splitjob.lifecycle import LifecycleState, lifecycle_of
from splitjob.resource import EventName
from splitjob.status import SplitJobStatus, WebhookStatus, read_status
from splitjob.usage import usage_of
from splitjob.webhook import result_fields


class JobState(StrEnum):
    """The states of a job that callers are told."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"


# Why a job waits is in the answer's `queue`.
_TOLD_AS_QUEUED = {LifecycleState.SUSPENDED, LifecycleState.CANCELING, LifecycleState.PENDING}


class ResponsePart(BaseModel):
    """A part of an answer, in camelCase."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class SplitAnswer(ResponsePart):
    """The job that serves a request."""

    job_id: str
    warnings: list[str] | None = None


class ProgressResponse(ResponsePart):
    """How far the worker is."""

    stage: str = Field(description="fetch, decode, separate, encode, upload or notify.")
    percent: int = Field(description="Of the whole job.")


class QueueResponse(ResponsePart):
    """Why the job waits."""

    position: int | None = Field(
        default=None, description="1 is next; null: it has none, while it starts, or is held back."
    )
    reason: str = Field(
        description="For programs: Queued, Suspended, InstallationPaused, QuotaExceeded, "
        "Unschedulable, PodRefused, JobRefused, NameTaken, StorageUnavailable, SecretMissing, "
        "Retrying, Starting or PullingImage."
    )
    message: str = Field(description="For people.")
    eta_seconds: int | None = Field(
        default=None, description="Expected seconds until it is done; null: not known."
    )
    retry_at: datetime | None = Field(
        default=None, description="When the next attempt may start, after one that failed."
    )


class FailureResponse(ResponsePart):
    """Why there are no stems."""

    code: str = Field(description="As errorCode in the webhook.")
    message: str = Field(description="What is wrong, and what to do.")


class WebhookResponse(ResponsePart):
    """What became of the final event."""

    event: EventName
    state: str = Field(description="Pending, Delivered, NotWanted, Blocked or GivenUp.")
    attempts: int = Field(description="Made by the operator so far.")
    next_attempt_at: datetime | None = None
    delivered_at: datetime | None = None
    last_error: str | None = None


class ErasedResponse(ResponsePart):
    """What of the job was erased."""

    at: datetime = Field(description="When it was gone.")
    objects: int = Field(description="How many files that were.")
    files: list[str] = Field(
        description="Which: stems, waveforms and manifest by their names, and `input`, the file "
        "from POST /uploads; at most 64."
    )


class JobResponse(ResponsePart):
    """A job: where it stands, and what came of it."""

    job_id: str
    version_id: str
    correlation_id: str | None = None
    ai_model: str
    metadata: dict[str, str] = Field(description="The caller's own pairs.")
    state: JobState
    priority: int
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    attempts: int = Field(description="Workers tried so far.")
    gpu_seconds: float | None = Field(
        default=None,
        description="Of a finished job: how long their containers held their resources, with a "
        "GPU or without, as in its webhook.",
    )
    cancel_requested: bool = Field(
        description="Whether it is to be canceled; the state says so once it is."
    )
    erase_requested: bool = Field(
        description="Whether its data are to be erased; `erased` says once they are."
    )
    erased: ErasedResponse | None = Field(
        default=None, description="Of a job whose data were erased."
    )
    progress: ProgressResponse | None = Field(default=None, description="While a worker runs.")
    queue: QueueResponse | None = Field(default=None, description="While it waits.")
    result: dict[str, Any] | None = Field(
        default=None, description="Of a completed job: the same fields as in its webhook."
    )
    failure: FailureResponse | None = Field(
        default=None, description="Of a failed or canceled job."
    )
    webhook: WebhookResponse | None = Field(default=None, description="Of a finished job.")
    observed_at: datetime = Field(description="Up to when no change of it is missing here.")


def job_response(splitjob: Mapping[str, Any], observed_at: datetime | None = None) -> JobResponse:
    """Return a SplitJob as callers see it.

    The request is shown as it stands: one that was written by hand, past an older schema, may be
    none that we would serve, and its job is to be seen all the same.

    Args:
        splitjob: the API server's JSON.
        observed_at: when it was so; None: now.
    """
    spec = splitjob["spec"]
    request = spec.get("request", {})
    status = read_status(splitjob.get("status"))
    state = lifecycle_of(splitjob)
    usage = usage_of(status)
    return JobResponse(
        job_id=splitjob["metadata"]["name"],
        version_id=request.get("versionId", ""),
        correlation_id=request.get("correlationId"),
        ai_model=request.get("model", ""),
        metadata=request.get("metadata") or {},
        state=job_state(state),
        priority=spec.get("priority", 0),
        created_at=splitjob["metadata"]["creationTimestamp"],
        started_at=status.started_at,
        finished_at=status.finished_at,
        attempts=usage.attempts,
        gpu_seconds=float(usage.gpu_seconds) if state.finished else None,
        cancel_requested=bool(spec.get("canceled")),
        erase_requested=bool(spec.get("erase")),
        erased=_erased(status),
        progress=_progress(status) if state is LifecycleState.RUNNING else None,
        queue=_queue(status) if not state.finished else None,
        result=result_fields(status.result) if status.result else None,
        failure=_failure(status)
        if state in {LifecycleState.FAILED, LifecycleState.CANCELED}
        else None,
        webhook=_webhook(status.webhook) if status.webhook else None,
        observed_at=observed_at or datetime.now(UTC),
    )


def answer_json(splitjob: Mapping[str, Any]) -> bytes:
    """Return the same as JSON without `observedAt`, which `observed` adds: so it can be kept."""
    answer = job_response(splitjob)
    return answer.model_dump_json(by_alias=True, exclude={"observed_at"}).encode()


def observed(answer: bytes, at: float) -> bytes:
    """Return an answer of `answer_json` with `observedAt`.

    Args:
        answer: the JSON object.
        at: Unix time.
    """
    return b'%s,"observedAt":"%s"}' % (answer[:-1], timestamp(at).encode())


def timestamp(at: float) -> str:
    """Return a Unix time as it stands in answers, in UTC, to the millisecond."""
    moment = datetime.fromtimestamp(at, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def job_state(state: LifecycleState) -> JobState:
    """Return how far a job is in the words that callers are told."""
    return JobState.QUEUED if state in _TOLD_AS_QUEUED else JobState(state.value)


def _progress(status: SplitJobStatus) -> ProgressResponse | None:
    if status.progress is None:
        return None
    return ProgressResponse(stage=status.progress.stage, percent=status.progress.percent)


def _queue(status: SplitJobStatus) -> QueueResponse | None:
    if status.queue is None:
        return None
    queue = status.queue
    return QueueResponse(
        position=queue.position,
        reason=queue.reason,
        message=queue.message,
        eta_seconds=queue.eta_seconds,
        retry_at=queue.retry_at,
    )


def _failure(status: SplitJobStatus) -> FailureResponse | None:
    if status.failure is None:
        return None
    return FailureResponse(code=status.failure.code, message=status.failure.message)


def _erased(status: SplitJobStatus) -> ErasedResponse | None:
    if status.erased is None or status.erased.at is None:
        return None
    return ErasedResponse(
        at=status.erased.at, objects=status.erased.objects, files=status.erased.files
    )


def _webhook(webhook: WebhookStatus) -> WebhookResponse:
    return WebhookResponse(
        event=webhook.event,
        state=webhook.state,
        attempts=webhook.attempts,
        next_attempt_at=webhook.next_attempt_at,
        delivered_at=webhook.delivered_at,
        last_error=webhook.last_error or None,
    )
