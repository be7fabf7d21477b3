"""Which ends of a job a storm explains: by its song, by what was asked of it, by a fault."""

from collections.abc import Collection

from chaos.load import Song
from chaos.plan import Source
from splitjob.errors import ErrorCode

COMPLETED = "completed"

# How each kind of song ends where nothing comes between.
OWN_END: dict[Source, str] = {
    "song": COMPLETED,
    "slow": COMPLETED,
    "stored": COMPLETED,
    "missing": ErrorCode.SOURCE_NOT_FOUND,
    "unreadable": ErrorCode.AUDIO_UNREADABLE,
}
# What a fault may do to any worker, by how the fault's name begins. What is not here nothing
# explains: `internal_error` is a defect whatever has happened.
BY_FAULTS: dict[str, tuple[str, ...]] = {
    ErrorCode.WORKER_LOST: ("worker", "node", "Job", "pod"),
    ErrorCode.WORKER_DISRUPTED: ("worker told to stop", "node", "Job", "pod"),
    ErrorCode.UPLOAD_FAILED: ("s3",),
}
# What the same does besides to a worker whose song lies in the bucket.
STORED_BY_FAULTS: dict[str, tuple[str, ...]] = {
    ErrorCode.SOURCE_UNAVAILABLE: ("s3",),
    ErrorCode.SOURCE_TIMEOUT: ("s3",),
    ErrorCode.SOURCE_INCOMPLETE: ("s3",),
}


def explains(song: Song, faults: Collection[str], end: str) -> bool:
    """Return whether a job, or one attempt of it, may truthfully have ended so.

    Args:
        song: that the job is about, with what was asked of it.
        faults: the kinds that the storm had.
        end: `completed`, or a failure's code.
    """
    if end == ErrorCode.CANCELED:
        return song.plan.fate == "canceled"
    if end == OWN_END[song.plan.source]:
        return True
    by_faults = BY_FAULTS | (STORED_BY_FAULTS if song.plan.source == "stored" else {})
    return any(fault.startswith(by_faults.get(end, ())) for fault in faults)
