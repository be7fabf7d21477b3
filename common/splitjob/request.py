"""The body of `POST /split`, and what becomes of it: a resource and the secrets beside it.

`SplitRequest` knows shapes (types, ranges, lengths); what depends on the installation is
`splitjob.request_policy`'s.
"""

from typing import Annotated, Literal, NamedTuple

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from splitjob import workload
from splitjob.resource import EventName, Format
from splitjob.spec import (
    DEFAULT_EVENTS,
    MAX_UPLOADS,
    MODEL_PATTERN,
    STEM_PATTERN,
    UPLOAD_PATTERN,
    VERSION_ID_PATTERN,
    ClipMode,
    Location,
    Request,
    Source,
    Upload,
    Webhook,
)
from splitjob.upload_policy import MAX_HEADERS, encode_headers
from splitjob.urls import STORED, SourceUrl, WebUrl, plain_url

__all__ = [
    "ResourceDraft",
    "SplitRequest",
    "Stem",
    "UploadField",
    "UploadName",
    "UploadRequest",
    "locate",
    "locate_source",
    "locate_upload",
]

MAX_SEED = 2**53 - 1  # what every JSON library can hold exactly
_TEXT = r"^[^\x00-\x1f\x7f]*$"  # no control characters
_HEADER_NAME = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"
_STRICT = ConfigDict(
    alias_generator=to_camel,
    extra="forbid",
    strict=True,
    allow_inf_nan=False,
    hide_input_in_errors=True,
)
_WEB_URL = TypeAdapter(WebUrl)


Stem = Annotated[str, Field(pattern=STEM_PATTERN)]
UploadName = Annotated[str, Field(pattern=UPLOAD_PATTERN)]
MetadataName = Annotated[str, Field(min_length=1, max_length=128, pattern=_TEXT)]
MetadataValue = Annotated[str, Field(max_length=1024)]
HeaderName = Annotated[str, Field(pattern=_HEADER_NAME, max_length=128)]
HeaderValue = Annotated[str, Field(max_length=1024)]
EVENT_ORDER: tuple[EventName, ...] = ("started", "progress", "completed", "failed", "canceled")


class ResourceDraft(NamedTuple):
    """A request as the cluster holds it.

    Attributes:
        request: for `spec.request`; without `secretName` and `intent`, which come with the names.
        secrets: whole URLs and headers that must stand in a Secret, by key.
        urls: all its URLs, by field as the resource names it.
        headers: the headers of each upload, by the upload's name.
    """

    request: Request
    secrets: dict[str, str]
    urls: dict[str, WebUrl]
    headers: dict[str, dict[str, str]]


class UploadRequest(BaseModel):
    """Where one file goes."""

    model_config = ConfigDict(**_STRICT, title="Upload")

    url: WebUrl = Field(description="A presigned PUT URL.")
    headers: dict[HeaderName, HeaderValue] = Field(
        default={},
        max_length=MAX_HEADERS,
        repr=False,
        description="Headers to send with the PUT, such as content-type, x-amz-storage-class or "
        "x-ms-blob-type: all that the URL's signature covers, with the values that were signed. "
        "1 KiB in all; not Host, Content-Length, Authorization, or those of the connection.",
    )


def _plain_or_with_headers(
    given: object, with_headers: ValidatorFunctionWrapHandler
) -> UploadRequest:
    if isinstance(given, str):
        return UploadRequest.model_construct(url=_WEB_URL.validate_python(given), headers={})
    if not isinstance(given, dict | UploadRequest):
        raise PydanticCustomError("upload_type", "must be a URL, or an object with url and headers")
    upload: UploadRequest = with_headers(given)
    return upload


UploadField = Annotated[
    UploadRequest,
    WrapValidator(_plain_or_with_headers, json_schema_input_type=WebUrl | UploadRequest),
]


