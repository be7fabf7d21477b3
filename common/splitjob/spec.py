"""What a SplitJob asks for: `spec`, as Python models."""

from typing import Annotated, Literal

from pydantic import Field

from splitjob.resource import EventName, Format, Model

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
UPLOAD_PATTERN = rf"^{_STEM}(\.waveform)?$"
MAX_UPLOADS = 36  # 16 stems and one more, the manifest, a waveform of each stem and of the mixture
HEADER_NAME_PATTERN = r"^[!#$%&'*+.^_`|~0-9a-z-]{1,128}$"

StemName = Annotated[str, Field(pattern=STEM_PATTERN, max_length=32)]
HeaderName = Annotated[str, Field(pattern=HEADER_NAME_PATTERN, max_length=128)]
ClipMode = Literal["rescale", "shared", "clamp", "none", "exact"]
DEFAULT_EVENTS: tuple[EventName, ...] = ("completed", "failed", "canceled")


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
        description="Written by the API, the time of the submission and 80 random bits: this job's "
        "events, manifest and tombstone are known by it, also where the job is restored from a "
        "backup with another uid. Leave it out of what is written by hand; absent: the uid.",
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
