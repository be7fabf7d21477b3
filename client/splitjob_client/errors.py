"""What can go wrong with a call: no answer, an answer that says no, or one that makes no sense.

ClientError
  SettingsError            an address or token that cannot be used
  UnreachableError         no answer, after every retry
  AnswerError              the service said no: `status`, `code`, `detail`, `errors`
    UnauthorizedError      401: the signature or token does not hold
    ForbiddenError         403: it holds, and may not do this
    NotFoundError          404
    ConflictError          409
    GoneError              410: it was erased
    InvalidRequestError    400, 413, 422, 431: the request cannot be taken as it is
    BusyError              429, after every retry
    NotOfferedError        501: this installation does without what was asked for
    UnavailableError       502, 503, 504, after every retry
  UnexpectedAnswerError    an answer that the contract does not know
  JobDeletedError          the job went away while it was watched
  DownloadError            a stem could not be fetched whole
    StemNotFoundError      the job has none of that name, or the bucket none any more
    NotCompletedError      the job has no stems: it is not completed
  UploadError              a file could not be sent
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import httpx

__all__ = [
    "AnswerError",
    "BusyError",
    "ClientError",
    "ConflictError",
    "DownloadError",
    "FieldError",
    "ForbiddenError",
    "GoneError",
    "InvalidRequestError",
    "JobDeletedError",
    "NotCompletedError",
    "NotFoundError",
    "NotOfferedError",
    "SettingsError",
    "StemNotFoundError",
    "UnauthorizedError",
    "UnavailableError",
    "UnexpectedAnswerError",
    "UnreachableError",
    "UploadError",
    "error_of",
    "retry_after_seconds",
]


class ClientError(Exception):
    """A call did not give what it was made for; the message says why, and holds no secret."""


class SettingsError(ClientError):
    """The address or the token cannot be used, or is missing."""


class UnreachableError(ClientError):
    """The service did not answer, also when it was asked again."""


class UnexpectedAnswerError(ClientError):
    """Something answered that is not this service, or of a release with another contract."""


class JobDeletedError(ClientError):
    """The job was deleted while it was watched: its time was over, or somebody did it."""


class DownloadError(ClientError):
    """A stem could not be fetched, or is not what its checksum says."""


class StemNotFoundError(DownloadError):
    """The job has no stem of that name, or the bucket does not hold it any more."""


class NotCompletedError(DownloadError):
    """The job has no stems: it has not completed."""


class UploadError(ClientError):
    """The bucket did not take a file."""


class FieldError(NamedTuple):
    """What is wrong with one field of a request."""

    field: str
    code: str
    message: str


class AnswerError(ClientError):
    """The service answered with an error, as RFC 9457 describes it.

    Attributes:
        status: HTTP status.
        code: stable, for programs; empty where something in between answered.
        detail: for people.
        errors: with 422, what is wrong with each field.
        job_id: with 409, the job in the way.
        retry_after_seconds: how long the service asked to be left alone, None where it did not.
        request_id: what the service's log calls this request.
    """

    def __init__(self, response: httpx.Response) -> None:
        problem = _problem(response)
        self.status = response.status_code
        self.code = _text(problem, "code")
        self.detail = _text(problem, "detail") or f"HTTP {response.status_code}"
        self.errors = _field_errors(problem)
        self.job_id = _text(problem, "jobId") or None
        self.retry_after_seconds = retry_after_seconds(response)
        self.request_id = response.headers.get("x-request-id")
        super().__init__(self._sentence())

    def _sentence(self) -> str:
        # Where fields are wrong, `detail` says no more than they do.
        fields = "; ".join(f"{one.field}: {one.message}" for one in self.errors)
        known = f"{self.status} {self.code}".strip()
        return f"{fields or self.detail} ({known})"


class UnauthorizedError(AnswerError):
    """401: the signature or token does not hold; wrong token, or a clock that is off."""


class ForbiddenError(AnswerError):
    """403: the caller is known and may not do this."""


class NotFoundError(AnswerError):
    """404: there is no such job or stem, or no such call in this release."""


class ConflictError(AnswerError):
    """409: the job is not in a state for this, or the idempotency key has another request."""


class GoneError(AnswerError):
    """410: it was there and has been erased."""


class InvalidRequestError(AnswerError):
    """The request cannot be taken as it is; sending it again will not help."""


class BusyError(AnswerError):
    """429: too many jobs or requests; try later."""


class NotOfferedError(AnswerError):
    """501: this installation does without what was asked for, as downloads or files sent to it."""


class UnavailableError(AnswerError):
    """The service cannot serve requests now; try later."""


_BY_STATUS: Mapping[int, type[AnswerError]] = {
    400: InvalidRequestError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    410: GoneError,
    413: InvalidRequestError,
    422: InvalidRequestError,
    429: BusyError,
    431: InvalidRequestError,
    501: NotOfferedError,
    502: UnavailableError,
    503: UnavailableError,
    504: UnavailableError,
}


def error_of(response: httpx.Response) -> AnswerError:
    """Return what an answer, read to its end, says is wrong."""
    return _BY_STATUS.get(response.status_code, AnswerError)(response)


def retry_after_seconds(response: httpx.Response) -> float | None:
    """Return how long an answer asks to be left alone; None where it does not say so legibly."""
    value = response.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    if when.tzinfo is None:  # RFC 9110: always GMT
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


def _problem(response: httpx.Response) -> Mapping[str, Any]:
    try:
        problem = json.loads(response.content)
    except (ValueError, RecursionError):  # a proxy's page, perhaps
        return {}
    return problem if isinstance(problem, dict) else {}


def _text(problem: Mapping[str, Any], name: str) -> str:
    value = problem.get(name)
    return value if isinstance(value, str) else ""


def _field_errors(problem: Mapping[str, Any]) -> list[FieldError]:
    listed = problem.get("errors")
    return [
        FieldError(_text(one, "field"), _text(one, "code"), _text(one, "message"))
        for one in (listed if isinstance(listed, list) else [])
        if isinstance(one, dict)
    ]
