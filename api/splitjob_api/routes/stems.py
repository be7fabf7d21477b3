"""The stems of a completed job, for callers without keys to the bucket."""

import re
from datetime import datetime

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from splitjob.result import FILE_EXTENSIONS
from splitjob.status import Result, Stem
from splitjob_api.cluster_route import ClusterRoute
from splitjob_api.deps import Services, ServicesDep
from splitjob_api.error_catalogue import documented
from splitjob_api.head_only import is_head_only
from splitjob_api.job_response import ResponsePart
from splitjob_api.problems import ApiError, storage_unavailable
from splitjob_api.spec_change import existing_job
from splitjob_api.storage_links import Link, StorageLinksError
from splitjob_api.stored_result import storage_place, stored_result

# A presigned URL is a secret, and one that ends: nobody may keep it for the next caller.
_HEADERS = {"Cache-Control": "no-store", "Vary": "Accept"}

router = APIRouter(tags=["jobs"], route_class=ClusterRoute)


class DownloadResponse(ResponsePart):
    """Where a stem can be fetched from, for a while."""

    url: str
    expires_at: datetime


@router.get(
    "/jobs/{job_id}/stems/{stem}",
    summary="Download a stem",
    response_model=DownloadResponse,
    responses={
        200: {"description": "With `Accept: application/json`."},
        307: {"description": "To a presigned URL of the bucket, good for a few minutes."},
        **documented(
            "job_not_found",
            "stem_not_found",
            "not_completed",
            "stems_elsewhere",
            "erased",
            "cluster_unavailable",
            "storage_not_configured",
            "storage_unavailable",
        ),
    },
)
def download(job_id: str, stem: str, services: ServicesDep, request: Request) -> Response:
    """Answer 307 to a presigned URL, or with that URL as JSON where it is asked for."""
    splitjob = existing_job(services, job_id)
    found = _stem(stored_result(splitjob), stem)
    version_id = splitjob["spec"]["request"]["versionId"]
    name = f"{version_id}-{found.type}.{FILE_EXTENSIONS[found.format]}"
    link = _link(services, found.url, name, head_only=is_head_only(request.scope))
    if not _wants_json(request):
        return RedirectResponse(link.url, 307, headers=_HEADERS)
    answer = DownloadResponse(url=link.url, expires_at=link.expires_at)
    return JSONResponse(answer.model_dump(mode="json", by_alias=True), headers=_HEADERS)


def _stem(result: Result, name: str) -> Stem:
    """Return a stem of a job.

    Raises:
        ApiError: 404; it has none of that name.
    """
    stems = {stem.type: stem for stem in result.stems}
    if name not in stems:
        known = ", ".join(stems)
        raise ApiError(404, "stem_not_found", f"this job has no such stem; it has: {known}")
    return stems[name]


def _link(services: Services, url: str, file_name: str, *, head_only: bool) -> Link:
    """Return a link to an object.

    Args:
        services: the app's.
        url: `s3://bucket/key`, as the result has it.
        file_name: what a browser shall call it.
        head_only: a HEAD asks, and so will the one that follows the link.

    Raises:
        ApiError: 503; the API cannot sign one. 409; it lies in a bucket of former settings.
    """
    links, key = storage_place(services, url)
    try:
        return links.download(key, file_name, head_only=head_only)
    except StorageLinksError as error:
        raise storage_unavailable(error.reason) from None


def _wants_json(request: Request) -> bool:
    """Whether JSON is asked for by name: browsers and programs that ask for anything do not."""
    for entry in request.headers.get("accept", "").lower().split(","):
        kind, *parameters = (part.strip() for part in entry.split(";"))
        if kind == "application/json":
            return not any(re.fullmatch(r"q=0(\.0*)?", one) for one in parameters)
    return False
