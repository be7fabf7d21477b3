"""Each call of the service: what is sent, and what its answer means. No I/O.

One table for both clients, so that they differ in waiting alone.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, TypedDict, TypeVar
from urllib.parse import quote, urlencode

import httpx
from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from splitjob_client.answers import (
    Answer,
    Job,
    JobPage,
    Model,
    QueueCapacity,
    QueueStatus,
    StemUrl,
    Submitted,
    UploadTicket,
)
from splitjob_client.errors import SettingsError, UnexpectedAnswerError, error_of

Result = TypeVar("Result")
Typed = TypeVar("Typed", bound=Answer)


class UploadTarget(TypedDict):
    """A presigned PUT whose signature covers headers too."""

    url: str
    headers: Mapping[str, str]


class SplitNeeded(TypedDict):
    """What every request says: docs/contract.md, section 2, explains each field."""

    version_id: str
    audio_url: str
    ai_model: str
    webhook: str


class SplitFields(SplitNeeded, total=False):
    """What a request may say besides; what is None is left out."""

    correlation_id: str | None
    stems: list[str] | None
    remainder: bool | None
    format: str | None
    bit_depth: int | None
    bitrate_kbps: int | None
    clip_mode: str | None
    residual_to: str | None
    shifts: int | None
    overlap: float | None
    seed: int | None
    waveforms: bool | None
    uploads: Mapping[str, str | UploadTarget] | None
    metadata: Mapping[str, str] | None
    events: list[str] | None
    idempotency_key: str | None
    priority: int | None
    queue_deadline_seconds: int | None
    run_deadline_seconds: int | None


class RetryUrls(TypedDict, total=False):
    """The presigned URLs of a request, given anew: all of those that were presigned, or none."""

    audio_url: str | None
    webhook: str | None
    uploads: Mapping[str, str | UploadTarget] | None


class JobFilter(TypedDict, total=False):
    """Which jobs: those in one of these states, of this version and model, created in between."""

    status: str | Iterable[str] | None
    version_id: str | None
    model: str | None
    since: datetime | str | None
    until: datetime | str | None


@dataclass(frozen=True)
class Call(Generic[Result]):
    """One request, and what its answer means.

    Attributes:
        method: of HTTP.
        target: path and query, percent-encoded, below the address of the service.
        parse: makes a result of a 2xx answer.
        body: what is sent, JSON; empty: nothing.
        headers: beside those that let it in.
    """

    method: str
    target: str
    parse: Callable[[httpx.Response], Result]
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def base_url(url: str) -> httpx.URL:
    """Return the address of a service, without a slash at its end.

    Raises:
        SettingsError: it is none.
    """
    try:
        parsed = httpx.URL(url.rstrip("/"))
    except (httpx.InvalidURL, UnicodeError):
        parsed = httpx.URL("")
    if parsed.scheme not in {"http", "https"} or not parsed.host or parsed.query or parsed.userinfo:
        raise SettingsError(
            "the address of the service must be like https://stems.example.com, perhaps with a "
            "path; no user, no query"
        )
    return parsed


def result_of(call: Call[Result], response: httpx.Response) -> Result:
    """Return what an answer, read to its end, means.

    Raises:
        AnswerError: it is an error.
        UnexpectedAnswerError: it is none that the contract knows.
    """
    if response.status_code >= 400:
        raise error_of(response)
    if not response.is_success:
        raise UnexpectedAnswerError(
            f"{call.method} was answered with HTTP {response.status_code}: is this the address of "
            "the service itself?"
        )
    return call.parse(response)


def submit(request: SplitFields) -> Call[Submitted]:
    """Ask for a separation."""

    def parse(response: httpx.Response) -> Submitted:
        answer = read(Submitted, response)
        return answer.model_copy(update={"created": response.status_code == 202})

    return Call("POST", "/split", parse, json_body(request))


def job(job_id: str) -> Call[Job]:
    """Ask where a job stands."""
    return Call("GET", job_path(job_id), _reader(Job))


def jobs(wanted: JobFilter, limit: int | None, cursor: str | None) -> Call[JobPage]:
    """Ask for a page of jobs."""
    query = [*filter_query(wanted), ("limit", limit), ("cursor", cursor)]
    return Call("GET", "/jobs" + query_string(query), _reader(JobPage))


def cancel(job_id: str) -> Call[Job]:
    """Cancel a job."""
    return Call("DELETE", job_path(job_id), _reader(Job))


def retry(job_id: str, urls: RetryUrls) -> Call[Submitted]:
    """Ask for a new job of the same request; with `urls`, the secret ones given anew."""
    body = json_body(urls) if urls else b""
    return Call("POST", job_path(job_id, "/retry"), _reader(Submitted), body)


def redeliver(job_id: str) -> Call[Job]:
    """Have the final webhook sent again."""
    return Call("POST", job_path(job_id, "/redeliver"), _reader(Job))


def erase(job_id: str) -> Call[Job]:
    """Have a finished job's data erased."""
    return Call("DELETE", job_path(job_id, "/data"), _reader(Job))


