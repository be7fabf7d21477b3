"""Files from POST /uploads: when one is deleted. Pure.

A file goes when a job that read it has ended, however it did, unless another job that has not ended
reads it too: then with the last of them. One that no job refers to goes when it is a day old.
The job's final event goes first: a bucket that hangs must not hold it up.
"""

from collections.abc import Container, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from splitjob_operator.core import outbox
from splitjob_operator.core.context import ReconcileContext

__all__ = ["IN_USE", "StoredInput", "is_next", "must_delete", "orphans", "record_deletion"]

RETRY_SECONDS = 60
LAST_RETRY_SECONDS = 3600
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
        _is_left(ctx)
        and not ctx.observed.input_shared
        and ctx.observed.lookups.input is None
        and not _event_comes_first(ctx)
    )


def is_next(ctx: ReconcileContext) -> bool:
    """Whether a file is left that is looked at once what came of the event is noted, as it is now.

    So long the job is kept, even if its time is over.
    """
    return _is_left(ctx) and ctx.observed.delivery is not None


def record_deletion(ctx: ReconcileContext) -> None:
    """Note that the file is gone; while it is not, come back."""
    if not _is_left(ctx):
        return
    found = ctx.observed.lookups.input
    if found is not None and found.done:
        ctx.status.input_deleted_at = ctx.now
    elif found is not None:
        ctx.requeue_after(_retry_seconds(ctx))
    elif is_next(ctx):
        ctx.requeue_after(0)
    else:
        ctx.requeue_after(RETRY_SECONDS)


def _is_left(ctx: ReconcileContext) -> bool:
    """Whether the job read a file that is not known to be gone."""
    return ctx.input_key is not None and ctx.status.input_deleted_at is None


def _event_comes_first(ctx: ReconcileContext) -> bool:
    """Whether the final event is to be sent now, or what came of sending it is to be noted."""
    hook, spec = ctx.status.webhook, ctx.observed.splitjob.spec
    if hook is None or ctx.observed.delivery is not None or outbox.due(hook, ctx.now):
        return True
    return spec is not None and spec.redeliveries > hook.redeliveries


def _retry_seconds(ctx: ReconcileContext) -> float:
    """Return when to try again: the later the longer it was in vain, as there may be thousands."""
    ended = ctx.status.finished_at or ctx.now
    return min(max(RETRY_SECONDS, (ctx.now - ended).total_seconds()), LAST_RETRY_SECONDS)


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
