"""What lies beside the stems of a completed job: waveforms, and the manifest."""

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool

from splitjob.result import MIXTURE
from splitjob.status import Result
from splitjob_api.deps import Services, ServicesDep
from splitjob_api.error_catalogue import documented
from splitjob_api.problems import ApiError
from splitjob_api.spec_change import existing_job
from splitjob_api.stored_result import storage_place, stored_result

_ERRORS = (
    "job_not_found",
    "stem_not_found",
    "file_not_found",
    "not_completed",
    "stems_elsewhere",
    "erased",
    "cluster_unavailable",
    "storage_not_configured",
    "storage_unavailable",
)
_NOT_MODIFIED = {"description": "The caller has it already (`If-None-Match`)."}

router = APIRouter(tags=["jobs"])


def _json(summary: str, example: object) -> dict[str, object]:
    content = {"schema": {"type": "object"}, "example": example}
    return {"description": summary, "content": {"application/json": content}}


@router.get(
    "/jobs/{job_id}/waveforms/{stem}",
    summary="What a player draws of a stem",
    response_class=Response,
    responses={
        200: _json(
            "As `audiowaveform` writes it: version 2, 8 bit, 100 points a second.",
            {
                "version": 2,
                "channels": 1,
                "sample_rate": 44100,
                "samples_per_pixel": 441,
                "bits": 8,
                "length": 2,
                "data": [-65, 63, -66, 64],
            },
        ),
        304: _NOT_MODIFIED,
        **documented(*_ERRORS),
    },
)
async def waveform(job_id: str, stem: str, services: ServicesDep, request: Request) -> Response:
    """Answer with the waveform of a stem, or of the song itself, whose name is `mixture`.

    There is one where the request asked for `waveforms`.
    """
    result = await _result(services, job_id)
    links, key = storage_place(services, _waveform_url(result, stem))
    return await services.stored_files.answer(request, lambda: links.open(key))


@router.get(
    "/jobs/{job_id}/manifest",
    summary="The manifest of a completed job",
    response_class=Response,
    responses={
        200: _json(
            "As it lies in the bucket: each stem with its checksum.",
            {"jobId": "split-csmzzjpqm6badj2is7lgglndnb", "status": "completed"},
        ),
        304: _NOT_MODIFIED,
        **documented(*(code for code in _ERRORS if code != "stem_not_found")),
    },
)
async def manifest(job_id: str, services: ServicesDep, request: Request) -> Response:
    """Answer with `manifest.json`, which proves that the set of stems is whole."""
    result = await _result(services, job_id)
    links, key = storage_place(services, result.manifest_url)
    return await services.stored_files.answer(request, lambda: links.open(key))


async def _result(services: Services, job_id: str) -> Result:
    async with services.cluster_limit.held():
        splitjob = await run_in_threadpool(existing_job, services, job_id)
    return stored_result(splitjob)


def _waveform_url(result: Result, name: str) -> str:
    """Return where a waveform is.

    Raises:
        ApiError: 404; the job has none of that name.
    """
    drawn = {stem.type: stem.waveform for stem in result.stems if stem.waveform}
    if result.audio and result.audio.waveform:
        drawn.setdefault(MIXTURE, result.audio.waveform)
    if name not in drawn:
        known = ", ".join(drawn)
        why = f"it has: {known}" if known else "its request did not ask for `waveforms`"
        raise ApiError(404, "stem_not_found", f"this job has no such waveform; {why}")
    return drawn[name]
