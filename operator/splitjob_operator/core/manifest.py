"""What stands in a manifest's place in the bucket, and what it means to a job. Pure."""

from typing import Literal

from splitjob.errors import ErrorCode, known_code
from splitjob.intent import intent_of
from splitjob.result import Manifest
from splitjob.spec import Request
from splitjob.usage import usage_of
from splitjob_operator.core.lookups import ClaimTombstone, ManifestLookup, ManifestState
from splitjob_operator.core.observed import SplitJob

__all__ = ["classify", "erased_tombstone", "key_of", "reservation", "tombstone"]


def key_of(prefix: str) -> str:
    """Return the key of the manifest below a job's prefix (`splitjob.result.storage_prefix`)."""
    return f"{prefix}/manifest.json"


def classify(manifest: Manifest, job_uid: str, request: Request) -> ManifestLookup:
    """Return what a manifest means to a job.

    A completed one of the same intent means completed, whichever job wrote it: a restored or
    repeated one need not run again. Another request that was given the same name, by hand or by an
    idempotency key used anew, must run. A tombstone binds its own job alone, and a reservation
    leaves the job's place as if nothing stood there.

    Args:
        manifest: what is in the bucket.
        job_uid: the job's.
        request: what the job was asked.
    """
    ours = manifest.is_of(job_uid, request.submission_id)
    if manifest.status == "reserved":
        state = ManifestState.ABSENT if ours else ManifestState.FOREIGN
    elif manifest.status != "completed":
        state = ManifestState.OUR_TOMBSTONE if ours else ManifestState.FOREIGN
    else:
        answers = ours or manifest.intent == intent_of(request)
        whole = manifest.result is not None
        state = ManifestState.COMPLETED if answers and whole else ManifestState.FOREIGN
    return ManifestLookup(state, manifest)


def reservation(splitjob: SplitJob, request: Request) -> Manifest:
    """Return what keeps a job's place, where a former job had left something, for its worker."""
    return Manifest(
        job_id=splitjob.name,
        job_uid=splitjob.uid,
        submission_id=request.submission_id,
        version_id=request.version_id,
        status="reserved",
    )


def tombstone(splitjob: SplitJob, request: Request, wanted: ClaimTombstone) -> Manifest:
    """Return the tombstone of a job that ended without stems."""
    return Manifest(
        job_id=splitjob.name,
        job_uid=splitjob.uid,
        submission_id=request.submission_id,
        version_id=request.version_id,
        attempt=wanted.usage.attempts,
        gpu_seconds=wanted.usage.gpu_seconds,
        status=wanted.status,
        error_code=wanted.code,
        message=wanted.message,
    )


def erased_tombstone(splitjob: SplitJob, request: Request, files: list[str]) -> Manifest:
    """Return what stands in the manifest's place once a job's data are erased.

    Args:
        splitjob: the job, which has ended; how it did stays on record.
        request: what was asked.
        files: which there were.
    """
    failure = splitjob.status.failure
    code = known_code(failure.code) if failure else None
    without_stems: Literal["failed", "canceled"] = (
        "canceled" if code is ErrorCode.CANCELED else "failed"
    )
    usage = usage_of(splitjob.status)
    return Manifest(
        job_id=splitjob.name,
        job_uid=splitjob.uid,
        submission_id=request.submission_id,
        version_id=request.version_id,
        attempt=usage.attempts,
        gpu_seconds=usage.gpu_seconds,
        status=without_stems if failure else "erased",
        error_code=code,
        message=failure.message if failure else None,
        erased_files=files,
    )
