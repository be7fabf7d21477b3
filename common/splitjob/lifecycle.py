"""The lifecycle of a SplitJob: the one place that reads its conditions for how far it is.

    QUEUED -> STARTING -> RUNNING -> COMPLETED, FAILED or CANCELED

SUSPENDED and CANCELING are QUEUED with a wish in the spec; PENDING is an attempt whose Job or pod
the cluster does not take yet; a retry leads back to QUEUED. What callers are told, the operator's
queue, the phase and the log line of a status are all derived from `lifecycle_state`.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Literal, NamedTuple, Protocol

from splitjob import conditions
from splitjob.conditions import ConditionType
from splitjob.errors import ErrorCode, reason_of
from splitjob.status import Attempt, Condition, SplitJobStatus, read_status

__all__ = [
    "Intentions",
    "LifecycleState",
    "Phase",
    "attempt_under_way",
    "lifecycle_of",
    "lifecycle_state",
    "phase_of",
    "verdict",
]

Phase = Literal[
    "Queued", "Suspended", "Starting", "Running", "Finishing", "Completed", "Failed", "Canceled"
]


class LifecycleState(StrEnum):
    """How far a SplitJob is."""

    QUEUED = "queued"  # no attempt is under way: it waits for its turn
    SUSPENDED = "suspended"  # the same, and `spec.suspend` holds it back
    CANCELING = "canceling"  # the same, and it is to be canceled
    PENDING = "pending"  # an attempt is under way, and the cluster does not take its Job or pod yet
    STARTING = "starting"  # an attempt is under way, its container does not run yet
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def finished(self) -> bool:
        """Whether nothing more will become of the job."""
        return self in _FINISHED

    @property
    def unsuccessful(self) -> bool:
        """Whether the job has ended without stems."""
        return self in _FINISHED and self is not LifecycleState.COMPLETED

    @property
    def active(self) -> bool:
        """Whether an attempt is under way, which takes one of the places of `maxActiveJobs`."""
        return self in _ACTIVE

    @property
    def unstarted(self) -> bool:
        """Whether no worker runs yet."""
        return self not in _FINISHED and self is not LifecycleState.RUNNING


_FINISHED = {LifecycleState.COMPLETED, LifecycleState.FAILED, LifecycleState.CANCELED}
_ACTIVE = {LifecycleState.PENDING, LifecycleState.STARTING, LifecycleState.RUNNING}
_PHASES: dict[LifecycleState, Phase] = {
    LifecycleState.QUEUED: "Queued",
    LifecycleState.SUSPENDED: "Suspended",
    LifecycleState.CANCELING: "Queued",
    LifecycleState.PENDING: "Queued",
    LifecycleState.STARTING: "Starting",
    LifecycleState.RUNNING: "Running",
    LifecycleState.COMPLETED: "Completed",
    LifecycleState.FAILED: "Failed",
    LifecycleState.CANCELED: "Canceled",
}


class Intentions(Protocol):
    """What of a spec bears on the lifecycle; `splitjob.spec.SplitJobSpec` has it."""

    @property
    def suspend(self) -> bool:
        """Whether no attempt may be started for now."""

    @property
    def canceled(self) -> bool:
        """Whether the job is to be canceled."""


class _RawIntentions(NamedTuple):
    suspend: bool
    canceled: bool


def lifecycle_state(spec: Intentions | None, status: SplitJobStatus) -> LifecycleState:
    """Return how far a SplitJob is.

    Args:
        spec: what is wanted; None where it cannot be understood.
        status: what became of it, conditions and attempts; the phase is not read.
    """
    known = status.conditions
    if ended := verdict(known):
        return ended
    if conditions.is_true(known, ConditionType.STARTED):
        return LifecycleState.RUNNING
    if conditions.is_true(known, ConditionType.ADMITTED):
        return LifecycleState.STARTING
    if attempt_under_way(status):
        return LifecycleState.PENDING
    if spec and spec.suspend:
        return LifecycleState.SUSPENDED
    return LifecycleState.CANCELING if spec and spec.canceled else LifecycleState.QUEUED


def lifecycle_of(splitjob: Mapping[str, Any]) -> LifecycleState:
    """Return how far a SplitJob is, from the API server's JSON; without a status it is queued."""
    spec, status = splitjob.get("spec") or {}, splitjob.get("status") or {}
    stored = {
        "conditions": status.get("conditions", []),
        "attempts": status.get("attempts", [])[-1:],
    }
    wanted = _RawIntentions(bool(spec.get("suspend")), bool(spec.get("canceled")))
    return lifecycle_state(wanted, read_status(stored))


def verdict(known: Sequence[Condition]) -> LifecycleState | None:
    """Return how a SplitJob ended, by its condition Succeeded; None where it has not."""
    succeeded = conditions.find(known, ConditionType.SUCCEEDED)
    if succeeded is None or succeeded.status == "Unknown":
        return None
    if succeeded.status == "True":
        return LifecycleState.COMPLETED
    canceled = succeeded.reason == reason_of(ErrorCode.CANCELED)
    return LifecycleState.CANCELED if canceled else LifecycleState.FAILED


def attempt_under_way(status: SplitJobStatus) -> Attempt | None:
    """Return the attempt that has not been settled, or None."""
    last = status.attempts[-1] if status.attempts else None
    return last if last and last.finished_at is None else None


def phase_of(spec: Intentions | None, status: SplitJobStatus) -> Phase:
    """Return the phase: a summary for people and selectors, read by no code.

    Args:
        spec: what is wanted; None where it cannot be understood.
        status: what became of it.
    """
    state = lifecycle_state(spec, status)
    attempt = attempt_under_way(status)
    if attempt and not state.finished and (attempt.reason or (spec and spec.canceled)):
        return "Finishing"
    return _PHASES[state]
