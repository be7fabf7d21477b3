"""Why an attempt failed, diagnosed from what Kubernetes shows of its Job and pod.

The first match wins: disruption, deadlines, the pod's own reason, the container's waiting reason,
out of memory, the worker's termination message, its exit code, and last a pod that is not there.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from splitjob.errors import ErrorCode, retry_rule
from splitjob.jsonlog import redact
from splitjob.result import EXIT_BAD_INPUT, EXIT_TERMINATED, EXIT_TRANSIENT
from splitjob_operator.core.observed import ContainerTermination, KubeJob, KubePod

__all__ = [
    "STOP_SIGNALS",
    "AttemptDeadlines",
    "Diagnosis",
    "diagnose",
    "no_capacity",
    "reason_due",
    "too_long",
]

IMAGE_HOPELESS = {"InvalidImageName", "ErrImageNeverPull"}
IMAGE_REASONS = IMAGE_HOPELESS | {"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable"}
CONFIG_REASONS = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
START_FAILURES = {"StartError", "ContainerCannotRun"}
NODE_GONE = {"DeletionByPodGC"}
# What a kubelet reports, with an exit code of its own, of a container whose end it did not see: its
# node was started anew, or the container is gone.
UNSEEN = {"Unknown", "ContainerStatusUnknown"}
STOP_SIGNALS = {128 + 15, EXIT_TERMINATED}
KILLED = 128 + 9
# What a node says of a container that ended while it was not there to see it, as in a reboot.
UNSEEN_CODE = 255
# A worker that ends by one of these has said why, in its pod.
TOLD = {EXIT_BAD_INPUT, EXIT_TRANSIENT}
# How long the pod of a stopped worker may take to say why it was stopped.
REASON_SECONDS = 15
_EXIT_CODE_IN_JOB = re.compile(r"failed with exit code (\d+)")


@dataclass(frozen=True, slots=True)
class AttemptDeadlines:
    """How long each stage of an attempt may take.

    Attributes:
        queued_since: when this attempt began to wait.
        queue, start, run: seconds until it is scheduled, from there until its container runs, and
            from there until it ends.
        waiting_grace: seconds a container may fail to be created before that counts.
        node_lost: seconds a node may be away.
    """

    queued_since: datetime
    queue: int
    start: int
    run: int
    waiting_grace: int
    node_lost: int


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Why an attempt ends without stems.

    Attributes:
        code: of the failure.
        message: for people.
        retryable: whether another attempt may succeed.
        job_deleted: whether that is because its Job was deleted by hand.
    """

    code: ErrorCode
    message: str
    retryable: bool
    job_deleted: bool = False

    @classmethod
    def of(cls, code: ErrorCode, message: str) -> "Diagnosis":
        """A failure that may be tried again as often as its code says."""
        return cls(code, message, retry_rule(code).attempts > 0)


def diagnose(
    job: KubeJob | None,
    pod: KubePod | None,
    node_lost_since: datetime | None,
    deadlines: AttemptDeadlines,
    now: datetime,
    why: str = "",
) -> Diagnosis | None:
    """Return why an attempt has failed, or None while it may still succeed.

    Args:
        job: the attempt's Job; None: it was there and is not any more.
        pod: its pod, None where there is none.
        node_lost_since: since when the pod's node has been away; None: it is there.
        deadlines: how long each stage may take.
        now: the time.
        why: why it does not run so far, as a sentence; blank: not known.
    """
    if pod is None:
        return _without_pod(job, deadlines, now, why)
    due = reason_due(pod)
    if due and now < due:
        return None
    return (
        _disruption(pod)
        or _node(pod, node_lost_since, deadlines, now)
        or _deadline(pod, deadlines, now, why)
        or _pod_reason(pod)
        or _waiting(pod, deadlines, now)
        or _own_end(job, pod)
        or _orphaned(job, pod)
    )


def reason_due(pod: KubePod) -> datetime | None:
    """Return by when the pod of a stopped worker says why it was stopped; None: it will not.

    A kubelet that evicts a pod, or ends it at its deadline, writes so with the pod's final phase
    (`pkg/kubelet/status/status_manager.go`, mergePodStatus): after the container's end can be seen.

    Args:
        pod: the attempt's pod.
    """
    end = pod.terminated
    if end is None or end.finished_at is None or end.reason in UNSEEN | {"OOMKilled"}:
        return None
    stopped = end.exit_code in STOP_SIGNALS | {KILLED}
    if not stopped or pod.phase_final or pod.deleting_since or pod.disruption:
        return None
    return end.finished_at + timedelta(seconds=REASON_SECONDS)


