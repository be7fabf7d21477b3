"""Conditional answers: an ETag on each, and 304 where the caller has it already (RFC 9110, 13.1.2).

ETags are weak: `observedAt` changes from answer to answer, the job does not.
"""

import hashlib
import re
from collections.abc import Iterable

from fastapi import Request
from fastapi.responses import Response

_VERSION = re.compile(r'"([0-9]{1,18})"')
_TAG = re.compile(r'(?:W/)?("[^"]*")')
JSON = "application/json"


def job_etag(version: int | str) -> str:
    """Return the ETag of one job.

    Args:
        version: its resourceVersion.
    """
    return f'W/"{version}"'


def known_version(request: Request) -> int:
    """Return the resourceVersion of a job that the caller has already; 0: none.

    Args:
        request: may have If-None-Match.
    """
    given = ", ".join(request.headers.getlist("if-none-match"))
    return max(map(int, _VERSION.findall(given)), default=0)


def page_etag(parts: Iterable[str]) -> str:
    """Return the ETag of a page: of all that is in it, and of what comes after it."""
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    return f'W/"{digest[:24]}"'


def conditional(request: Request, etag: str, content: bytes) -> Response:
    """Return an answer, or 304 where the caller says that it has this one.

    Args:
        request: may have If-None-Match.
        etag: of the answer.
        content: JSON.
    """
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if has_etag(request.headers.getlist("if-none-match"), etag):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=JSON, headers=headers)


def has_etag(given: Iterable[str], etag: str) -> bool:
    """Return whether an If-None-Match names an ETag, compared weakly."""
    text = ", ".join(given)
    return text.strip() == "*" or etag.removeprefix("W/") in _TAG.findall(text)
