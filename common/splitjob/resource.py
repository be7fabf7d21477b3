"""The SplitJob resource: `splitjobs.audio.track-tree.com`, v1alpha1, as Python models.

These models are the source of the CustomResourceDefinition (`splitjob.crd` turns them into one), so
each description here is what `kubectl explain splitjob` prints. Numbers are integers or decimal
strings, never floats, as the Kubernetes API conventions ask.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

GROUP = "audio.track-tree.com"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "SplitJob"
PLURAL = "splitjobs"
SINGULAR = "splitjob"
SHORT_NAMES = ("splits",)

SECRET_TYPE = f"{GROUP}/source"
LABEL_INTENT = f"{GROUP}/intent"
LABEL_SPLITJOB = f"{GROUP}/splitjob"
LABEL_ATTEMPT = f"{GROUP}/attempt"
ANNOTATION_GENERATION = f"{GROUP}/generation"  # which SplitJob of its intent: 0, 1, ...
MAX_NAME_LENGTH = 52  # a Job's name is <name>-<attempt>, its pods' labels must still fit in 63

_READINGS = 4  # a field left out may bring another one to light, not more

VERSION_ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
MODEL_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$"
_STEM = r"[a-z0-9][a-z0-9_]{0,31}"
STEM_PATTERN = f"^{_STEM}$"
# Printable ASCII without ? and #: the API server's regular expressions and Python's must mean the
# same, and their \s do not.
PLAIN_URL_PATTERN = r'^https?://[!"$->@-~]+$'
SOURCE_URL_PATTERN = r'^(https?|s3)://[!"$->@-~]+$'
# A DNS subdomain, as the API server asks of a name: ".." or "a/b" would lead to another address.
_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
OBJECT_NAME_PATTERN = rf"^{_LABEL}(\.{_LABEL})*$"
DECIMAL_PATTERN = r"^-?[0-9]{1,12}(\.[0-9]{1,12})?$"

UPLOAD_PATTERN = rf"^{_STEM}(\.waveform)?$"
MAX_UPLOADS = 36  # 16 stems and one more, the manifest, a waveform of each stem and of the mixture

HEADER_NAME_PATTERN = r"^[!#$%&'*+.^_`|~0-9a-z-]{1,128}$"

StemName = Annotated[str, Field(pattern=STEM_PATTERN, max_length=32)]
HeaderName = Annotated[str, Field(pattern=HEADER_NAME_PATTERN, max_length=128)]
Decimal = Annotated[str, Field(pattern=DECIMAL_PATTERN, max_length=26)]
Format = Literal["wav", "flac", "mp3", "m4a", "opus"]
ClipMode = Literal["rescale", "shared", "clamp", "none", "exact"]
EventName = Literal["started", "progress", "completed", "failed", "canceled"]
ConditionStatus = Literal["True", "False", "Unknown"]
DEFAULT_EVENTS: tuple[EventName, ...] = ("completed", "failed", "canceled")


class Model(BaseModel):
    """A part of the resource: camelCase in the cluster, snake_case in Python."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="ignore",
        use_enum_values=True,
        hide_input_in_errors=True,  # what a validation error prints must hold no secret
        defer_build=True,  # programs that use a few of these models pay for those few
    )


class Location(Model):
    """A URL. What follows a `?` is a bearer secret and stands in the Secret, never here."""

    url: str = Field(
        pattern=PLAIN_URL_PATTERN,
        max_length=2048,
        description="The URL without query and fragment.",
    )
    secret_key: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$",
        max_length=63,
        description="The key, in the Secret that spec.request.secretName names, under which the "
        "whole URL stands. Absent: `url` is the whole.",
    )


class Source(Location):
    """Where the audio is: at a URL, or in the installation's bucket, sent by POST /uploads."""

    url: str = Field(
        pattern=SOURCE_URL_PATTERN,
        max_length=2048,
        description="The URL without query and fragment, or the s3:// address of a file that came "
        "by POST /uploads.",
    )


class Upload(Location):
    """Where one file goes. What follows a `?`, and headers' values, stand in the Secret only."""

    headers: list[HeaderName] | None = Field(
        default=None,
        max_length=8,
        description="The names of the headers to send, in lower case. Their values stand in that "
        "Secret under headers.<name of this entry>, as a JSON object by name.",
    )


class Webhook(Location):
    """Where the events of this job go, and which."""

    events: list[EventName] = Field(
        default=list(DEFAULT_EVENTS),
        max_length=5,
        description="The events to send. It filters delivery only: the final event of every job "
        "stays on record in status.webhook.",
    )