def _disruption(pod: KubePod) -> Diagnosis | None:
    if not pod.disruption or not (pod.stopped or pod.deleting_since):
        return None
    code = ErrorCode.WORKER_LOST if pod.disruption in NODE_GONE else ErrorCode.WORKER_DISRUPTED
    why = pod.disruption_message or pod.disruption
    return Diagnosis.of(code, f"The worker's pod was taken away: {why}")


def _node(
    pod: KubePod, lost_since: datetime | None, deadlines: AttemptDeadlines, now: datetime
) -> Diagnosis | None:
    """Give up a worker whose node has been away for long; at its own deadline at the latest."""
    if pod.stopped or lost_since is None:
        return None
    given_up_at = lost_since + timedelta(seconds=deadlines.node_lost)
    if pod.started_at:
        given_up_at = min(given_up_at, pod.started_at + timedelta(seconds=deadlines.run))
    elif pod.scheduled_at:
        given_up_at = min(given_up_at, pod.scheduled_at + timedelta(seconds=deadlines.start))
    if now < given_up_at:
        return None
    return Diagnosis.of(ErrorCode.WORKER_LOST, f"Node {pod.node} has been away since {lost_since}.")


def _deadline(
    pod: KubePod, deadlines: AttemptDeadlines, now: datetime, why: str
) -> Diagnosis | None:
    if pod.reason == "DeadlineExceeded":
        return too_long(deadlines) if pod.started_at else _not_started(pod, deadlines)
    if pod.stopped:
        return None
    if pod.started_at:
        over = pod.started_at + timedelta(seconds=deadlines.run) <= now
        return too_long(deadlines) if over else None
    if pod.scheduled_at is None:
        return no_capacity(why or pod.unschedulable, deadlines, now)
    if pod.scheduled_at + timedelta(seconds=deadlines.start) > now:
        return None
    return _not_started(pod, deadlines)


def _not_started(pod: KubePod, deadlines: AttemptDeadlines) -> Diagnosis:
    said = pod.waiting_message or pod.waiting_reason or "no reason was given"
    code = _waiting_code(pod.waiting_reason)
    what = f"The worker ({pod.image})" if code is ErrorCode.WORKER_IMAGE else "The worker"
    return Diagnosis.of(code, f"{what} did not start within {deadlines.start} s: {said}")


def too_long(deadlines: AttemptDeadlines) -> Diagnosis:
    """Return the failure of a worker that reached its run deadline."""
    return Diagnosis.of(
        ErrorCode.DEADLINE_EXCEEDED,
        f"The worker ran longer than the {deadlines.run} s it was given.",
    )


def no_capacity(why: str, deadlines: AttemptDeadlines, now: datetime) -> Diagnosis | None:
    """Return the failure of an attempt that found no place by its queue deadline, else None.

    Args:
        why: why it waits, as a sentence; blank: not known.
        deadlines: how long it may wait.
        now: the time.
    """
    if deadlines.queued_since + timedelta(seconds=deadlines.queue) > now:
        return None
    sentence = f"No place was found within {deadlines.queue} s"
    return Diagnosis.of(ErrorCode.NO_CAPACITY, f"{sentence}: {why}" if why else f"{sentence}.")


def _pod_reason(pod: KubePod) -> Diagnosis | None:
    """Read the reason a kubelet gives for a whole pod, e.g. Evicted, OutOfcpu, NodeShutdown."""
    if not pod.reason or not pod.stopped:
        return None
    if pod.reason == "NodeLost":
        return Diagnosis.of(ErrorCode.WORKER_LOST, "The node of the worker was lost.")
    message = pod.message or pod.reason
    if pod.reason == "Evicted" and re.search(r"emptydir|ephemeral|storage", message, re.IGNORECASE):
        return Diagnosis.of(ErrorCode.WORKER_STORAGE, f"The scratch disk was full: {message}")
    return Diagnosis.of(ErrorCode.WORKER_DISRUPTED, f"The node gave the worker up: {message}")


def _waiting_code(reason: str) -> ErrorCode:
    return ErrorCode.WORKER_IMAGE if reason in IMAGE_REASONS else ErrorCode.WORKER_CONFIG


def _waiting(pod: KubePod, deadlines: AttemptDeadlines, now: datetime) -> Diagnosis | None:
    reason = pod.waiting_reason
    if pod.started_at or reason not in IMAGE_REASONS | CONFIG_REASONS:
        return None
    since = pod.scheduled_at or deadlines.queued_since
    patient = since + timedelta(seconds=deadlines.waiting_grace) > now
    if patient and reason not in IMAGE_HOPELESS:
        return None
    image = f"image {pod.image} could not be pulled"
    what = image if reason in IMAGE_REASONS else "container could not start"
    return Diagnosis.of(
        _waiting_code(reason), f"The worker's {what} ({reason}): {pod.waiting_message or 'no more'}"
    )


