"""The webhooks as OpenAPI describes them; `splitjob.webhook` makes their bodies."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from splitjob.errors import ErrorCode
from splitjob.resource import EventName
from splitjob.spec import Request, Source, Webhook
from splitjob.status import Audio, Result, Stem, Usage
from splitjob.webhook import courtesy_event, final_event

_EXAMPLE_JOB = "split-csmzzjpqm6badj2is7lgglndnb"


class _Body(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class StemResult(_Body):
    """One stem of a completed job."""

    type: str = Field(description="drums, bass, other, vocals, ...")
    name: str = Field(description="The type as people write it.")
    url: str = Field(description="s3://bucket/key; empty where it went to the caller's own URL.")
    size: int = Field(description="Bytes.")
    duration: float = Field(description="Seconds.")
    checksum: str = Field(description="`sha256:` and 64 hex digits, of the file.")
    format: str = Field(description="Container and codec.")
    sample_rate: int = Field(description="Hz.")
    peak: float = Field(description="Largest magnitude before clipping, 1 is full scale.")
    gain: float = Field(description="What it was multiplied with so that it does not clip.")
    silent: bool = Field(description="Whether the peak is below -60 dBFS.")
    waveform: str | None = Field(
        description="Where its waveform is, as `url`; null where `waveforms` was not asked for."
    )


class AudioResult(_Body):
    """The mixture as it came."""

    duration: float = Field(description="Seconds.")
    sample_rate: int = Field(description="Hz.")
    channels: int
    damaged_seconds: float = Field(
        default=0,
        description="Seconds that could not be decoded and are silence in the stems; left out "
        "where there are none.",
    )
    missing_seconds: float = Field(
        default=0,
        description="Seconds that the file says it has and does not, as where it was cut off; "
        "left out where there are none.",
    )
    waveform: str | None = Field(description="Where the mixture's waveform is; else null.")


class FinalEvent(_Body):
    """What ends a job: every accepted one ends in exactly one of them."""

    version_id: str
    status: EventName = Field(description="`completed`, `failed` or `canceled`.")
    processing_time_ms: int = Field(description="The worker's whole run; 0 where none ran.")
    stems: list[StemResult]
    error: str | None = Field(description="Why there are no stems, for people.")
    error_code: ErrorCode | None = Field(description="The same for programs.")
    job_id: str
    correlation_id: str | None
    event: EventName = Field(description="As `status`.")
    metadata: dict[str, str] = Field(description="The caller's own pairs.")
    attempts: int = Field(
        description="Kubernetes Jobs that were made for it, the one that ended it included."
    )
    gpu_seconds: float = Field(
        description="How long the containers of all attempts held their resources, with a GPU or "
        "without; what is not known counts zero."
    )
    model: str
    model_digest: str | None = Field(description="SHA-256 of its weights.")
    device: str | None = Field(description="cpu, cuda, mps.")
    audio: AudioResult | None
    timings: dict[str, int] = Field(
        description="Milliseconds of each stage; `load` runs beside `fetch` and `decode`."
    )
    residual: float | None = Field(
        description="RMS of the mixture minus the sum of its stems before clipping, in dBFS; null "
        "for a subset."
    )


class CourtesyEvent(_Body):
    """News on the way, sent once: it may be lost."""

    version_id: str
    status: EventName = Field(description="`started` or `progress`.")
    job_id: str
    correlation_id: str | None
    event: EventName = Field(description="As `status`.")
    metadata: dict[str, str]
    attempt: int = Field(description="1 for the first.")
    sequence: int = Field(description="Grows with every event of one attempt.")
    stage: str = Field(description="fetch, decode, separate, encode, upload or notify.")
    percent: int = Field(description="Of the whole job.")


def webhooks() -> dict[str, Any]:
    """Return the section `webhooks` of the OpenAPI document."""
    summaries = {
        "started": "A worker has started",
        "progress": "A worker is further",
        "completed": "The stems are in the bucket",
        "failed": "There are no stems, and why",
        "canceled": "The job was canceled",
    }
    return {event: {"post": _operation(event, text)} for event, text in summaries.items()}


def _operation(event: str, summary: str) -> dict[str, Any]:
    example = _example(event)
    schema = "CourtesyEvent" if "sequence" in example else "FinalEvent"
    content = {"schema": {"$ref": f"#/components/schemas/{schema}"}, "example": example}
    return {
        "summary": summary,
        "description": "POSTed to the request's `webhook`. Check either family of signatures over "
        "the raw body before you parse it; drop repeats by `webhook-id`.",
        "operationId": f"webhook_{event}",
        "parameters": [_header(name, text) for name, text in _HEADERS.items()],
        "requestBody": {"required": True, "content": {"application/json": content}},
        "responses": {
            "2XX": {"description": "Delivered, if it comes within 15 seconds."},
            "410": {"description": "Nothing more is wanted: the event is given up."},
            "default": {"description": "Sent again later; `Retry-After` is obeyed up to 24 h."},
        },
    }


_HEADERS = {
    "X-Timestamp": "Unix time of this attempt, ten digits.",
    "X-Signature": '`sha256=` and hex of HMAC-SHA256(token, body + "|" + timestamp).',
    "webhook-id": "The same in every attempt of one event.",
    "webhook-timestamp": "Unix time of this attempt.",
    "webhook-signature": "As Standard Webhooks has it: `v1,` and base64.",
}


def _header(name: str, text: str) -> dict[str, Any]:
    schema = {"type": "string"}
    return {"name": name, "in": "header", "required": True, "description": text, "schema": schema}


def _example(event: str) -> dict[str, Any]:
    request = Request(
        version_id="song-1",
        model="demo",
        source=Source(url="https://example.com/song.wav"),
        webhook=Webhook(url="https://api.track-tree.com/webhooks/demucs"),
    )
    if event in {"started", "progress"}:
        started = event == "started"
        return courtesy_event(
            job_id=_EXAMPLE_JOB,
            request=request,
            event="started" if started else "progress",
            sequence=1 if started else 7,
            attempt=1,
            stage="fetch" if started else "separate",
            percent=0 if started else 40,
        )
    return _final_example(request, event)


def _final_example(request: Request, event: str) -> dict[str, Any]:
    done = event == "completed"
    code = ErrorCode.CANCELED if event == "canceled" else ErrorCode.SOURCE_NOT_FOUND
    message = "it was canceled" if event == "canceled" else "the source answered 404"
    return final_event(
        job_id=_EXAMPLE_JOB,
        request=request,
        event="completed" if done else ("canceled" if event == "canceled" else "failed"),
        result=_RESULT if done else None,
        failure_code=None if done else code,
        failure_message=None if done else message,
        processing_time_ms=45_000 if done else 0,
        usage=Usage(attempts=1, gpu_seconds="45" if done else "0"),
    )


_RESULT = Result(
    stems=[
        Stem(
            type="vocals",
            url=f"s3://bucket/song-1/{_EXAMPLE_JOB}/vocals.wav",
            size=31_752_044,
            frames=7_938_000,
            sample_rate=44_100,
            checksum="sha256:" + "0" * 64,
            format="wav",
            peak="0.93",
            gain="1",
        )
    ],
    model="demo",
    model_digest="sha256:" + "1" * 64,
    device="cuda",
    audio=Audio(frames=7_938_000, sample_rate=44_100, channels=2),
    residual_dbfs="-41.2",
    timings={"fetch": 900, "separate": 39_000},
)
