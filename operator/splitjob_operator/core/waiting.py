"""An attempt under way that has no worker: since when it waits, and what suspends that."""

from splitjob.conditions import ConditionType, Reason
from splitjob.status import Queue
from splitjob_operator.core.context import ReconcileContext
from splitjob_operator.core.plan import Plan

__all__ = ["begin_to_wait", "suspend"]


def begin_to_wait(ctx: ReconcileContext) -> None:
    """Note since when an attempt waits: anew after a run, and after it was suspended."""
    queue = ctx.status.queue
    if not ctx.suspended and (queue is None or queue.since is None):
        ctx.status.queue = (queue or Queue()).model_copy(update={"since": ctx.now})


def suspend(ctx: ReconcileContext) -> Plan:
    """Return the plan of an attempt that waits for `spec.suspend` to be taken back.

    That time does not count.
    """
    ctx.status.queue = Queue(reason=Reason.SUSPENDED, message="spec.suspend is true.")
    ctx.condition(ConditionType.ADMITTED, "False", Reason.SUSPENDED, "spec.suspend is true.")
    return ctx.plan()
