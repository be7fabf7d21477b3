"""The final event in a plan: the outbox with its condition Notified, and when it is sent."""

from splitjob.conditions import ConditionType, Reason
from splitjob.status import ConditionStatus, WebhookStatus
from splitjob_operator.core import outbox
from splitjob_operator.core.context import ReconcileContext
from splitjob_operator.core.plan import Deliver

__all__ = ["deliver_when_due", "set_outbox"]

# When to reconcile again after a delivery was begun: where the API server was away it may have
# ended without a report, before anything was sent, and nothing else would begin it anew.
DELIVERY_RETRY_SECONDS = 30

_NOTIFIED: dict[str, tuple[ConditionStatus, Reason, str]] = {
    "Pending": ("False", Reason.PENDING, "The final event is being delivered."),
    "Delivered": ("True", Reason.DELIVERED, "The final event was delivered."),
    "NotWanted": ("False", Reason.NOT_WANTED, "The request does not ask for this event."),
    "Blocked": ("False", Reason.BLOCKED, "The webhook may not be sent there."),
    "GivenUp": ("False", Reason.GIVEN_UP, "The final event could not be delivered."),
}


def set_outbox(ctx: ReconcileContext, hook: WebhookStatus) -> None:
    """Set the outbox and, with it, the condition Notified: nothing else sets either."""
    status, reason, message = _NOTIFIED[hook.state]
    if hook.last_error and hook.state != "Delivered":
        message = f"{message} Last: {hook.last_error}"
    ctx.status.webhook = hook
    ctx.condition(ConditionType.NOTIFIED, status, reason, message)


def deliver_when_due(ctx: ReconcileContext) -> None:
    """Send the final event where it is due, or come back when it will be."""
    hook = ctx.status.webhook
    if hook is None:
        return
    if outbox.due(hook, ctx.now):
        ctx.after.append(Deliver())
        ctx.requeue_after(DELIVERY_RETRY_SECONDS)
    elif hook.next_attempt_at:
        ctx.requeue_at(hook.next_attempt_at)
