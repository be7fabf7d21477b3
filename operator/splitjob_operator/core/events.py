"""Kubernetes Events: what `kubectl describe splitjob` lists, posted once the status is written.

Pure; `splitjob_operator.runtime.executor` posts them.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from splitjob import conditions
from splitjob.conditions import ConditionType, Reason
from splitjob.resource import API_VERSION, KIND
from splitjob.status import SplitJobStatus
from splitjob_operator.core.observed import SplitJob

__all__ = ["EventSpec", "event_manifest", "events_between"]

# By the attempts, or, of all that wait alike, by their status alone.
_TOLD_OTHERWISE = {
    Reason.QUEUED,
    Reason.ADMITTED,
    Reason.RETRYING,
    Reason.INSTALLATION_PAUSED,
    Reason.KUEUE_PENDING,
}
COMPONENT = "track-tree-audio-operator"


@dataclass(frozen=True, slots=True)
class EventSpec:
    """One thing that happened."""

    kind: Literal["Normal", "Warning"]
    reason: str
    message: str


def events_between(before: SplitJobStatus, after: SplitJobStatus) -> list[EventSpec]:
    """Return what happened between two states of a status."""
    found: list[EventSpec] = []
    ended = sum(attempt.finished_at is not None for attempt in before.attempts)
    if len(after.attempts) > len(before.attempts):
        latest = after.attempts[-1]
        found.append(EventSpec("Normal", "AttemptStarted", f"Created Job {latest.job_name}."))
    if after.started_at and not before.started_at:
        found.append(EventSpec("Normal", "WorkerStarted", "The worker has started."))
    found.extend(
        EventSpec(
            "Warning", attempt.reason or "AttemptEnded", f"{attempt.job_name}: {attempt.message}"
        )
        for attempt in after.attempts[ended:]
        if attempt.finished_at and not after.finished_at
    )
    found.extend(_changed(before, after))
    found.extend(_erased(before, after))
    return found


def _erased(before: SplitJobStatus, after: SplitJobStatus) -> list[EventSpec]:
    was, now = before.erased, after.erased
    if now is None or was == now:
        return []
    if now.at:
        return [EventSpec("Normal", "Erased", f"Erased {now.objects} objects from the bucket.")]
    return [EventSpec("Warning", "EraseFailed", now.last_error)]


def _changed(before: SplitJobStatus, after: SplitJobStatus) -> list[EventSpec]:
    found: list[EventSpec] = []
    for kind in (ConditionType.ADMITTED, ConditionType.SUCCEEDED, ConditionType.NOTIFIED):
        was, now = (conditions.find(s.conditions, kind) for s in (before, after))
        if now is None or (was and (was.status, was.reason) == (now.status, now.reason)):
            continue
        if kind == ConditionType.ADMITTED and now.reason in _TOLD_OTHERWISE:
            continue
        if now.reason in {"NotFinished", "NothingToSend"}:
            continue
        good = now.status == "True" or now.reason in {"Pending", "NotWanted", "Canceled"}
        found.append(EventSpec("Normal" if good else "Warning", now.reason, now.message))
    return found


def event_manifest(splitjob: SplitJob, item: EventSpec, now: datetime) -> dict[str, Any]:
    """Return the Event object of one event."""
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{splitjob.name}.", "namespace": splitjob.namespace},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": splitjob.name,
            "namespace": splitjob.namespace,
            "uid": splitjob.uid,
        },
        "type": item.kind,
        "reason": item.reason,
        "message": item.message[:1024],
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "count": 1,
    }
