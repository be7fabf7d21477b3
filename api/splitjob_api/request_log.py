"""What a request's line in the log says of it, beyond what can be seen from outside.

Whoever comes to know the job that a request is about says so with `note` or `note_splitjob`, on the
event loop or in a thread that serves the request; the line itself is written once, at the end, by
the middleware.
"""

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from starlette.datastructures import Headers
from starlette.types import Scope

__all__ = [
    "REQUEST_ID_HEADER",
    "collecting",
    "new_request_id",
    "note",
    "note_splitjob",
    "noted",
    "remember_request_id",
    "request_id_of",
]

REQUEST_ID_HEADER = "X-Request-Id"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)
_KEY = "request_id"
_fields: ContextVar[dict[str, str] | None] = ContextVar("request_fields", default=None)


def remember_request_id(scope: Scope) -> str:
    """Return the id that a caller gave a request, or a new one, and note it on the request."""
    given = Headers(scope=scope).get(REQUEST_ID_HEADER, "")
    request_id = given if _REQUEST_ID.fullmatch(given) else new_request_id()
    scope.setdefault("state", {})[_KEY] = request_id
    return request_id


def request_id_of(scope: Scope) -> str:
    """Return the id that was noted on a request, or a new one."""
    return str(scope.get("state", {}).get(_KEY) or new_request_id())


def new_request_id() -> str:
    """Return an id that no request has had."""
    return uuid.uuid4().hex


@contextmanager
def collecting() -> Iterator[dict[str, str]]:
    """Yield the fields that are noted meanwhile, in this task and the threads that it starts."""
    fields: dict[str, str] = {}
    token = _fields.set(fields)
    try:
        yield fields
    finally:
        _fields.reset(token)


def note(
    *,
    job_id: str | None = None,
    version_id: str | None = None,
    correlation_id: str | None = None,
) -> None:
    """Let the request's line name the job that it is about; None adds nothing.

    Args:
        job_id: the SplitJob's name.
        version_id: the caller's name of the song version.
        correlation_id: the caller's correlation id.
    """
    fields = _fields.get()
    if fields is not None:
        given = {"jobId": job_id, "versionId": version_id, "correlationId": correlation_id}
        fields.update({name: value for name, value in given.items() if value is not None})


def noted(name: str) -> str:
    """Return a field that was noted of the request that is served; blank where none was."""
    return (_fields.get() or {}).get(name, "")


def note_splitjob(splitjob: dict[str, Any]) -> None:
    """Let the request's line name a SplitJob that was found, however odd what it asks for."""
    request = splitjob.get("spec", {}).get("request", {})
    note(
        job_id=splitjob["metadata"]["name"],
        version_id=request.get("versionId"),
        correlation_id=request.get("correlationId"),
    )
