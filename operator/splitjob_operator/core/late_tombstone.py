"""The tombstone of a job that ended while the bucket was away: written once that is back.

A verdict does not wait for ever, and that of a job which never had a worker not at all. Without a
tombstone a restore that lost the status would run such a job again.
"""

from typing import Literal

from splitjob.errors import ErrorCode, known_code
from splitjob.usage import usage_of_attempts
from splitjob_operator.core import outbox
from splitjob_operator.core.context import ReconcileContext
from splitjob_operator.core.lookups import ClaimTombstone, ManifestState

__all__ = ["missing_tombstone", "record_tombstone"]

RETRY_SECONDS = 10  # and then as long again as it was in vain, as there may be thousands
LAST_RETRY_SECONDS = 3600


def missing_tombstone(ctx: ReconcileContext) -> ClaimTombstone | None:
    """Return the tombstone that is to be tried now; None: there is none, or the event goes first.

    A bucket that hangs holds up no event.
    """
    failure = ctx.status.failure
    if not ctx.status.tombstone_due or failure is None or ctx.observed.lookups.claim:
        return None
    if _event_goes_first(ctx):
        return None
    code = known_code(failure.code)
    status: Literal["failed", "canceled"] = "canceled" if code is ErrorCode.CANCELED else "failed"
    usage = ctx.status.usage or usage_of_attempts(ctx.status.attempts)
    return ClaimTombstone(status, code, failure.message, usage)


def record_tombstone(ctx: ReconcileContext) -> None:
    """Note that the tombstone, or whatever a worker put in its place, is there; else come back."""
    if not ctx.status.tombstone_due:
        return
    claim = ctx.observed.lookups.claim
    if claim is not None and claim.state != ManifestState.UNREACHABLE:
        ctx.status.tombstone_due = None
        return
    ended = ctx.status.finished_at or ctx.now
    waited = (ctx.now - ended).total_seconds()
    ctx.requeue_after(min(max(RETRY_SECONDS, waited), LAST_RETRY_SECONDS))


def _event_goes_first(ctx: ReconcileContext) -> bool:
    """Whether the final event is to be sent now, or what came of sending it is to be noted."""
    hook = ctx.status.webhook
    return hook is None or ctx.observed.delivery is not None or outbox.due(hook, ctx.now)