class SplitRequest(BaseModel):
    """A song to separate, and where to tell that it is done."""

    model_config = ConfigDict(**_STRICT, title="SplitRequest")

    version_id: str = Field(
        pattern=VERSION_ID_PATTERN,
        max_length=128,
        description="Your name of the song's version: 1 to 128 letters, digits, dots, hyphens and "
        "underscores, beginning with a letter or digit. Part of the storage keys.",
    )
    audio_url: SourceUrl = Field(
        description="Where the audio is: usually a presigned GET URL, or the `audioUrl` that "
        "POST /uploads gave."
    )
    ai_model: str = Field(
        pattern=MODEL_PATTERN, max_length=63, description="The model, one of GET /models."
    )
    webhook: WebUrl = Field(description="Where events go; it must be on the service's allowlist.")
    correlation_id: str | None = Field(
        default=None,
        max_length=256,
        pattern=_TEXT,
        description="Your own reference, echoed in every webhook and log line.",
    )
    stems: list[Stem] | None = Field(
        default=None, min_length=1, max_length=16, description="The stems wanted; by default all."
    )
    remainder: bool = Field(
        default=False,
        description="Also give the mixture minus `stems`: `no_vocals` for `[vocals]`, `remainder` "
        "for several.",
    )
    format: Format | Literal["aac"] = Field(
        default="wav", description="Container and codec of the stems; aac is another name of m4a."
    )
    bit_depth: Literal[16, 24, 32] | None = Field(
        default=None, description="wav: 16 (default), 24 or 32 (float); flac: 16 (default) or 24."
    )
    bitrate_kbps: int | None = Field(
        default=None, ge=8, le=512, description="Bit rate of mp3, m4a and opus, in kbit/s."
    )
    clip_mode: ClipMode = Field(
        default="rescale",
        description="Where a stem exceeds full scale: rescale that stem, one `shared` gain for "
        "all, clamp, or none. With `exact`, one gain for all, the stems sum to the mixture (at "
        "that gain, rounded to 24 bits) to the last bit: all stems of the model, `bitDepth` 24, or "
        "32 of wav.",
    )
    residual_to: Stem | None = Field(
        default=None,
        description="With `clipMode` `exact`: the stem that takes what the model left over of the "
        "mixture, or `residual` for one more stem; by default `other` where the model has it, else "
        "`residual`.",
    )
    shifts: int = Field(
        default=0, ge=0, le=20, description="Random shifts averaged: better, n times slower."
    )
    overlap: float = Field(
        default=0.25,
        ge=0,
        le=0.9,
        description="Overlap of the model's segments, at most three decimals.",
    )
    seed: int | None = Field(
        default=None, ge=0, le=MAX_SEED, description="Of the shifts; by default from the jobId."
    )
    waveforms: bool = Field(
        default=False,
        description="Also give `<stem>.waveform.json` beside each stem, and "
        "`mixture.waveform.json`: what a player draws (audiowaveform's format, version 2, 8 bit, "
        "100 points a second).",
    )
    uploads: dict[UploadName, UploadField] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_UPLOADS,
        description="Presigned PUT URLs, one per stem and one called manifest, with `waveforms` "
        "also `<stem>.waveform` and `mixture.waveform`, each a URL or an object with `url` and the "
        "`headers` that its signature covers; then no storage credentials are used.",
    )
    metadata: dict[MetadataName, MetadataValue] | None = Field(
        default=None,
        max_length=16,
        description="Your own pairs, 1 KiB in all, echoed in every webhook.",
    )
    events: list[EventName] | None = Field(
        default=None, max_length=5, description="The events to send; by default the final ones."
    )
    idempotency_key: str | None = Field(
        default=None,
        min_length=1,
        max_length=256,
        pattern=_TEXT,
        description="The same key always gives the same job.",
    )
    priority: int = Field(
        default=0, ge=-100, le=100, description="Higher goes first; equal ones by age."
    )
    queue_deadline_seconds: int | None = Field(
        default=None, ge=1, le=604_800, description="The longest wait in the queue, per attempt."
    )
    run_deadline_seconds: int | None = Field(
        default=None, ge=1, le=86_400, description="The longest run, per attempt."
    )

    @field_validator("overlap")
    @classmethod
    def _three_decimals(cls, overlap: float) -> float:
        if overlap != round(overlap, 3):
            raise ValueError("at most three decimals")
        return overlap

    def to_resource_draft(self) -> ResourceDraft:
        """Return this request as the cluster holds it, its bearer secrets apart."""
        secrets: dict[str, str] = {}
        source = locate_source(self.audio_url, secrets)
        hook = locate(self.webhook, workload.SECRET_KEY_WEBHOOK, secrets)
        asked = self.uploads or {}
        uploads = {name: locate_upload(name, upload, secrets) for name, upload in asked.items()}
        events = list(DEFAULT_EVENTS) if self.events is None else self.events
        request = Request(
            version_id=self.version_id,
            correlation_id=self.correlation_id,
            model=self.ai_model,
            source=source,
            webhook=Webhook(
                url=hook.url,
                secret_key=hook.secret_key,
                events=[event for event in EVENT_ORDER if event in events],
            ),
            stems=self.stems,
            remainder=self.remainder,
            format="m4a" if self.format == "aac" else self.format,
            bit_depth=self.bit_depth,
            bitrate_kbps=self.bitrate_kbps,
            clip_mode=self.clip_mode,
            residual_to=self.residual_to,
            shifts=self.shifts,
            overlap_permille=round(self.overlap * 1000),
            seed=self.seed,
            waveforms=self.waveforms,
            uploads=uploads or None,
            metadata=self.metadata or None,
            idempotency_key=self.idempotency_key,
            queue_deadline_seconds=self.queue_deadline_seconds,
            run_deadline_seconds=self.run_deadline_seconds,
        )
        urls = {f"uploads.{name}": upload.url for name, upload in asked.items()}
        return ResourceDraft(
            request,
            secrets,
            urls={"source": self.audio_url, **urls, "webhook": self.webhook},
            headers={name: upload.headers for name, upload in asked.items()},
        )


def locate(url: WebUrl, key: str, secrets: dict[str, str]) -> Location:
    """Return a URL as the resource holds it; where it has a query, the whole is put into `secrets`.

    Args:
        url: as a caller gave it.
        key: under which it stands in the Secret.
        secrets: what the Secret is to hold.
    """
    if not url.has_query:
        return Location(url=plain_url(url))
    secrets[key] = url.whole
    return Location(url=plain_url(url), secret_key=key)


def locate_source(url: WebUrl, secrets: dict[str, str]) -> Source:
    """Return the address of the audio as the resource holds it; see `locate`."""
    if url.scheme == STORED:
        return Source(url=url.whole)
    location = locate(url, workload.SECRET_KEY_SOURCE, secrets)
    return Source(url=location.url, secret_key=location.secret_key)


def locate_upload(name: str, upload: UploadRequest, secrets: dict[str, str]) -> Upload:
    """Return an upload as the resource holds it, with its headers' names; see `locate`."""
    location = locate(upload.url, workload.SECRET_KEY_UPLOAD + name, secrets)
    if not upload.headers:
        return Upload(url=location.url, secret_key=location.secret_key)
    secrets[workload.SECRET_KEY_HEADERS + name] = encode_headers(upload.headers)
    names = sorted({header.lower() for header in upload.headers})
    return Upload(url=location.url, secret_key=location.secret_key, headers=names)
