"""What is to be done for a SplitJob: a plan from what was observed. Pure; the clock is handed in.

reconcile ─┬─ reconcile_pending   no attempt is under way: check, queue, start one
           ├─ reconcile_running   an attempt is under way ── outcome   end it, settle the job
           └─ reconcile_finished  the job has ended: its final event, clean-up, time to live
"""

from datetime import datetime

from splitjob.lifecycle import phase_of
from splitjob_operator.core.context import ReconcileContext
from splitjob_operator.core.finished import reconcile_finished
from splitjob_operator.core.observed import Observed
from splitjob_operator.core.pending import reconcile_pending
from splitjob_operator.core.plan import Plan
from splitjob_operator.core.running import reconcile_running
from splitjob_operator.core.settings import Settings

__all__ = ["reconcile"]


def reconcile(observed: Observed, settings: Settings, now: datetime) -> Plan:
    """Return what is to be done.

    Args:
        observed: the SplitJob, its Jobs and pods, the queue's decision, and the lookups so far.
        settings: the installation's.
        now: the time, in UTC.

    Returns:
        A plan; where it names a lookup, reconcile again with its result.
    """
    if observed.splitjob.deleting:
        return Plan()  # the garbage collector takes Job, pods and Secret
    ctx = ReconcileContext(observed, settings, now.replace(microsecond=0))
    if ctx.finished:
        plan = reconcile_finished(ctx)
    elif ctx.attempt is None:
        plan = reconcile_pending(ctx)
    else:
        plan = reconcile_running(ctx, ctx.attempt)
    ctx.status.phase = phase_of(observed.splitjob.spec, ctx.status)
    return plan
