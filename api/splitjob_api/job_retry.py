"""A new job of the request that an earlier job failed to serve.

Without a body it shares the Secret with the request's whole URLs, which stays as long as one job
refers to it. With a body all those URLs are given anew.
"""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from splitjob import workload
from splitjob.intent import intent_of
from splitjob.request import (
    ResourceDraft,
    UploadField,
    UploadName,
    locate,
    locate_source,
    locate_upload,
)
from splitjob.request_policy import FieldProblem
from splitjob.spec import MAX_UPLOADS, Location, Request, Upload
from splitjob.urls import SourceUrl, UrlError, WebUrl, parse_source, plain_url
from splitjob_api.problems import ApiError, fields_invalid

_PRIORITIES = range(-100, 101)


class RetryRequest(BaseModel):
    """The URLs of a request anew: same addresses, fresh signatures."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        strict=True,
        hide_input_in_errors=True,
        title="RetryRequest",
    )

    audio_url: SourceUrl | None = Field(
        default=None, description="The audio's address as before, freshly presigned."
    )
    webhook: WebUrl | None = Field(default=None, description="The webhook's, where it has a query.")
    uploads: dict[UploadName, UploadField] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_UPLOADS,
        description="Those of `uploads`, each of them.",
    )

    def urls(self) -> dict[str, WebUrl]:
        """Return what was given, by field as the resource names it."""
        found = {"source": self.audio_url, "webhook": self.webhook}
        given = {field: url for field, url in found.items() if url is not None}
        uploads = {f"uploads.{name}": upload.url for name, upload in (self.uploads or {}).items()}
        return given | uploads


def read_request(splitjob: dict[str, Any]) -> tuple[Request, int]:
    """Return the request of a job, and its priority.

    Raises:
        ApiError: 409; no job can be made of it.
    """
    spec = splitjob.get("spec", {})
    try:
        return Request.model_validate(spec.get("request", {})), int(spec.get("priority", 0))
    except ValidationError:
        raise _not_retryable() from None


def retry_draft(request: Request, priority: int, anew: RetryRequest | None) -> ResourceDraft:
    """Return the request as the new job will hold it.

    Its URLs are seen as far as they can be: of those that stay in the old job's Secret the part
    before the query, since the API reads no Secrets.

    Args:
        request: of the old job.
        priority: of the old job.
        anew: the URLs given in the body; None: the old job's Secret is shared.

    Raises:
        ApiError: 422; the URLs are not those of the request, or not all. 409; they are none.
    """
    kept = {"intent": _intent(request, priority), "idempotency_key": None}
    if anew is None:
        return ResourceDraft(request.model_copy(update=kept), {}, _plain_urls(request), {})
    if found := list(_problems(request, anew.urls())):
        raise fields_invalid(found)
    secrets: dict[str, str] = {}
    changed = {**_located(request, anew, secrets), "secret_name": None}
    return ResourceDraft(
        request.model_copy(update=kept | changed),
        secrets,
        urls={**_plain_urls(request), **anew.urls()},
        headers={name: upload.headers for name, upload in (anew.uploads or {}).items()},
    )


def _located(
    request: Request, anew: RetryRequest, secrets: dict[str, str]
) -> dict[str, Location | dict[str, Upload] | None]:
    """Return the locations of a request as those that were given anew make them."""
    source, webhook, uploads = request.source, request.webhook, dict(request.uploads or {})
    if anew.audio_url:
        source = locate_source(anew.audio_url, secrets)
    if anew.webhook:
        hook = locate(anew.webhook, workload.SECRET_KEY_WEBHOOK, secrets)
        webhook = webhook.model_copy(update={"secret_key": hook.secret_key})
    for name, upload in (anew.uploads or {}).items():
        uploads[name] = locate_upload(name, upload, secrets)
    return {"source": source, "webhook": webhook, "uploads": uploads or None}


def _plain_urls(request: Request) -> dict[str, WebUrl]:
    try:
        return {field: parse_source(one.url) for field, one in _locations(request).items()}
    except UrlError:
        raise _not_retryable() from None


def _intent(request: Request, priority: int) -> str:
    """Return the intent of a job.

    It was computed with the priority that was asked for, which may have been changed since; one
    that fits no priority was copied by hand from another request.
    """
    stored = request.intent
    if stored and any(intent_of(request, asked) == stored for asked in (priority, *_PRIORITIES)):
        return stored
    return intent_of(request, priority)


def _locations(request: Request) -> dict[str, Location]:
    uploads = {f"uploads.{name}": one for name, one in (request.uploads or {}).items()}
    return {"source": request.source, "webhook": request.webhook, **uploads}


def _problems(request: Request, urls: dict[str, WebUrl]) -> Iterator[FieldProblem]:
    plain = _plain_urls(request)
    if not urls:
        yield FieldProblem("audioUrl", "missing", "give the URLs anew, or send no body at all")
        return
    for field, url in urls.items():
        if field not in plain:
            yield FieldProblem(_in_body(field), "unknown", "the job has no such URL")
        elif plain_url(url) != plain_url(plain[field]):
            yield FieldProblem(
                _in_body(field),
                "invalid",
                "before its query it must be the job's own; send another request to POST /split",
            )
    for field, location in _locations(request).items():
        if field not in urls and _has_secret(location):
            message = "it has a query or headers too: give all of those anew"
            yield FieldProblem(_in_body(field), "missing", message)


def _has_secret(location: Location) -> bool:
    headers = location.headers if isinstance(location, Upload) else None
    return bool(location.secret_key or headers)


def _in_body(field: str) -> str:
    return "audioUrl" if field == "source" else field


def _not_retryable() -> ApiError:
    return ApiError(
        409,
        "not_retryable",
        "the request of this job cannot be read; send a new one to POST /split",
    )
