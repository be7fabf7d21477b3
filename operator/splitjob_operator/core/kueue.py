"""What is spoken of with Kueue: its labels on Jobs, and what its Workloads say of them.

Kueue decides when a Job of one of its queues runs: it sets and takes back the Job's `spec.suspend`,
and says why in the conditions of the Workload that it keeps of the Job.
Source: https://kueue.sigs.k8s.io/docs/concepts/workload/ and docs/reference/labels-and-annotations/
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

__all__ = [
    "JOB_UID_LABEL",
    "OTHER_REASON",
    "PRIORITY_LABEL",
    "QUEUE_LABEL",
    "REASONS",
    "Workload",
    "is_kueues",
]

QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
PRIORITY_LABEL = "kueue.x-k8s.io/priority-class"
JOB_UID_LABEL = "kueue.x-k8s.io/job-uid"  # of a Workload
REASON_PREFIX = "Kueue"  # what its reasons are told apart from ours by
NO_WORKLOAD = "NoWorkload"
ADMISSION_CHECKS = "AdmissionChecks"
# Why a Workload is not admitted: ours, those of QuotaReserved, and those of Evicted, as Kueue's
# workload_types.go has them.
REASONS = frozenset(
    REASON_PREFIX + reason
    for reason in (
        *(NO_WORKLOAD, ADMISSION_CHECKS),
        *("Pending", "Inadmissible"),
        *("Evicted", "Preempted", "PodsReadyTimeout", "AdmissionCheck", "ClusterQueueStopped"),
        *("LocalQueueStopped", "NodeFailures", "Deactivated", "InactiveWorkload"),
        *("DeactivatedDueToAdmissionCheck", "DeactivatedDueToRequeuingLimitExceeded"),
        "DeactivatedDueToMaximumExecutionTimeExceeded",
    )
)
OTHER_REASON = f"{REASON_PREFIX}Other"  # for any that a later Kueue has
_NOT_IN_REASONS = re.compile("[^A-Za-z0-9]")

Raw = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Workload:
    """A Workload, as far as it says why a Job is held back.

    Attributes:
        there: whether Kueue keeps one of the Job.
        active: `spec.active`: Kueue evicts an inactive one, and admits it no more.
        reason: why it is not admitted, for programs, as a condition's reason.
        message: the same for people.
    """

    there: bool = False
    active: bool = True
    reason: str = REASON_PREFIX + NO_WORKLOAD
    message: str = ""

    @classmethod
    def of(cls, raw: Raw | None) -> Self:
        """Read the API server's JSON; None: there is none."""
        if raw is None:
            return cls()
        known = {one["type"]: one for one in raw.get("status", {}).get("conditions", [])}
        reason, message = _why_not_admitted(known)
        return cls(
            there=True,
            active=raw.get("spec", {}).get("active", True),
            reason=(REASON_PREFIX + _NOT_IN_REASONS.sub("", reason))[:64],
            message=message,
        )


def is_kueues(reason: str) -> bool:
    """Return whether a reason of waiting is one of Kueue's."""
    return reason.startswith(REASON_PREFIX)


def _why_not_admitted(known: Mapping[str, Raw]) -> tuple[str, str]:
    """Return Kueue's reason and message: of an eviction first, which is true until it is over."""
    evicted, reserved = known.get("Evicted", {}), known.get("QuotaReserved", {})
    if evicted.get("status") == "True":
        return evicted.get("reason", "Evicted"), evicted.get("message", "")
    if reserved.get("status") == "True":
        return ADMISSION_CHECKS, "Quota is reserved; its admission checks are not all ready."
    return reserved.get("reason", "Pending"), reserved.get("message", "")
