"""Manifests and tombstones: where they stand and what they say. Pure."""

from splitjob.resource import Request
from splitjob.result import Manifest
from splitjob_operator.answers import ClaimTombstone, ManifestAnswer, ManifestState
from splitjob_operator.observed import SplitJobView

__all__ = ["classify", "key_of", "tombstone"]


def key_of(prefix: str) -> str:
    """Return the key of the manifest below a job's prefix (`splitjob.result.storage_prefix`)."""
    return f"{prefix}/manifest.json"


def classify(manifest: Manifest, job_uid: str) -> ManifestAnswer:
    """Return what a manifest means to the job of a uid.

    A completed one means completed, whoever wrote it: the stems are there, and a restored or
    repeated job of the same intent need not run again. A tombstone binds its own job alone.
    """
    if manifest.status == "completed":
        whole = manifest.result is not None
        state = ManifestState.COMPLETED if whole else ManifestState.FOREIGN
    else:
        ours = manifest.job_uid == job_uid
        state = ManifestState.OUR_TOMBSTONE if ours else ManifestState.FOREIGN
    return ManifestAnswer(state, manifest)


def tombstone(
    splitjob: SplitJobView, request: Request, attempt: int, wanted: ClaimTombstone
) -> Manifest:
    """Return the tombstone of a job that ended without stems."""
    return Manifest(
        job_id=splitjob.name,
        job_uid=splitjob.uid,
        version_id=request.version_id,
        attempt=attempt,
        status=wanted.status,
        error_code=wanted.code,
    )
