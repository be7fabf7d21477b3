"""Files from POST /uploads: when one is deleted. Pure.

A file goes when a job that read it has ended, however it did, unless another job that has not ended
reads it too: then with the last of them. One that no job refers to goes when it is a day old.
"""

from collections.abc import Container, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from splitjob_operator.core.context import ReconcileContext

__all__ = ["StoredInput", "must_delete", "orphans", "record_deletion"]

RETRY_SECONDS = 60
IN_USE = "Another job that has not ended reads its input, which is erased once that has."


@dataclass(frozen=True, slots=True)
class StoredInput:
    """A file in the bucket.

    Attributes:
        key: its key.
        url: its address, as requests name it.
        stored_at: when it came.
    """

    key: str
    url: str
    stored_at: datetime


def must_delete(ctx: ReconcileContext) -> bool:
    """Whether a job that has ended leaves a file behind that nobody needs, and that is there."""
    return (
        ctx.input_key is not None
        and ctx.status.input_deleted_at is None
        and not ctx.observed.input_shared
        and ctx.observed.lookups.input is None
    )


def record_deletion(ctx: ReconcileContext) -> None:
    """Note that the file is gone; while it is not, come back."""
    if ctx.input_key is None or ctx.status.input_deleted_at is not None:
        return
    found = ctx.observed.lookups.input
    if found is not None and found.done:
        ctx.status.input_deleted_at = ctx.now
    else:
        ctx.requeue_after(RETRY_SECONDS)


def orphans(
    page: Iterable[StoredInput], in_use: Container[str], now: datetime, seconds: float
) -> list[str]:
    """Return the keys of files that nobody needs.

    Args:
        page: files in the bucket.
        in_use: the addresses that jobs which have not ended read.
        now: the time.
        seconds: how old a file may become that no such job reads.
    """
    before = now - timedelta(seconds=seconds)
    return [one.key for one in page if one.stored_at < before and one.url not in in_use]
