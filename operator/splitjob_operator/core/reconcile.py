"""What is to be done for a SplitJob: from what was seen to a plan. Pure; the clock is handed in.

reconcile ─┬─ finished.upkeep    the verdict was given: outbox, clean-up, time to live
           ├─ pending.wait       no attempt is under way: check, queue, start one
           └─ running.follow     an attempt is under way ── outcome.end   see it out, settle it
"""

from datetime import datetime

from splitjob_operator.core import finished, pending, running
from splitjob_operator.core.context import Round
from splitjob_operator.core.observed import Observed
from splitjob_operator.core.phase import phase_of
from splitjob_operator.core.plan import Plan
from splitjob_operator.core.settings import Settings

__all__ = ["reconcile"]


def reconcile(seen: Observed, settings: Settings, now: datetime) -> Plan:
    """Return what is to be done.

    Args:
        seen: the SplitJob, its Jobs and pods, its turn, and answers to what was asked.
        settings: the installation's.
        now: the time, in UTC.

    Returns:
        A plan; where it asks, reconcile again with the answer.
    """
    if seen.splitjob.deleting:
        return Plan()  # forgotten: the garbage collector takes Job, pods and Secret
    r = Round(seen, settings, now.replace(microsecond=0))
    if r.finished:
        plan = finished.upkeep(r)
    elif r.attempt is None:
        plan = pending.wait(r)
    else:
        plan = running.follow(r, r.attempt)
    r.status.phase = phase_of(r)
    return plan
