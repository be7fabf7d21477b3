"""A SplitJob whose verdict was given: its outbox, what it left behind, and its time to live."""

from datetime import datetime, timedelta

from splitjob import conditions, lifecycle
from splitjob.conditions import ConditionType, Reason
from splitjob.lifecycle import LifecycleState
from splitjob.resource import ConditionStatus, EventName, SplitJobStatus, WebhookStatus
from splitjob_operator.core import outbox
from splitjob_operator.core.context import ReconcileContext
from splitjob_operator.core.ended_jobs import delete_ended_jobs
from splitjob_operator.core.plan import DeleteSplitJob, Deliver, Plan

__all__ = ["DELIVERY_RETRY_SECONDS", "expires_at", "notified", "reconcile_finished"]

# When to look whether a delivery that was begun has left its mark: one that the API server's
# absence cut short before it began has not, and nothing else would bring it back.
DELIVERY_RETRY_SECONDS = 30

_EVENTS: dict[LifecycleState, EventName] = {
    LifecycleState.COMPLETED: "completed",
    LifecycleState.FAILED: "failed",
    LifecycleState.CANCELED: "canceled",
}
_NOTIFIED: dict[str, tuple[ConditionStatus, Reason, str]] = {
    "Pending": ("False", Reason.PENDING, "The final event is being delivered."),
    "Delivered": ("True", Reason.DELIVERED, "The final event was delivered."),
    "NotWanted": ("False", Reason.NOT_WANTED, "The request does not ask for this event."),
    "Blocked": ("False", Reason.BLOCKED, "The webhook may not be sent there."),
    "GivenUp": ("False", Reason.GIVEN_UP, "The final event could not be delivered."),
}


def notified(hook: WebhookStatus) -> tuple[ConditionType, ConditionStatus, Reason, str]:
    """Return the condition Notified that an outbox amounts to."""
    status, reason, message = _NOTIFIED[hook.state]
    if hook.last_error and hook.state != "Delivered":
        message = f"{message} Last: {hook.last_error}"
    return ConditionType.NOTIFIED, status, reason, message


def with_outbox(
    status: SplitJobStatus, hook: WebhookStatus, now: datetime, generation: int
) -> SplitJobStatus:
    """Return a status with another state of its outbox."""
    kind, value, reason, message = notified(hook)
    return status.model_copy(
        update={
            "webhook": hook,
            "conditions": conditions.set_condition(
                status.conditions, kind, value, reason, message, now, generation
            ),
        }
    )


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
    delete_ended_jobs(ctx)
    _restore_outbox(ctx)
    _redeliver(ctx)
    hook = ctx.status.webhook
    if hook and outbox.due(hook, ctx.now):
        ctx.after.append(Deliver())
        ctx.requeue_after(DELIVERY_RETRY_SECONDS)
    elif hook and hook.next_attempt_at:
        ctx.requeue_at(hook.next_attempt_at)
    _expire(ctx)
    return ctx.plan()


def _restore_outbox(ctx: ReconcileContext) -> None:
    """Put back an outbox that an older CustomResourceDefinition dropped: same event, same id."""
    ended = lifecycle.verdict(ctx.status.conditions)
    if ctx.status.webhook is not None or ended is None:
        return
    event = _EVENTS[ended]
    hook = outbox.open_outbox(ctx.observed.splitjob.uid, ctx.request, event, ctx.now)
    told = conditions.find(ctx.status.conditions, ConditionType.NOTIFIED)
    if told is not None and told.status == "True":
        hook.state, hook.next_attempt_at = "Delivered", None
        hook.delivered_at = told.last_transition_time
    ctx.status.webhook = hook
    ctx.condition(*notified(hook))


def _redeliver(ctx: ReconcileContext) -> None:
    hook, spec = ctx.status.webhook, ctx.observed.splitjob.spec
    if hook and spec and spec.redeliveries > hook.redeliveries:
        hook = outbox.redeliver(hook, spec.redeliveries, ctx.now)
        ctx.status.webhook = hook
        ctx.condition(*notified(hook))


def _expire(ctx: ReconcileContext) -> None:
    spec = ctx.observed.splitjob.spec
    own = spec.ttl_seconds_after_finished if spec else None
    expiry = expires_at(ctx.status, ctx.settings.ttl_seconds_after_finished if own is None else own)
    if expiry is None:
        return
    if expiry <= ctx.now:
        ctx.after.append(DeleteSplitJob())
    else:
        ctx.requeue_at(expiry)
