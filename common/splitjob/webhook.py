"""Webhooks: what came of one, and bodies whose fields docs/contract.md, section 4, lists."""

import json
from dataclasses import dataclass
from typing import Any, Literal

from splitjob.errors import ErrorCode
from splitjob.resource import Audio, EventName, Request, Result, Stem

CourtesyEvent = Literal["started", "progress"]


@dataclass(frozen=True)
class DeliveryOutcome:
    """What came of one attempt.

    Attributes:
        delivered: the receiver answered with 2xx.
        status: its HTTP status, None where there was no answer.
        gone: it answered 410: it wants nothing more.
        blocked: the URL or its address is not allowed; nothing was sent.
        retry_after_seconds: how long it asked to be left alone, at most 24 h.
        error: a sentence for people, empty where delivered. It holds no query string.
    """

    delivered: bool
    status: int | None = None
    gone: bool = False
    blocked: bool = False
    retry_after_seconds: int | None = None
    error: str = ""


def final_event(
    *,
    job_id: str,
    request: Request,
    event: EventName,
    result: Result | None,
    failure_code: ErrorCode | None,
    failure_message: str | None,
    processing_time_ms: int,
) -> dict[str, Any]:
    """Return the body of the one event that ends a job.

    Args:
        job_id: the SplitJob's name.
        request: what was asked.
        event: `completed`, `failed` or `canceled`; also the body's status.
        result: what a completed job gave; None otherwise.
        failure_code: why there are no stems; None for a completed job.
        failure_message: the same as a sentence.
        processing_time_ms: the worker's whole run, 0 where none ran.
    """
    made = result_fields(result) if result else _no_result(request)
    return {
        "versionId": request.version_id,
        "status": event,
        "processingTimeMs": processing_time_ms,
        "stems": made.pop("stems"),
        "error": failure_message,
        "errorCode": None if failure_code is None else failure_code.value,
        **_identity(job_id, request, event),
        **made,
    }


def courtesy_event(
    *,
    job_id: str,
    request: Request,
    event: CourtesyEvent,
    sequence: int,
    attempt: int,
    stage: str,
    percent: int,
) -> dict[str, Any]:
    """Return the body of a `started` or `progress` event: news on the way, sent once, no promise.

    Args:
        job_id: the SplitJob's name.
        request: what was asked.
        event: which of the two; also the body's status.
        sequence: grows with every event of one attempt.
        attempt: 1 for the first.
        stage: fetch, decode, separate, encode, upload or notify.
        percent: of the whole job.
    """
    return {
        "versionId": request.version_id,
        "status": event,
        **_identity(job_id, request, event),
        "attempt": attempt,
        "sequence": sequence,
        "stage": stage,
        "percent": percent,
    }


def result_fields(result: Result) -> dict[str, Any]:
    """Return what a completed job gave, in the fields of its final event."""
    return {
        "stems": [_stem(stem) for stem in result.stems],
        "model": result.model,
        "modelDigest": result.model_digest or None,
        "device": result.device or None,
        "audio": _audio(result.audio) if result.audio else None,
        "timings": result.timings,
        "residual": _number(result.residual_dbfs),
    }


def encode(body: dict[str, Any]) -> bytes:
    """Return a body as the bytes that are signed and sent: ASCII JSON, no spaces.

    Raises:
        ValueError: a number in it is not finite.
    """
    return json.dumps(body, separators=(",", ":"), allow_nan=False).encode("ascii")


def _no_result(request: Request) -> dict[str, Any]:
    """Return the fields of `result_fields` for a job that gave nothing."""
    return {
        "stems": [],
        "model": request.model,
        "modelDigest": None,
        "device": None,
        "audio": None,
        "timings": {},
        "residual": None,
    }


def _identity(job_id: str, request: Request, event: str) -> dict[str, Any]:
    return {
        "jobId": job_id,
        "correlationId": request.correlation_id,
        "event": event,
        "metadata": request.metadata or {},
    }


def _stem(stem: Stem) -> dict[str, Any]:
    return {
        "type": stem.type,
        "name": stem.type.replace("_", " ").title(),
        "url": stem.url,
        "size": stem.size,
        "duration": _seconds(stem.frames, stem.sample_rate),
        "checksum": stem.checksum,
        "format": stem.format,
        "sampleRate": stem.sample_rate,
        "peak": _number(stem.peak),
        "gain": _number(stem.gain),
        "silent": stem.silent,
    }


def _audio(audio: Audio) -> dict[str, Any]:
    return {
        "duration": _seconds(audio.frames, audio.sample_rate),
        "sampleRate": audio.sample_rate,
        "channels": audio.channels,
    }


def _seconds(frames: int, sample_rate: int) -> float:
    return round(frames / sample_rate, 6)


def _number(decimal: str | None) -> float | None:
    return None if decimal is None else float(decimal)
