"""A SplitJob that has ended: its final event, the Jobs it left behind, and its time to live."""

from datetime import datetime, timedelta

from splitjob import conditions, lifecycle
from splitjob.conditions import ConditionType
from splitjob.lifecycle import LifecycleState
from splitjob.resource import EventName
from splitjob.status import MAX_ERASED_FILES, Erasure, SplitJobStatus
from splitjob_operator.core import inputs, outbox
from splitjob_operator.core.context import ReconcileContext
from splitjob_operator.core.ended_jobs import delete_ended_jobs
from splitjob_operator.core.late_tombstone import missing_tombstone, record_tombstone
from splitjob_operator.core.lookups import DeleteInput, EraseData
from splitjob_operator.core.notify import deliver_when_due, set_outbox
from splitjob_operator.core.plan import DeleteSplitJob, Plan

__all__ = ["expires_at", "reconcile_finished"]

SHARED_SECRET_SECONDS = 60
ERASE_RETRY_SECONDS = 60
NOT_OURS = "The stems went to the URLs of the request's uploads: erase them there."

_EVENTS: dict[LifecycleState, EventName] = {
    LifecycleState.COMPLETED: "completed",
    LifecycleState.FAILED: "failed",
    LifecycleState.CANCELED: "canceled",
}


def expires_at(status: SplitJobStatus, ttl_seconds: int) -> datetime | None:
    """Return when a finished SplitJob is cleaned up; None while that cannot be said.

    It counts from the later of the verdict and the delivery (or giving up), and never begins
    before the totals include the job.
    """
    if status.finished_at is None or not status.counted:
        return None
    settled = outbox.settled_at(status.webhook) if status.webhook else status.finished_at
    if settled is None:
        return None
    return max(status.finished_at, settled) + timedelta(seconds=ttl_seconds)


def reconcile_finished(ctx: ReconcileContext) -> Plan:
    """Return what a finished SplitJob still needs."""
    if ctx.to_be_erased and ctx.needs_bucket and ctx.observed.lookups.erasure is None:
        return ctx.look_up(EraseData(ctx.input_key, ctx.observed.input_shared))
    if tombstone := missing_tombstone(ctx):
        return ctx.look_up(tombstone)
    if ctx.input_key and inputs.must_delete(ctx):
        return ctx.look_up(DeleteInput(ctx.input_key))
    record_tombstone(ctx)
    _record_erasure(ctx)
    inputs.record_deletion(ctx)
    delete_ended_jobs(ctx)
    _restore_outbox(ctx)
    _record_delivery(ctx)
    _redeliver(ctx)
    deliver_when_due(ctx)
    _expire(ctx)
    return ctx.plan()


def _restore_outbox(ctx: ReconcileContext) -> None:
    """Put back an outbox that an older CustomResourceDefinition dropped: same event, same id."""
    ended = lifecycle.verdict(ctx.status.conditions)
    if ctx.status.webhook is not None or ended is None:
        return
    event = _EVENTS[ended]
    hook = outbox.open_outbox(ctx.identity, ctx.request, event, ctx.now)
    told = conditions.find(ctx.status.conditions, ConditionType.NOTIFIED)
    if told is not None and told.status == "True":
        hook.state, hook.next_attempt_at = "Delivered", None
        hook.delivered_at = told.last_transition_time
    set_outbox(ctx, hook)


def _record_delivery(ctx: ReconcileContext) -> None:
    """Apply what came of a delivery, unless the outbox has changed since the event was sent."""
    report, hook = ctx.observed.delivery, ctx.status.webhook
    if report and hook and report.concerns(ctx.observed.splitjob):
        set_outbox(ctx, outbox.after_attempt(hook, report.outcome, ctx.now, report.jitter))


def _redeliver(ctx: ReconcileContext) -> None:
    hook, spec = ctx.status.webhook, ctx.observed.splitjob.spec
    if hook and spec and spec.redeliveries > hook.redeliveries:
        set_outbox(ctx, outbox.redeliver_on_request(hook, spec.redeliveries, ctx.now))


def _record_erasure(ctx: ReconcileContext) -> None:
    """Note what came of erasing; what failed is tried again."""
    if not ctx.to_be_erased:
        return
    if not ctx.needs_bucket:
        ctx.status.erased = Erasure(last_error=NOT_OURS)
        return
    found = ctx.observed.lookups.erasure
    if found is None or found.files is None:
        ctx.status.erased = Erasure(last_error=found.message[:512] if found else "")
        ctx.requeue_after(ERASE_RETRY_SECONDS)
    elif kept := _why_input_stays(ctx):
        ctx.status.erased = Erasure(last_error=kept[:512])
        ctx.requeue_after(ERASE_RETRY_SECONDS)
    else:
        names = [name[:255] for name in found.files[:MAX_ERASED_FILES]]
        ctx.status.erased = Erasure(at=ctx.now, objects=len(found.files), files=names)


def _why_input_stays(ctx: ReconcileContext) -> str:
    """Return why the file from POST /uploads that the job read is still there; blank: it is not."""
    if ctx.input_key is None or ctx.status.input_deleted_at is not None:
        return ""
    if ctx.observed.input_shared:
        return inputs.IN_USE
    found = ctx.observed.lookups.input
    return found.message if found and not found.done else ""


def _expire(ctx: ReconcileContext) -> None:
    if ctx.to_be_erased and ctx.needs_bucket:
        return  # without the SplitJob nobody would know that its data are to go
    if inputs.is_next(ctx):
        return
    spec = ctx.observed.splitjob.spec
    own = spec.ttl_seconds_after_finished if spec else None
    expiry = expires_at(ctx.status, ctx.settings.ttl_seconds_after_finished if own is None else own)
    if expiry is None:
        return
    if expiry > ctx.now:
        ctx.requeue_at(expiry)
    elif ctx.observed.secret_shared:
        # Its retry may not own the Secret yet, which would go with its last owner.
        ctx.requeue_after(SHARED_SECRET_SECONDS)
    else:
        ctx.after.append(DeleteSplitJob())
