"""The phase: a summary for people and selectors, derived from the rest and read by no code."""

from typing import Literal

from splitjob import conditions
from splitjob.conditions import ConditionType
from splitjob.errors import ErrorCode, reason_of
from splitjob_operator.core.context import ReconcileContext

__all__ = ["phase_of"]

Phase = Literal[
    "Queued", "Suspended", "Starting", "Running", "Finishing", "Completed", "Failed", "Canceled"
]


def phase_of(ctx: ReconcileContext) -> Phase:
    """Return the phase that a draft's conditions and attempts amount to."""
    has = ctx.status.conditions
    succeeded = conditions.find(has, ConditionType.SUCCEEDED)
    if succeeded and succeeded.status == "True":
        return "Completed"
    if succeeded and succeeded.status == "False":
        return "Canceled" if succeeded.reason == reason_of(ErrorCode.CANCELED) else "Failed"
    if ctx.attempt is None:
        return "Suspended" if ctx.suspended else "Queued"
    if ctx.attempt.reason or ctx.canceled:
        return "Finishing"
    if conditions.is_true(has, ConditionType.STARTED):
        return "Running"
    return "Starting" if conditions.is_true(has, ConditionType.ADMITTED) else "Queued"
