"""Conditions of a SplitJob: their types, their reasons, and the one way to set them.

Follows the conventions of Kubernetes' API group for conditions: a list keyed by `type`, `reason`
in CamelCase, and `lastTransitionTime` that changes only with `status`.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from splitjob.status import Condition, ConditionStatus

__all__ = ["ConditionType", "Reason", "find", "initial", "is_true", "set_condition"]


class ConditionType(StrEnum):
    """The conditions every SplitJob has from first sight on."""

    ADMITTED = "Admitted"
    STARTED = "Started"
    SUCCEEDED = "Succeeded"
    NOTIFIED = "Notified"


class Reason(StrEnum):
    """Reasons of conditions, besides the failure codes (`splitjob.errors.reason_of`)."""

    # Admitted
    QUEUED = "Queued"
    SUSPENDED = "Suspended"
    INSTALLATION_PAUSED = "InstallationPaused"
    ADMITTED = "Admitted"
    UNSCHEDULABLE = "Unschedulable"
    QUOTA_EXCEEDED = "QuotaExceeded"
    POD_REFUSED = "PodRefused"
    JOB_REFUSED = "JobRefused"
    NAME_TAKEN = "NameTaken"
    STORAGE_UNAVAILABLE = "StorageUnavailable"
    SECRET_MISSING = "SecretMissing"  # noqa: S105 - a reason
    RETRYING = "Retrying"
    KUEUE_PENDING = "KueuePending"  # and more of Kueue's own, each with Kueue before it
    # Started
    NOT_STARTED = "NotStarted"
    STARTING = "Starting"
    PULLING_IMAGE = "PullingImage"
    RUNNING = "Running"
    STOPPING = "Stopping"
    ENDED = "Ended"
    # Succeeded
    NOT_FINISHED = "NotFinished"
    COMPLETED = "Completed"
    # Notified
    NOTHING_TO_SEND = "NothingToSend"
    PENDING = "Pending"
    DELIVERED = "Delivered"
    NOT_WANTED = "NotWanted"
    BLOCKED = "Blocked"
    GIVEN_UP = "GivenUp"


def find(conditions: Sequence[Condition], kind: ConditionType) -> Condition | None:
    """Return the condition of a type, or None where it is not there."""
    return next((one for one in conditions if one.type == kind), None)


def is_true(conditions: Sequence[Condition], kind: ConditionType) -> bool:
    """Return whether the condition of a type is there and True."""
    found = find(conditions, kind)
    return found is not None and found.status == "True"


def set_condition(
    conditions: Sequence[Condition],
    kind: ConditionType,
    status: ConditionStatus,
    reason: str,
    message: str,
    now: datetime,
    generation: int | None = None,
) -> list[Condition]:
    """Return the conditions with one of them set.

    Args:
        conditions: those the resource has.
        kind: the condition to set.
        status: `True`, `False` or `Unknown`.
        reason: CamelCase, for programs.
        message: a sentence, for people.
        now: becomes lastTransitionTime where the status changes.
        generation: the metadata.generation this was seen at.

    Returns:
        A new list in the same order; a condition not there yet is appended.
    """
    before = find(conditions, kind)
    unchanged = before is not None and before.status == status
    after = Condition(
        type=kind,
        status=status,
        reason=reason,
        message=message[:1024],
        last_transition_time=before.last_transition_time if before and unchanged else now,
        observed_generation=generation,
    )
    if before is None:
        return [*conditions, after]
    return [after if one.type == kind else one for one in conditions]


def initial(now: datetime, generation: int | None = None) -> list[Condition]:
    """Return the conditions of a SplitJob seen for the first time."""
    conditions: list[Condition] = []
    for kind, status, reason, message in (
        (ConditionType.ADMITTED, "False", Reason.QUEUED, "Waiting for its turn."),
        (ConditionType.STARTED, "False", Reason.NOT_STARTED, "No worker has started yet."),
        (ConditionType.SUCCEEDED, "Unknown", Reason.NOT_FINISHED, "Not finished yet."),
        (ConditionType.NOTIFIED, "False", Reason.NOTHING_TO_SEND, "No final event yet."),
    ):
        conditions = set_condition(conditions, kind, status, reason, message, now, generation)  # type: ignore[arg-type]
    return conditions
