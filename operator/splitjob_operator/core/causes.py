"""What others know of an attempt that does not start or has failed: autoscaler, node, worker.

A pod's status alone often holds half of a cause: that its image is not there, not what the
registry said; that no node fits, not that one is on its way; that it was killed for memory, not how
much it had. The rest is in the pod's Events and in the worker's log, and is looked up where it
counts.
"""

from collections.abc import Sequence
from dataclasses import replace

from splitjob.errors import ErrorCode
from splitjob.jsonlog import redact
from splitjob.quantity import bytes_of
from splitjob.result import ProgressLine
from splitjob_operator.core.diagnosis import CONFIG_REASONS, Diagnosis
from splitjob_operator.core.lookups import (
    Lookup,
    LookupResults,
    PodEvent,
    ReadLastProgress,
    ReadPodEvents,
)
from splitjob_operator.core.observed import KubePod

__all__ = ["PULLING", "explained", "further_lookup", "last_event", "why_unschedulable"]

PULLING = "Pulling"  # the event of a kubelet that pulls an image
# Parts of the names under which cluster-autoscaler, also the clouds' own, Karpenter, and EKS Auto
# Mode post what they do about a pod: TriggeredScaleUp, NotTriggerScaleUp, FailedScaleUp; Nominated,
# FailedScheduling.
AUTOSCALERS = ("autoscaler", "karpenter", "eks-auto-mode")


def last_event(events: Sequence[PodEvent]) -> PodEvent:
    """Return the latest of a pod's events; a blank one where there is none."""
    return events[-1] if events else PodEvent()


def why_unschedulable(pod: KubePod, events: Sequence[PodEvent]) -> str:
    """Return why no node takes a pod, in the words of scheduler and autoscaler.

    Args:
        pod: it waits for a node.
        events: about it, the latest last.
    """
    told = [one for one in events if any(name in one.source for name in AUTOSCALERS)]
    if not told:
        return pod.unschedulable
    latest = told[-1]
    said = f"{latest.source} ({latest.reason}): {redact(latest.message)}"
    return f"{pod.unschedulable.rstrip('.')}. {said}"


def further_lookup(
    diagnosis: Diagnosis, pod: KubePod | None, known: LookupResults
) -> Lookup | None:
    """Return what is to be looked up before a failure is told; None: nothing more.

    Args:
        diagnosis: of the failure.
        pod: of the attempt; None: there is none.
        known: what was looked up so far.
    """
    if pod is None:
        return None
    if _killed_for_memory(diagnosis, pod) and known.last_progress is None:
        return ReadLastProgress(pod.name)
    if _never_started(diagnosis, pod) and known.pod_events is None:
        return ReadPodEvents(pod.name)
    return None


def explained(
    diagnosis: Diagnosis, pod: KubePod | None, known: LookupResults, progress: ProgressLine | None
) -> Diagnosis:
    """Return a diagnosis with what others know of its cause.

    Args:
        diagnosis: by what the pod's status says.
        pod: of the attempt; None: there is none.
        known: the results of what `further_lookup` named.
        progress: the last line that was read of the worker's log while it ran.
    """
    if pod is None:
        return diagnosis
    if _killed_for_memory(diagnosis, pod):
        read = known.last_progress.line if known.last_progress else None
        return replace(diagnosis, message=f"{diagnosis.message} {_memory(pod, read or progress)}")
    if _never_started(diagnosis, pod):
        return _with_events(diagnosis, pod, known.pod_events or ())
    return diagnosis


def _killed_for_memory(diagnosis: Diagnosis, pod: KubePod) -> bool:
    """Whether the kernel killed a worker that could say nothing of it."""
    end = pod.terminated
    return diagnosis.code is ErrorCode.WORKER_OOM and end is not None and end.report is None


def _memory(pod: KubePod, line: ProgressLine | None) -> str:
    """Return how much memory a worker was allowed, and had used when it last said so."""
    allowed = (
        f"{_gibibytes(bytes_of(pod.memory_limit))} allowed" if pod.memory_limit else "No limit"
    )
    if line is None or line.memory is None:
        return f"{allowed}, the worker had not said how much it used."
    when = f"at its last word ({line.stage}, {line.percent} %)"
    return f"{allowed}, {_gibibytes(line.memory)} used {when}."


def _gibibytes(size: int) -> str:
    return f"{size / (1 << 30):.2f} GiB"


def _never_started(diagnosis: Diagnosis, pod: KubePod) -> bool:
    """Whether a pod came to its node, which could not start its container."""
    could_not = diagnosis.code in {ErrorCode.WORKER_IMAGE, ErrorCode.WORKER_CONFIG}
    return could_not and pod.scheduled_at is not None and not pod.stopped


def _with_events(diagnosis: Diagnosis, pod: KubePod, events: Sequence[PodEvent]) -> Diagnosis:
    latest = last_event(events)
    pulling = latest.reason == PULLING and pod.waiting_reason not in CONFIG_REASONS
    if diagnosis.code is ErrorCode.WORKER_CONFIG and pulling:
        message = f"{diagnosis.message} Its image {pod.image} is still being pulled."
        return Diagnosis.of(ErrorCode.WORKER_IMAGE, message)
    if diagnosis.code is ErrorCode.WORKER_IMAGE:
        words = _refusal_of_image(events)
    else:
        words = next((one.message for one in reversed(events) if one.warning), "")
    if not words or words in diagnosis.message:
        return diagnosis
    return replace(diagnosis, message=f"{diagnosis.message} ({redact(words)})")


def _refusal_of_image(events: Sequence[PodEvent]) -> str:
    """Return why an image could not be pulled: what a pod that waits to try again may not say.

    Beside it a kubelet posts the bare reason, as `Error: ImagePullBackOff`.
    """
    failed = [one.message for one in events if one.reason == "Failed"]
    return next((one for one in reversed(failed) if not one.startswith("Error: ")), "")
