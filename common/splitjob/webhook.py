"""Webhooks: what came of one, bodies whose fields docs/contract.md, section 4, lists, and `verify`.

A receiver needs `verify` alone:

    event = verify(body, headers, os.environ["DEMUCSSVC_TOKEN"])
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from splitjob.errors import ErrorCode
from splitjob.resource import EventName
from splitjob.signing import REPLAY_WINDOW_SECONDS, TIMESTAMP_PATTERN, Signer, parse_tokens
from splitjob.spec import Request
from splitjob.status import Audio, Result, Stem, Usage

CourtesyEvent = Literal["started", "progress"]

_NO_MATCH = (
    "{} is of none of the tokens: verify the raw body, byte for byte, with the token of the "
    "service that sent it"
)


class WebhookError(Exception):
    """What came in is no event of the service: answer 401, and do nothing else with it.

    Attributes:
        reason: what is wrong with it, a sentence; it tells nothing about the token.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class WebhookEvent:
    """An event that the service has signed.

    Attributes:
        name: `started`, `progress`, `completed`, `failed` or `canceled`.
        job_id: of the job that it tells of.
        event_id: the same in every attempt of one event: drop repeats by it. None where only
            `X-Signature` came along, which does not cover it.
        body: all fields, as docs/contract.md lists them.
    """

    name: str
    job_id: str
    event_id: str | None
    body: dict[str, Any]


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


def verify(
    body: bytes,
    headers: Mapping[str, str],
    tokens: str | Sequence[str],
    now: float | None = None,
) -> WebhookEvent:
    """Return the event that a webhook brings, once its signatures hold.

    Either family of signature headers will do, `X-Signature` or Standard Webhooks'
    (https://www.standardwebhooks.com); of both, which the service sends, both must hold.

    Args:
        body: the raw body, byte for byte; not JSON that was read and written again.
        headers: of the request; their names in any case.
        tokens: what DEMUCSSVC_TOKEN holds, one or several separated by commas; or a list of them.
        now: Unix time in seconds; by default this machine's.

    Raises:
        WebhookError: a signature is missing, malformed, more than 300 s off, or of none of these
            tokens; or what was signed is not an event.
        splitjob.signing.TokenError: there is no token, or one that cannot be used.
    """
    signer = Signer(parse_tokens(tokens) if isinstance(tokens, str) else tokens)
    given = _in_lower_case(headers)
    clock = time.time() if now is None else now
    ours, standard = "x-signature" in given, "webhook-signature" in given
    if not (ours or standard):
        raise WebhookError("it has neither the header X-Signature nor webhook-signature")
    if ours:
        _verify_ours(signer, body, given, clock)
    if standard:
        _verify_standard(signer, body, given, clock)
    return _event(body, given["webhook-id"] if standard else None)


def _in_lower_case(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers by their names in lower case; of one sent twice, one nobody signed."""
    given: dict[str, str] = {}
    for name, value in headers.items():
        key = name.lower()
        given[key] = f"{given[key]}, {value}" if key in given else value
    return given


def _verify_ours(signer: Signer, body: bytes, given: Mapping[str, str], clock: float) -> None:
    stamp = _timestamp(given, "x-timestamp", clock)
    if not signer.has_signed(body, stamp, given["x-signature"]):
        raise WebhookError(_NO_MATCH.format("X-Signature"))


def _verify_standard(signer: Signer, body: bytes, given: Mapping[str, str], clock: float) -> None:
    stamp = _timestamp(given, "webhook-timestamp", clock)
    event_id = given.get("webhook-id", "")
    if not (event_id and event_id.isascii()):
        raise WebhookError("the header webhook-id is missing, or not in ASCII")
    if not signer.has_signed_webhook(body, event_id, stamp, given["webhook-signature"]):
        raise WebhookError(_NO_MATCH.format("webhook-signature"))


def _timestamp(given: Mapping[str, str], name: str, clock: float) -> str:
    """Return a timestamp as it was signed, once it is one and near enough."""
    stamp = given.get(name)
    if stamp is None:
        raise WebhookError(f"the header {name} is missing")
    if not TIMESTAMP_PATTERN.fullmatch(stamp):
        raise WebhookError(f"{name} must be Unix time in seconds, ten digits")
    if not abs(clock - int(stamp)) <= REPLAY_WINDOW_SECONDS:  # so written, NaN is near nothing
        raise WebhookError(
            f"{name} is more than {REPLAY_WINDOW_SECONDS} s away from the clock here: a replay, "
            "or a clock that is wrong"
        )
    return stamp


def _event(body: bytes, event_id: str | None) -> WebhookEvent:
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):  # bad UTF-8 is a ValueError as well
        raise WebhookError("it is signed, but its body is not JSON") from None
    named = fields if isinstance(fields, dict) else {}
    name, job_id = named.get("event"), named.get("jobId")
    if not (isinstance(name, str) and isinstance(job_id, str)):
        raise WebhookError("it is signed, but names no event and no jobId: it is not an event")
    return WebhookEvent(name, job_id, event_id, named)


def final_event(
    *,
    job_id: str,
    request: Request,
    event: EventName,
    result: Result | None,
    failure_code: ErrorCode | None,
    failure_message: str | None,
    processing_time_ms: int,
    usage: Usage,
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
        usage: what the job took, all its attempts together.
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
        "attempts": usage.attempts,
        "gpuSeconds": float(usage.gpu_seconds),
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
        "waveform": stem.waveform or None,
    }


def _audio(audio: Audio) -> dict[str, Any]:
    lost = {"damagedSeconds": audio.damaged_seconds, "missingSeconds": audio.missing_seconds}
    return {
        "duration": _seconds(audio.frames, audio.sample_rate),
        "sampleRate": audio.sample_rate,
        "channels": audio.channels,
        **{name: float(seconds) for name, seconds in lost.items() if seconds is not None},
        "waveform": audio.waveform or None,
    }


def _seconds(frames: int, sample_rate: int) -> float:
    return round(frames / sample_rate, 6)


def _number(decimal: str | None) -> float | None:
    return None if decimal is None else float(decimal)
