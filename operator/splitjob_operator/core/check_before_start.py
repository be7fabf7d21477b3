"""Whether a request can be served: what the API checked is checked again, whoever wrote it."""

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from splitjob.errors import ErrorCode
from splitjob.intent import first_owner_of
from splitjob.presigned import expiry
from splitjob.request_policy import RequestPolicy, ResolvedUrls, resolve, resolve_headers
from splitjob.resource import SECRET_TYPE
from splitjob.spec import Request
from splitjob.urls import WebUrl
from splitjob_operator.core.lookups import Problem

__all__ = ["check_before_start", "secret_texts"]


def secret_texts(secret: Mapping[str, Any]) -> dict[str, str]:
    """Return the whole URLs and the headers in a Secret, by key; what is not text is left out."""
    found: dict[str, str] = {}
    for key, encoded in (secret.get("data") or {}).items():
        try:
            found[key] = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            continue
    return found


def check_before_start(
    name: str,
    request: Request,
    secret: Mapping[str, Any] | None,
    policy: RequestPolicy,
    now: datetime,
) -> Problem | None:
    """Return why a request cannot be served, or None where it can.

    Args:
        name: of its SplitJob.
        request: what was asked.
        secret: the Secret it refers to, None where there is none of that name.
        policy: what the installation allows.
        now: the time.
    """
    if request.secret_name and secret is None:
        return _secret_missing(name, request.secret_name)
    if secret is not None and secret.get("type") != SECRET_TYPE:
        return Problem(
            ErrorCode.REQUEST_INVALID,
            f"The Secret {request.secret_name} is not of type {SECRET_TYPE}; no other is read.",
        )
    texts = secret_texts(secret) if secret else {}
    urls = resolve(request, texts)
    found = policy.problems(request, urls, resolve_headers(request, texts))
    if found:
        return Problem(
            ErrorCode.REQUEST_INVALID, "; ".join(problem.sentence for problem in found)[:1000]
        )
    return _url_expired_while_waiting(urls, now)


def _secret_missing(name: str, secret_name: str) -> Problem:
    message = f"The Secret {secret_name} with this request's URLs is not there."
    former = first_owner_of(secret_name)
    if former not in {None, name}:
        message += (
            f" It is that of {former}, of which this job is a retry, and goes with that one where "
            "it is deleted before this job holds the Secret too. Once this job has failed, send "
            "the request to POST /split anew."
        )
    return Problem(ErrorCode.WORKER_CONFIG, message, missing=secret_name)


def _url_expired_while_waiting(urls: ResolvedUrls, now: datetime) -> Problem | None:
    """Return the failure of a job whose song cannot be fetched any more, or its stems not sent."""
    for field, url in urls.items():
        until = expiry(url.whole) if isinstance(url, WebUrl) and field != "webhook" else None
        if until is None or until > now:
            continue
        source = field == "source"
        return Problem(
            ErrorCode.SOURCE_EXPIRED if source else ErrorCode.UPLOAD_FAILED,
            f"The presigned {'audio URL' if source else f'URL of {field}'} expired at "
            f"{until:%Y-%m-%dT%H:%M:%SZ}, before the job's turn. Ask again with a fresh URL.",
        )
    return None
