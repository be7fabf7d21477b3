"""Every error that the API answers with, and how each is described in OpenAPI."""

from collections import defaultdict
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

PROBLEM_MEDIA_TYPE = "application/problem+json"


class ErrorKind(NamedTuple):
    """One code of a problem.

    Attributes:
        status: the HTTP status that it comes with.
        meaning: what it means and what to do, for people.
    """

    status: int
    meaning: str


ERRORS: dict[str, ErrorKind] = {
    "json_invalid": ErrorKind(400, "the body is no JSON object, or names a key twice"),
    "body_not_expected": ErrorKind(400, "this call takes no body: sign method and path"),
    "signature_invalid": ErrorKind(401, "no signature, or one that does not hold"),
    "token_invalid": ErrorKind(401, "the API server does not accept this Kubernetes token"),
    "forbidden": ErrorKind(403, "RBAC gives the token's user no such right; `detail` names it"),
    "not_found": ErrorKind(404, "there is nothing at this path, or it has control characters"),
    "job_not_found": ErrorKind(404, "no such job, or its time is over"),
    "stem_not_found": ErrorKind(404, "the job has no such stem; `detail` names those it has"),
    "file_not_found": ErrorKind(404, "the bucket does not hold this file any more"),
    "body_timeout": ErrorKind(408, "the body did not arrive in time"),
    "idempotency_conflict": ErrorKind(
        409, "the key belongs to another body; `jobId` names its job"
    ),
    "not_completed": ErrorKind(409, "the job is not completed, so it has no stems"),
    "stems_elsewhere": ErrorKind(409, "the stems went to the URLs of the request's `uploads`"),
    "not_finished": ErrorKind(409, "the job has not ended"),
    "already_completed": ErrorKind(409, "the job is completed, so there is nothing to retry"),
    "nothing_to_send": ErrorKind(409, "the request's `events` leave out the event it ended in"),
    "redeliveries_exhausted": ErrorKind(409, "it was asked for 1000 times already"),
    "not_retryable": ErrorKind(409, "the request cannot be read: send a new one to POST /split"),
    "erased": ErrorKind(410, "the stems were erased; their job stays on record"),
    "input_deleted": ErrorKind(
        410, "the file from POST /uploads went with the job's end: send it again"
    ),
    "body_too_large": ErrorKind(413, "a body may have 64 KiB"),
    "request_invalid": ErrorKind(422, "`errors` names each field that is wrong"),
    "webhook_not_allowed": ErrorKind(422, "the webhook is not on the installation's allowlist"),
    "queue_full": ErrorKind(429, "too many jobs wait: come again after `Retry-After`"),
    "rate_limited": ErrorKind(
        429, "one caller asks too often, or for too many files at once: see `Retry-After`"
    ),
    "too_many_own_streams": ErrorKind(
        429, "one caller has three quarters of the streams that may be open on this replica"
    ),
    "headers_too_large": ErrorKind(431, "path and headers may have 32 KiB"),
    "storage_not_configured": ErrorKind(
        501, "this installation gives no downloads, or takes no files; `detail` names the setting"
    ),
    "cluster_unavailable": ErrorKind(503, "the cluster does not answer: try again later"),
    "too_many_streams": ErrorKind(
        503, "as many streams are open on this replica as there may be: try again later"
    ),
    "storage_unavailable": ErrorKind(
        503, "the bucket cannot be read, or there are no credentials to sign a URL with"
    ),
    "not_ready": ErrorKind(503, "the installation cannot serve this now; `detail` says why"),
}

# The statuses that pass by themselves, so that each answer with them says when
# (`splitjob_api.problems.retry_later`).
PASSING = frozenset({429, 503})
_RETRY_AFTER = {
    "Retry-After": {
        "description": "Seconds until it is worth another try.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    }
}

# What a request can meet before any route sees it.
BEFORE_EVERY_ROUTE = ("headers_too_large",)
BEFORE_ROUTES_WITH_NAMES = ("not_found",)
BEFORE_SIGNED_ROUTES = ("signature_invalid", "body_timeout", "body_too_large", "rate_limited")
BEFORE_ROUTES_WITH_TOKEN = ("token_invalid", "forbidden", "cluster_unavailable")


def documented(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI entries of the errors that a call may answer with, by status.

    Raises:
        KeyError: a code is not in the catalogue.
    """
    by_status: dict[int, list[str]] = defaultdict(list)
    for code in dict.fromkeys(codes):
        by_status[ERRORS[code].status].append(code)
    return {status: _response(status, found) for status, found in sorted(by_status.items())}


def codes_of(responses: Mapping[Any, Any]) -> list[str]:
    """Return the codes in the entries that `documented` gave."""
    contents = [one.get("content", {}).get(PROBLEM_MEDIA_TYPE, {}) for one in responses.values()]
    return [code for content in contents for code in content.get("examples", {})]


def _response(status: int, codes: list[str]) -> dict[str, Any]:
    meanings = "; ".join(f"`{code}`: {ERRORS[code].meaning}" for code in codes)
    problem = {"$ref": "#/components/schemas/Problem"}
    code = {"type": "object", "properties": {"code": {"enum": codes}}}
    content = {
        "schema": {"allOf": [problem, code]},
        "examples": {one: _example(one) for one in codes},
    }
    return {
        "description": f"{HTTPStatus(status).phrase}. {meanings}",
        "content": {PROBLEM_MEDIA_TYPE: content},
        **({"headers": _RETRY_AFTER} if status in PASSING else {}),
    }


def _example(code: str) -> dict[str, Any]:
    status, meaning = ERRORS[code]
    value = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": meaning.replace("`", ""),
    }
    return {"summary": code, "value": value}