class Request(Model):
    """All that was asked. Immutable."""

    version_id: str = Field(
        pattern=VERSION_ID_PATTERN,
        max_length=128,
        description="The caller's name of the song version; part of the storage keys.",
    )
    correlation_id: str | None = Field(
        default=None, max_length=256, description="Echoed in every webhook and log line."
    )
    model: str = Field(
        pattern=MODEL_PATTERN, max_length=63, description="The separation model, e.g. htdemucs."
    )
    source: Source = Field(description="The audio to separate.")
    webhook: Webhook = Field(description="Who hears of it.")
    secret_name: str | None = Field(
        default=None,
        pattern=OBJECT_NAME_PATTERN,
        max_length=253,
        description="A Secret of type audio.track-tree.com/source in the same namespace, with the "
        "whole URLs of this request.",
    )
    stems: list[StemName] | None = Field(
        default=None,
        min_length=1,
        max_length=16,
        description="The stems wanted; absent: all that the model gives.",
    )
    remainder: bool = Field(
        default=False,
        description="Also give the mixture minus the stems asked for: no_<stem> for one stem, "
        "remainder for several.",
    )
    format: Format = Field(default="wav", description="The container and codec of the stems.")
    bit_depth: Literal[16, 24, 32] | None = Field(
        default=None,
        description="Bits a sample: wav 16 (default), 24, 32 (float); flac 16 (default), 24.",
    )
    bitrate_kbps: int | None = Field(
        default=None, ge=8, le=512, description="Bit rate of mp3, m4a and opus, in kbit/s."
    )
    clip_mode: ClipMode = Field(
        default="rescale",
        description="What is done where a stem exceeds full scale: rescale (each stem by itself), "
        "shared (one gain for all, so that they still sum to the mixture up to rounding), clamp, "
        "none; exact: one gain for all, and they sum to the mixture, at that gain in 24 bits, to "
        "the last bit (all stems of the model, bitDepth 24 or 32).",
    )
    residual_to: StemName | None = Field(
        default=None,
        description="With clipMode exact, the stem that takes what the model left over of the "
        "mixture: one of the model's, or residual for one more; absent: other where the model has "
        "it, else residual.",
    )
    shifts: int = Field(
        default=0, ge=0, le=20, description="Random shifts averaged: better, n times slower."
    )
    overlap_permille: int = Field(
        default=250, ge=0, le=900, description="Overlap of the model's segments, in thousandths."
    )
    seed: int | None = Field(
        default=None,
        ge=0,
        le=2**53 - 1,
        description="Seed of the shifts; absent: derived from the name, so that a retry gives the "
        "same bytes.",
    )
    waveforms: bool = Field(
        default=False,
        description="Also give <stem>.waveform.json beside each stem, and mixture.waveform.json: "
        "audiowaveform's format, version 2, 8 bit, 100 points a second.",
    )
    uploads: dict[str, Upload] | None = Field(
        default=None,
        max_length=MAX_UPLOADS,
        description="Presigned PUT URLs, one per stem and one called manifest, with waveforms also "
        "<stem>.waveform and mixture.waveform, each with the names of the headers it needs. With "
        "them no storage credentials are used.",
    )
    metadata: dict[str, Annotated[str, Field(max_length=1024)]] | None = Field(
        default=None, max_length=16, description="The caller's own pairs, echoed in every webhook."
    )
    idempotency_key: str | None = Field(
        default=None, max_length=256, description="The caller's key, where one was given."
    )
    submission_id: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{32}$",
        max_length=32,
        description="Random, written by the API: this job's events, manifest and tombstone are "
        "known by it, also where the job is restored from a backup with another uid. Leave it out "
        "of what is written by hand; absent: the uid.",
    )
    intent: str | None = Field(
        default=None,
        pattern=r"^[0-9a-f]{64}$",
        max_length=64,
        description="SHA-256 of the request in canonical form, without the URLs' queries.",
    )
    queue_deadline_seconds: int | None = Field(
        default=None, ge=1, le=604800, description="The longest wait in the queue, per attempt."
    )
    run_deadline_seconds: int | None = Field(
        default=None,
        ge=1,
        le=86400,
        description="The longest run once the container has started, per attempt.",
    )


class SplitJobSpec(Model):
    """What is wanted: the immutable request, and the few things that may change."""

    request: Request = Field(description="All that was asked. Immutable.")
    suspend: bool = Field(
        default=False, description="Hold this job back: no attempt is started while it is true."
    )
    priority: int = Field(
        default=0, ge=-100, le=100, description="Higher goes first; equal ones by age."
    )
    ttl_seconds_after_finished: int | None = Field(
        default=None,
        ge=0,
        le=31536000,
        description="How long the finished job is kept, counted from the later of its end and its "
        "webhook's delivery (or giving up). Absent: the installation's setting.",
    )
    canceled: bool = Field(default=False, description="Set to true to cancel; cannot be unset.")
    redeliveries: int = Field(
        default=0,
        ge=0,
        le=1000,
        description="Raise by one to have the final webhook sent again, with the same id.",
    )
    erase: bool = Field(
        default=False,
        description="Set to true to have what the bucket holds of the job erased once it has "
        "ended; cannot be unset.",
    )


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


class Erasure(Model):
    """What became of spec.erase."""

    at: datetime | None = Field(
        default=None, description="When stems and manifest were gone; absent: not yet."
    )
    objects: int = Field(default=0, ge=0, description="How many objects were erased.")
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
