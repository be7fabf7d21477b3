"""A file of a caller's own, on its way into the bucket."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field

from splitjob.inputs import MAX_INPUT_BYTES, Inputs
from splitjob.request_policy import FieldProblem
from splitjob_api.cluster_route import ClusterRoute
from splitjob_api.deps import Services, ServicesDep
from splitjob_api.error_catalogue import documented
from splitjob_api.file_request import FileRequest
from splitjob_api.job_response import ResponsePart
from splitjob_api.openapi import UPLOAD_BODY
from splitjob_api.problems import fields_invalid, storage_not_configured, storage_unavailable
from splitjob_api.request_body import parse_object, validate
from splitjob_api.storage_links import StorageLinks, StorageLinksError

router = APIRouter(tags=["jobs"], route_class=ClusterRoute)


class UploadAnswer(ResponsePart):
    """Where a file goes, by one PUT, and the address it has from then on."""

    url: str = Field(description="Presigned for one PUT: as good as a key to it until it ends.")
    headers: dict[str, str] = Field(description="To be sent with the PUT as they are.")
    audio_url: str = Field(description="For POST /split.")
    expires_at: datetime = Field(description="When `url` ends.")


async def file_request(request: Request) -> FileRequest:
    """Return the body; its size and signature have been checked before."""
    return validate(FileRequest, parse_object(await request.body()))


@router.post(
    "/uploads",
    summary="Send a file of your own",
    status_code=201,
    responses=documented(
        "json_invalid",
        "request_invalid",
        "cluster_unavailable",
        "storage_not_configured",
        "storage_unavailable",
    ),
    openapi_extra={"requestBody": UPLOAD_BODY},
)
def upload(
    asked: Annotated[FileRequest, Depends(file_request)], services: ServicesDep, response: Response
) -> UploadAnswer:
    """Answer with a presigned PUT for one file, and the `audioUrl` to use with it.

    The file is deleted when the job that uses it has ended, or after a day.
    """
    inputs, links = _bucket(services)
    _refuse_too_large(asked.size, services.settings.max_source_bytes)
    key = inputs.new_key(asked.filename)
    try:
        link = links.upload(key, asked.size)
    except StorageLinksError as error:
        raise storage_unavailable(error.reason) from None
    response.headers["Cache-Control"] = "no-store"  # the URL is a secret, and one that ends
    return UploadAnswer(
        url=link.url,
        headers=dict(link.headers),
        audio_url=inputs.url_of(key),
        expires_at=link.expires_at,
    )


def _bucket(services: Services) -> tuple[Inputs, StorageLinks]:
    """Return where files go, and who signs for it.

    Raises:
        ApiError: 501; this installation takes none.
    """
    inputs, links = services.policy.inputs, services.storage_links
    if inputs is None or links is None:
        raise storage_not_configured(
            "this installation takes no files: that needs api.storage.uploads.enabled of the "
            "chart; give a URL that the workers can reach"
        )
    return inputs, links


def _refuse_too_large(size: int, most: int) -> None:
    limit = min(most, MAX_INPUT_BYTES)
    if size > limit:
        message = f"a file may have {limit} bytes here (source.maxBytes of the chart)"
        raise fields_invalid([FieldProblem("size", "invalid", message)])
