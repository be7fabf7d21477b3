"""Errors as RFC 9457 problem+json, each with a stable `code`."""

import logging
import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from splitjob.request_policy import FieldProblem
from splitjob_api.error_catalogue import PROBLEM_MEDIA_TYPE
from splitjob_api.kubernetes import ClusterUnavailableError
from splitjob_api.request_log import REQUEST_ID_HEADER, request_id_of
from splitjob_kube.preconditions import Unready

RETRY_SECONDS = 5

logger = logging.getLogger(__name__)


class FieldError(BaseModel):
    """What is wrong with one field."""

    field: str = Field(description="The field, with dots between levels.")
    code: str = Field(description="invalid, unknown, unsupported, forbidden, expired, ...")
    message: str = Field(description="What is wrong with it.")


class Problem(BaseModel):
    """An error, as RFC 9457 describes it."""

    model_config = ConfigDict(populate_by_name=True)

    type: str = "about:blank"
    title: str = Field(description="The status in words.")
    status: int = Field(description="The HTTP status.")
    code: str = Field(description="Stable, for programs.")
    detail: str = Field(description="What is wrong and what to do, for people.")
    errors: list[FieldError] | None = Field(default=None, description="With 422: each field.")
    job_id: str | None = Field(
        default=None, alias="jobId", description="With 409: the job of this key."
    )


class ApiError(Exception):
    """A request is answered with an error.

    Args:
        status: HTTP status.
        code: stable, for programs.
        detail: for people; never a secret.
        errors: with 422, one entry per field.
        headers: more headers of the answer.
        job_id: with 409, the job in the way.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Sequence[FieldProblem] = (),
        headers: Mapping[str, str] | None = None,
        job_id: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = errors
        self.headers = dict(headers or {})
        self.job_id = job_id

    def response(self) -> JSONResponse:
        """Return the answer."""
        problem = Problem(
            title=_title(self.status),
            status=self.status,
            code=self.code,
            detail=self.detail,
            errors=[FieldError(**one._asdict()) for one in self.errors] or None,
            job_id=self.job_id,
        )
        return JSONResponse(
            problem.model_dump(exclude_none=True, by_alias=True),
            status_code=self.status,
            headers=self.headers,
            media_type=PROBLEM_MEDIA_TYPE,
        )


def fields_invalid(errors: Sequence[FieldProblem]) -> ApiError:
    """Return the 422 that names each wrong field."""
    names = ", ".join(dict.fromkeys(error.field for error in errors))
    return ApiError(422, "request_invalid", f"not acceptable: {names}", errors=errors)


def retry_later(status: int, code: str, detail: str, *, seconds: float = RETRY_SECONDS) -> ApiError:
    """Return an error that passes by itself: every answer with `Retry-After` is made here.

    Args:
        status: 429 where the caller is to slow down, 503 where we cannot serve.
        code: stable, for programs.
        detail: for people; never a secret. When to try again is added to it.
        seconds: after which it is worth another try; the header has whole seconds, at least 1.
    """
    wait = max(1, math.ceil(seconds))
    unit = "second" if wait == 1 else "seconds"
    headers = {"Retry-After": str(wait)}
    return ApiError(status, code, f"{detail}; try again in {wait} {unit}", headers=headers)


def job_not_found() -> ApiError:
    """Return the 404 for a jobId that no job has."""
    return ApiError(404, "job_not_found", "there is no such job")


def storage_unavailable(reason: str) -> ApiError:
    """Return the 503 for a bucket that cannot serve us now."""
    return retry_later(503, "storage_unavailable", reason)


def storage_not_configured(detail: str) -> ApiError:
    """Return the 501 for what an installation does without: it does not pass by itself.

    Args:
        detail: names the setting that whoever runs the installation would have to change.
    """
    return ApiError(501, "storage_not_configured", detail)


def cluster_unavailable(error: ClusterUnavailableError) -> ApiError:
    """Return the 503 for a cluster that cannot serve us now."""
    return retry_later(503, "cluster_unavailable", f"the Kubernetes API {error.reason}")


def not_ready(unready: Sequence[Unready]) -> ApiError:
    """Return the 503 that says what keeps us from serving requests."""
    return retry_later(503, "not_ready", "; ".join(one.message for one in unready))


def install_handlers(app: FastAPI) -> None:
    """Make an app answer every error as problem+json."""
    app.exception_handler(ApiError)(_api_error)
    app.exception_handler(ClusterUnavailableError)(_cluster_unavailable)
    app.exception_handler(HTTPException)(_http_exception)
    app.exception_handler(RequestValidationError)(_validation_error)
    app.exception_handler(Exception)(_defect)


async def _api_error(_request: Request, error: ApiError) -> JSONResponse:
    return error.response()


async def _cluster_unavailable(_request: Request, error: ClusterUnavailableError) -> JSONResponse:
    logger.warning("the Kubernetes API %s", error.reason)
    return cluster_unavailable(error).response()


async def _http_exception(request: Request, error: HTTPException) -> JSONResponse:
    code = _title(error.status_code).lower().replace(" ", "_").replace("-", "_")
    detail = {
        404: "there is nothing at this path; GET /docs lists what there is",
        405: "this path does not take this method; GET /docs lists what there is",
    }.get(error.status_code, _title(error.status_code))
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_methods_at(request))
    return ApiError(error.status_code, code, detail, headers=headers).response()


def _methods_at(request: Request) -> list[str]:
    """Return what a path takes by all of its routes: the framework names those of one alone."""
    methods = {
        method
        for route in iter_route_contexts(request.app.routes)
        if compile_path(route.path or "")[0].match(request.scope["path"])
        for method in route.methods or ()
    }
    return sorted(methods | {"HEAD"} if "GET" in methods else methods)


async def _validation_error(_request: Request, error: RequestValidationError) -> JSONResponse:
    problems = [
        FieldProblem(
            ".".join(map(str, one["loc"][1:])), "invalid", one["msg"].removeprefix("Value error, ")
        )
        for one in error.errors()
    ]
    return fields_invalid(problems).response()


async def _defect(request: Request, _error: Exception) -> JSONResponse:
    """Answer for a defect of ours, further out than any middleware; what happened is in the log."""
    headers = {REQUEST_ID_HEADER: request_id_of(request.scope)}
    detail = "a defect of this service; its log says more"
    return ApiError(500, "internal_error", detail, headers=headers).response()


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
