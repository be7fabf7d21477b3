"""The id that the API gives a submission: it tells when that was, so that a restore shows."""

import secrets
from datetime import UTC, datetime, timedelta

__all__ = ["new_submission_id", "submitted_when_created"]

TIME_DIGITS = 12  # milliseconds since 1970, as in a UUID of version 7
RANDOM_BYTES = 10
MARGIN = timedelta(seconds=60)  # for clocks that differ; a restore comes later
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def new_submission_id(now: datetime) -> str:
    """Return an id that nobody else has, 32 hexadecimal digits."""
    milliseconds = (now - _EPOCH) // timedelta(milliseconds=1)
    return f"{milliseconds:0{TIME_DIGITS}x}{secrets.token_hex(RANDOM_BYTES)}"


def submitted_when_created(submission_id: str | None, created_at: datetime) -> bool:
    """Return whether a SplitJob was created when its request was submitted.

    A restore from a backup creates it again, long after that.

    Args:
        submission_id: of the request; where there is none, or one that tells no time, it was not.
        created_at: when the SplitJob was created.
    """
    if not submission_id:
        return False
    submitted = timedelta(milliseconds=int(submission_id[:TIME_DIGITS], 16))
    return abs(created_at - _EPOCH - submitted) <= MARGIN