def stem_url(job_id: str, stem: str) -> Call[StemUrl]:
    """Ask for a presigned download."""
    path = job_path(job_id, f"/stems/{segment(stem)}")
    return Call("GET", path, _reader(StemUrl), headers={"Accept": "application/json"})


def waveform(job_id: str, stem: str) -> Call[bytes]:
    """Ask for a waveform, as it lies in the bucket."""
    return Call("GET", job_path(job_id, f"/waveforms/{segment(stem)}"), lambda one: one.content)


def manifest(job_id: str) -> Call[bytes]:
    """Ask for the manifest, as it lies in the bucket."""
    return Call("GET", job_path(job_id, "/manifest"), lambda one: one.content)


def upload(filename: str, size: int) -> Call[UploadTicket]:
    """Ask where a file of one's own may go."""
    body = json_body({"filename": filename, "size": size})
    return Call("POST", "/uploads", _reader(UploadTicket), body)


def models() -> Call[list[Model]]:
    """Ask for the models on offer."""

    def parse(response: httpx.Response) -> list[Model]:
        return read(_ModelList, response).models

    return Call("GET", "/models", parse)


def queue_status() -> Call[QueueStatus]:
    """Ask how busy the installation is."""
    return Call("GET", "/queue/status", _reader(QueueStatus))


def queue_capacity() -> Call[QueueCapacity]:
    """Ask how much the installation takes on."""
    return Call("GET", "/queue/capacity", _reader(QueueCapacity))


def job_events(job_id: str) -> str:
    """Return the target of a job's event stream."""
    return job_path(job_id, "/events")


def all_events(wanted: JobFilter) -> str:
    """Return the target of the event stream of all jobs that a filter takes in."""
    return "/events" + query_string(filter_query(wanted))


def read(kind: type[Typed], response: httpx.Response) -> Typed:
    """Return an answer's body, typed.

    Raises:
        UnexpectedAnswerError: it is not of this kind.
    """
    return read_json(kind, response.content)


def read_json(kind: type[Typed], text: bytes | str) -> Typed:
    """Return a piece of JSON, typed.

    Raises:
        UnexpectedAnswerError: it is not of this kind.
    """
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        places = {".".join(map(str, one["loc"])) or "the whole" for one in error.errors()}
        raise UnexpectedAnswerError(
            f"an answer cannot be read as {kind.__name__}: {', '.join(sorted(places))}"
        ) from None


def job_path(job_id: str, below: str = "") -> str:
    """Return the path of a job, or of something below it."""
    return f"/jobs/{segment(job_id)}{below}"


def segment(text: str) -> str:
    """Return a text as one segment of a path: whatever it holds, it leads nowhere else."""
    quoted = quote(text, safe="", errors="replace")
    return quoted.replace(".", "%2E") if quoted in {".", ".."} else quoted


def json_body(fields: Mapping[str, Any]) -> bytes:
    """Return fields as the JSON that is sent: camelCase, without those that are None.

    A number that JSON has not, such as NaN, is written all the same: the service says what is wrong
    with it, as with any other value.
    """
    named = {to_camel(name): value for name, value in fields.items() if value is not None}
    return json.dumps(named, separators=(",", ":"), default=dict).encode()


def filter_query(wanted: JobFilter) -> list[tuple[str, object]]:
    """Return a filter as a query has it."""
    states = wanted.get("status") or []
    listed = [states] if isinstance(states, str) else list(states)
    return [
        *(("status", state) for state in listed),
        ("versionId", wanted.get("version_id")),
        ("model", wanted.get("model")),
        ("since", _timestamp(wanted.get("since"))),
        ("until", _timestamp(wanted.get("until"))),
    ]


def query_string(pairs: Iterable[tuple[str, object]]) -> str:
    """Return a query with its question mark, without what is None; empty where nothing is left."""
    given = [(name, value) for name, value in pairs if value is not None]
    return f"?{urlencode(given, quote_via=quote, errors='replace')}" if given else ""


def _timestamp(moment: datetime | str | None) -> str | None:
    """Return a moment as RFC 3339; one without a zone is this machine's."""
    if moment is None or isinstance(moment, str):
        return moment
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _reader(kind: type[Typed]) -> Callable[[httpx.Response], Typed]:
    return lambda response: read(kind, response)


class _ModelList(Answer):
    models: list[Model]