def _own_end(job: KubeJob | None, pod: KubePod) -> Diagnosis | None:
    """Read how the worker ended; None where it was told to because its Job was deleted."""
    if pod.terminated is None:
        return None
    found = _ended(pod, pod.terminated)
    told_to_stop = found is not None and found.code is ErrorCode.WORKER_DISRUPTED
    return None if told_to_stop and _is_deleted(job) else found


def _ended(pod: KubePod, end: ContainerTermination) -> Diagnosis | None:
    if end.reason == "OOMKilled" and not _said(end):  # else it was a child, and the worker knows
        return Diagnosis.of(
            ErrorCode.WORKER_OOM, "The worker needed more memory than its limit and was killed."
        )
    if end.reason in START_FAILURES:
        return Diagnosis.of(
            ErrorCode.WORKER_CONFIG, f"The worker's command could not be started: {end.message}"
        )
    return (
        _said(end)
        or _unseen(end)
        or _exit(end.exit_code, terminating=pod.deleting_since is not None)
    )


def _said(end: ContainerTermination) -> Diagnosis | None:
    report = end.report
    if report is None:
        return None
    if report.outcome == "failed":
        code = report.code or ErrorCode.INTERNAL_ERROR
        said = redact(report.message) or f"The worker failed: {code}."
        return Diagnosis(code, said, report.retryable)
    if report.outcome == "terminated":
        return Diagnosis.of(ErrorCode.WORKER_DISRUPTED, "The worker was told to stop.")
    return None


def _unseen(end: ContainerTermination) -> Diagnosis | None:
    if end.reason not in UNSEEN:
        return None
    return _lost_sight_of()


def _lost_sight_of() -> Diagnosis:
    return Diagnosis.of(
        ErrorCode.WORKER_LOST, "The node lost sight of the worker, as by a restart."
    )


def _exit(code: int, *, terminating: bool) -> Diagnosis:
    if code in STOP_SIGNALS or (code == KILLED and terminating):
        return Diagnosis.of(ErrorCode.WORKER_DISRUPTED, "The worker was told to stop.")
    if code == KILLED:
        return Diagnosis.of(ErrorCode.WORKER_LOST, "The worker was killed (SIGKILL) from outside.")
    said = "without a result" if code == 0 else f"with exit code {code}"
    return Diagnosis.of(
        ErrorCode.INTERNAL_ERROR, f"The worker ended {said} and said nothing; see its log."
    )


def _exit_without_pod(code: int) -> Diagnosis:
    if code == UNSEEN_CODE:
        return _lost_sight_of()
    if code in TOLD:
        return Diagnosis.of(
            ErrorCode.WORKER_LOST,
            f"The worker's pod is gone, and with it what it said of its end (exit code {code}).",
        )
    return _exit(code, terminating=False)


def _orphaned(job: KubeJob | None, pod: KubePod) -> Diagnosis | None:
    """Read a pod whose Job is gone, or that is on its way out, or over."""
    if _is_deleted(job):
        return _deleted_by_hand()
    if pod.stopped:
        return Diagnosis.of(ErrorCode.WORKER_LOST, "The worker's pod ended and left no word.")
    if pod.deleting_since:
        return Diagnosis.of(ErrorCode.WORKER_DISRUPTED, "The worker's pod was deleted.")
    return None


def _is_deleted(job: KubeJob | None) -> bool:
    return job is None or job.deleting


def _deleted_by_hand() -> Diagnosis:
    message = "The worker's Job was deleted."
    return Diagnosis(ErrorCode.WORKER_LOST, message, retryable=True, job_deleted=True)


def _without_pod(
    job: KubeJob | None, deadlines: AttemptDeadlines, now: datetime, why: str
) -> Diagnosis | None:
    if job is None or job.deleting:
        return _deleted_by_hand()
    if not job.finished:
        return no_capacity(why, deadlines, now)
    if job.failed_reason == "DeadlineExceeded":  # the Job's own, which counts its waiting as well
        return no_capacity(why, deadlines, now) or too_long(deadlines)
    said = job.failed_message
    if "DisruptionTarget" in said:
        return Diagnosis.of(ErrorCode.WORKER_DISRUPTED, "The worker's pod was taken away.")
    if found := _EXIT_CODE_IN_JOB.search(said):
        return _exit_without_pod(int(found[1]))
    return Diagnosis.of(ErrorCode.WORKER_LOST, "The worker's pod is gone and left no word.")
