"""Whether a request can be served: what the API checked is checked again, whoever wrote it."""

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from splitjob import workload
from splitjob.errors import ErrorCode
from splitjob.presigned import expiry
from splitjob.request_policy import RequestPolicy, resolve
from splitjob.resource import SECRET_TYPE, Request
from splitjob_operator.core.lookups import Problem

__all__ = ["check_request", "secret_urls"]


def secret_urls(secret: Mapping[str, Any]) -> dict[str, str]:
    """Return the whole URLs in a Secret, by key; what is not text is left out."""
    found: dict[str, str] = {}
    for key, encoded in (secret.get("data") or {}).items():
        try:
            found[key] = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            continue
    return found


def check_request(
    request: Request, secret: Mapping[str, Any] | None, policy: RequestPolicy, now: datetime
) -> Problem | None:
    """Return why a request cannot be served, or None where it can.

    Args:
        request: what was asked.
        secret: the Secret it refers to, None where there is none of that name.
        policy: what the installation allows.
        now: the time.
    """
    if request.secret_name and secret is None:
        return Problem(
            ErrorCode.WORKER_CONFIG,
            f"The Secret {request.secret_name} with this request's URLs is not there.",
            missing=request.secret_name,
        )
    if secret is not None and secret.get("type") != SECRET_TYPE:
        return Problem(
            ErrorCode.REQUEST_INVALID,
            f"The Secret {request.secret_name} is not of type {SECRET_TYPE}; no other is read.",
        )
    urls = secret_urls(secret) if secret else {}
    found = policy.problems(request, resolve(request, urls))
    if found:
        return Problem(
            ErrorCode.REQUEST_INVALID, "; ".join(problem.sentence for problem in found)[:1000]
        )
    return _source_expired(urls.get(workload.SECRET_KEY_SOURCE, ""), now)


def _source_expired(source: str, now: datetime) -> Problem | None:
    until = expiry(source) if source else None
    if until is None or until > now:
        return None
    return Problem(
        ErrorCode.SOURCE_EXPIRED,
        f"The presigned audio URL expired at {until:%Y-%m-%dT%H:%M:%SZ}, before the job's turn. "
        "Ask again with a fresh URL.",
    )
