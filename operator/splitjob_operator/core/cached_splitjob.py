"""What the operator keeps in memory of each SplitJob, and by what it is ordered in the queue."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from splitjob.lifecycle import LifecycleState, lifecycle_of
from splitjob.status import Queue, read_status
from splitjob.urls import STORED
from splitjob_operator.core.kueue import is_kueues
from splitjob_operator.core.observed import parse_time

__all__ = ["BlockedReason", "CachedSplitJob"]

_UNDELIVERED = {"Pending", "Blocked"}


class BlockedReason(StrEnum):
    """Why a queued SplitJob is ineligible, independent of queue order: others may go first."""

    JOB = "job"  # its retry delay, its Secret, a defect: everybody may go first
    STORAGE = "storage"  # the bucket is away: only those may go first that do not need it


@dataclass(frozen=True, slots=True)
class CachedSplitJob:
    """What the operator keeps in memory of each SplitJob; read again at every resync.

    Attributes:
        event: the final event, blank while there is none.
        undelivered_since: when that was due for the first time; None: it is delivered, given up or
            sent again by hand.
        counted: whether the totals include it.
        secret: the Secret it refers to.
        input: the address of the object in the bucket that it reads; blank: it reads none.
        pod, node: of the attempt under way; blank where there is none.
        started_at: when the container of the attempt under way started; None: it has not.
        turn_at: when its last attempt was decided, also one that has ended; None: it had none.
        queue: what its status says of its position.
        device: what its result was made with.
        needs_bucket: whether its stems go into our bucket.
        submission_id: of the request, which tells who came first within a second; blank: unknown.
        group: with whom it shares its turns in the queue; blank: with all that name none.
        deleting: whether it is being deleted, and stays for a while.
        blocked: why it is ineligible, as its last reconcile found; no status says it.
    """

    name: str
    uid: str
    resource_version: str
    created_at: datetime
    priority: int
    state: LifecycleState
    model: str = ""
    secret: str = ""
    input: str = ""
    pod: str = ""
    node: str = ""
    started_at: datetime | None = None
    turn_at: datetime | None = None
    queue: Queue | None = None
    finished_at: datetime | None = None
    event: str = ""
    undelivered_since: datetime | None = None
    counted: bool = False
    device: str = ""
    processing_ms: int = 0
    needs_bucket: bool = True
    submission_id: str = ""
    group: str = ""
    deleting: bool = False
    blocked: BlockedReason | None = None

    @classmethod
    def of(cls, raw: Mapping[str, Any], group_by: str = "") -> Self:
        """Read the API server's JSON.

        Args:
            raw: the SplitJob.
            group_by: the name in its request's `metadata` whose value is its group; blank: none.
        """
        metadata, spec, status = raw["metadata"], raw.get("spec", {}), raw.get("status", {})
        request = spec.get("request", {})
        attempts = status.get("attempts", [])
        attempt = attempts[-1] if attempts and "finishedAt" not in attempts[-1] else None
        result = status.get("result", {})
        source = request.get("source", {}).get("url", "")
        return cls(
            name=metadata["name"],
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
            created_at=datetime.fromisoformat(metadata["creationTimestamp"]),
            priority=spec.get("priority", 0),
            state=lifecycle_of(raw),
            model=request.get("model", ""),
            secret=request.get("secretName", ""),
            input=source if source.startswith(f"{STORED}://") else "",
            pod=attempt.get("podName", "") if attempt else "",
            node=attempt.get("nodeName", "") if attempt else "",
            started_at=parse_time(attempt.get("startedAt")) if attempt else None,
            turn_at=parse_time(attempts[-1].get("createdAt")) if attempts else None,
            queue=read_status({"queue": status["queue"]}).queue if "queue" in status else None,
            finished_at=parse_time(status.get("finishedAt")),
            event=status.get("webhook", {}).get("event", ""),
            undelivered_since=_undelivered_since(status.get("webhook", {})),
            counted=status.get("counted", False),
            device=result.get("device", ""),
            processing_ms=result.get("processingTimeMs", 0),
            needs_bucket=not request.get("uploads"),
            submission_id=request.get("submissionId", ""),
            group=request.get("metadata", {}).get(group_by, ""),
            deleting="deletionTimestamp" in metadata,
        )

    @property
    def active(self) -> bool:
        """Whether an attempt is under way."""
        return self.state.active

    @property
    def has_place(self) -> bool:
        """Whether it has a position: it waits for its turn, or the cluster has no room for it.

        The order of those that wait for Kueue is Kueue's.
        """
        if self.deleting or (self.queue and is_kueues(self.queue.reason)):
            return False
        return self.state in {LifecycleState.QUEUED, LifecycleState.PENDING}


def _undelivered_since(outbox: Mapping[str, Any]) -> datetime | None:
    open_still = outbox.get("state") in _UNDELIVERED and not outbox.get("redeliveries")
    return parse_time(outbox.get("createdAt")) if open_still else None
