"""What became of a SplitJob: `status`, as Python models, and reading one of another version."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from splitjob.resource import EventName, Format, Model

_READINGS = 4  # a field left out may bring another one to light, not more

DECIMAL_PATTERN = r"^-?[0-9]{1,12}(\.[0-9]{1,12})?$"
Decimal = Annotated[str, Field(pattern=DECIMAL_PATTERN, max_length=26)]
ConditionStatus = Literal["True", "False", "Unknown"]


class Condition(Model):
    """One condition, as the Kubernetes API conventions define it."""

    type: str = Field(max_length=64, description="Admitted, Started, Succeeded or Notified.")
    status: ConditionStatus = Field(description="True, False or Unknown.")
    reason: str = Field(
        max_length=64, pattern=r"^[A-Za-z]([A-Za-z0-9]*)$", description="For programs, CamelCase."
    )
    message: str = Field(default="", max_length=1024, description="For people.")
    last_transition_time: datetime = Field(description="When the status last changed.")
    observed_generation: int | None = Field(
        default=None, description="The metadata.generation this was set for."
    )


class Progress(Model):
    """How far the running worker is."""

    stage: str = Field(
        max_length=32,
        description="fetch, decode, separate, encode, upload or notify.",
    )
    percent: int = Field(ge=0, le=100, description="Of the whole job.")
    updated_at: datetime | None = Field(default=None, description="When the worker said so.")


class Queue(Model):
    """Why the job waits, and how long it will."""

    position: int | None = Field(default=None, ge=0, description="1 is next; absent: not queued.")
    reason: str = Field(default="", max_length=64, description="Why it waits, for programs.")
    message: str = Field(default="", max_length=1024, description="Why it waits, for people.")
    since: datetime | None = Field(default=None, description="When this attempt began to wait.")
    eta_seconds: int | None = Field(
        default=None, ge=0, description="Expected seconds until it is done; absent: unknown."
    )
    retry_at: datetime | None = Field(
        default=None, description="When the next attempt may start, after one that failed."
    )


class Attempt(Model):
    """One Job of this SplitJob."""

    number: int = Field(ge=1, description="1 for the first.")
    job_name: str = Field(max_length=63, description="The Job of this attempt.")
    job_uid: str | None = Field(default=None, max_length=64, description="Its uid, once created.")
    pod_name: str | None = Field(default=None, max_length=253, description="Its pod.")
    node_name: str | None = Field(default=None, max_length=253, description="Where the pod ran.")
    memory_bytes: int | None = Field(
        default=None, ge=0, description="Memory limit of this attempt where it was raised."
    )
    created_at: datetime | None = Field(default=None, description="When the attempt was decided.")
    started_at: datetime | None = Field(default=None, description="When its container started.")
    ended_at: datetime | None = Field(
        default=None,
        description="When its container ended, as its node says; else when its pod was seen gone.",
    )
    stopped_at: datetime | None = Field(
        default=None, description="When its pods were gone, while the verdict was still open."
    )
    finished_at: datetime | None = Field(default=None, description="When it was settled.")
    reason: str = Field(
        default="",
        max_length=64,
        description="Why it ends, CamelCase; set before its pods are gone.",
    )
    message: str = Field(default="", max_length=1024, description="Why it ends, for people.")
    retryable: bool = Field(
        default=False, description="Whether another attempt may succeed where this one failed."
    )
    job_deleted: bool = Field(default=False, description="Whether its Job was deleted by hand.")
    progress: Progress | None = Field(
        default=None, description="How far its worker was, where that ended without a word."
    )
    evicted_pod: str | None = Field(
        default=None, max_length=253, description="The pod that went when Kueue last evicted it."
    )
    evicted_seconds: int | None = Field(
        default=None, ge=0, description="How long its containers ran before Kueue evicted them."
    )


class Stem(Model):
    """One separated stem, as it lies in the bucket."""

    type: str = Field(max_length=32, description="drums, bass, other, vocals, ...")
    url: str = Field(default="", max_length=2048, description="s3://bucket/key.")
    size: int = Field(ge=0, description="Bytes.")
    frames: int = Field(ge=0, description="Length in samples a channel.")
    sample_rate: int = Field(ge=1, description="Hz.")
    checksum: str = Field(
        pattern=r"^sha256:[0-9a-f]{64}$", max_length=71, description="Of the file."
    )
    format: Format = Field(description="Container and codec.")
    peak: Decimal = Field(description="Largest magnitude before clipping, 1 is full scale.")
    gain: Decimal = Field(description="The gain applied against clipping.")
    silent: bool = Field(default=False, description="Whether the peak is below -60 dBFS.")
    waveform: str = Field(
        default="", max_length=2048, description="Its waveform, s3://bucket/key, where asked for."
    )


class Audio(Model):
    """The mixture as it came."""

    frames: int = Field(ge=0, description="Length in samples a channel, at the source's rate.")
    sample_rate: int = Field(ge=1, description="Hz.")
    channels: int = Field(ge=1, description="Channels.")
    damaged_seconds: Decimal | None = Field(
        default=None,
        description="Seconds that could not be decoded and are silence; absent where none.",
    )
    missing_seconds: Decimal | None = Field(
        default=None,
        description="Seconds that its file says it has and does not; absent where none.",
    )
    waveform: str = Field(
        default="",
        max_length=2048,
        description="The mixture's waveform, s3://bucket/key, where asked for.",
    )


class Result(Model):
    """What a completed job gave."""

    stems: list[Stem] = Field(default=[], max_length=17, description="The stems.")
    manifest_url: str = Field(default="", max_length=2048, description="s3://bucket/key.")
    model: str = Field(max_length=63, description="The model that was run.")
    model_digest: str = Field(default="", max_length=71, description="SHA-256 of its weights.")
    device: str = Field(default="", max_length=64, description="cpu, cuda, mps.")
    audio: Audio | None = Field(default=None, description="The mixture as it came.")
    residual_dbfs: Decimal | None = Field(
        default=None,
        description="RMS of mixture minus the sum of stems, dBFS; absent for a subset.",
    )
    timings: dict[str, int] = Field(
        default={}, max_length=16, description="Milliseconds a stage took."
    )
    processing_time_ms: int = Field(default=0, ge=0, description="The worker's whole run.")


class FailureStatus(Model):
    """Why the job ended without stems."""

    code: str = Field(max_length=32, description="A stable code, e.g. source_not_found.")
    message: str = Field(max_length=1024, description="What is wrong, and what to do.")


class Usage(Model):
    """What a job that has ended took, as its final event says."""

    attempts: int = Field(default=0, ge=0, description="Jobs that were made for it.")
    gpu_seconds: Decimal = Field(
        default="0",
        description="How long their containers held their resources, with a GPU or without.",
    )


class WebhookStatus(Model):
    """The outbox: the final event and what became of it."""

    event_id: str = Field(max_length=128, description="webhook-id: the same in every attempt.")
    event: EventName = Field(description="completed, failed or canceled.")
    state: Literal["Pending", "Delivered", "NotWanted", "Blocked", "GivenUp"] = Field(
        description="What became of it."
    )
    attempts: int = Field(default=0, ge=0, description="Attempts made by the operator.")
    created_at: datetime | None = Field(default=None, description="When the event was recorded.")
    next_attempt_at: datetime | None = Field(default=None, description="When it is tried next.")
    delivered_at: datetime | None = Field(default=None, description="When a 2xx came back.")
    delivered_by: Literal["worker", "operator"] | None = Field(
        default=None, description="Who delivered it."
    )
    given_up_at: datetime | None = Field(default=None, description="When trying ended in vain.")
    last_error: str = Field(default="", max_length=512, description="Why the last attempt failed.")
    redeliveries: int = Field(default=0, ge=0, description="The spec.redeliveries already served.")


MAX_ERASED_FILES = 64
ErasedFile = Annotated[str, Field(max_length=255)]


class Erasure(Model):
    """What became of spec.erase."""

    at: datetime | None = Field(
        default=None, description="When stems and manifest were gone; absent: not yet."
    )
    objects: int = Field(default=0, ge=0, description="How many objects were erased.")
    files: list[ErasedFile] = Field(
        default=[],
        max_length=MAX_ERASED_FILES,
        description="Which: names below the job's place in the bucket, and input for the file from "
        "POST /uploads; at most 64.",
    )
    last_error: str = Field(
        default="", max_length=512, description="Why they could not be erased yet."
    )


class SplitJobStatus(Model):
    """What became of it, written by the operator alone."""

    observed_generation: int | None = Field(default=None, description="The generation last seen.")
    conditions: list[Condition] = Field(
        default=[], max_length=8, description="Admitted, Started, Succeeded, Notified."
    )
    phase: (
        Literal[
            "Queued",
            "Suspended",
            "Starting",
            "Running",
            "Finishing",
            "Completed",
            "Failed",
            "Canceled",
        ]
        | None
    ) = Field(default=None, description="A summary for people, derived from the rest.")
    progress: Progress | None = Field(default=None, description="How far the worker is.")
    queue: Queue | None = Field(default=None, description="Why it waits, and how long.")
    attempts: list[Attempt] = Field(default=[], max_length=32, description="Each Job so far.")
    job_name: str | None = Field(default=None, max_length=63, description="The latest Job.")
    result: Result | None = Field(default=None, description="What a completed job gave.")
    failure: FailureStatus | None = Field(default=None, description="Why it failed.")
    usage: Usage | None = Field(default=None, description="What it took, once it has ended.")
    webhook: WebhookStatus | None = Field(default=None, description="The final event's outbox.")
    erased: Erasure | None = Field(default=None, description="What became of spec.erase.")
    input_deleted_at: datetime | None = Field(
        default=None,
        description="When the file from POST /uploads that the job read was deleted.",
    )
    tombstone_due: bool | None = Field(
        default=None,
        description="Whether the bucket was away at the verdict, and is yet to be told of it.",
    )
    counted: bool = Field(default=False, description="Whether the totals include this job.")
    started_at: datetime | None = Field(default=None, description="When a worker first started.")
    finished_at: datetime | None = Field(default=None, description="When the verdict was given.")


def read_status(raw: Mapping[str, Any] | None) -> SplitJobStatus:
    """Return what can be read of a status, which another version may have written.

    What this version cannot read is left out, the smallest part that holds it: an entry of a list,
    or one field of the status. One object must not keep all others from being served.

    Args:
        raw: the status as the API server holds it; None where there is none.
    """
    status: Any = raw or {}
    for _ in range(_READINGS):
        try:
            return SplitJobStatus.model_validate(status)
        except ValidationError as error:
            places = {one["loc"][:2] for one in error.errors(include_input=False)}
            status = _without(status, places)
    return SplitJobStatus()


def _without(raw: Mapping[str, Any], places: Iterable[tuple[int | str, ...]]) -> dict[str, Any]:
    """Return a status without some fields, and some entries of its lists."""
    status = dict(raw)
    entries: dict[str, set[int]] = {}
    for field, *inside in places:
        if inside and isinstance(inside[0], int):
            entries.setdefault(str(field), set()).add(inside[0])
        else:
            status.pop(str(field), None)
    for name, left_out in entries.items():
        kept = enumerate(status.get(name, []))
        status[name] = [entry for number, entry in kept if number not in left_out]
    return status
