"""What was read of the cluster: plain values, cut from the API server's JSON.

SplitJob    the resource itself
KubeJob         one batch/v1 Job
KubePod         one Pod, with the worker's container flattened into it
Observed        all that `reconcile` is given
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from pydantic import ValidationError

from splitjob import workload
from splitjob.resource import ANNOTATION_TRACEPARENT, KIND, LABEL_ATTEMPT
from splitjob.result import ProgressLine, WorkerReport
from splitjob.spec import SplitJobSpec
from splitjob.status import SplitJobStatus, read_status
from splitjob.tracing import TraceContext
from splitjob.webhook import DeliveryOutcome
from splitjob_operator.core.kueue import QUEUE_LABEL
from splitjob_operator.core.lookups import LookupResults

__all__ = [
    "ContainerTermination",
    "DeliveryReport",
    "JobCreationError",
    "KubeJob",
    "KubePod",
    "Observed",
    "QueueDecision",
    "SplitJob",
    "is_orphan",
    "parse_time",
]

Raw = Mapping[str, Any]
JOB_CONTROLLER = "kubernetes.io/job-controller"  # what manages a Job that names nobody
CONTROLLER_UID = "batch.kubernetes.io/controller-uid"  # a label that Kubernetes gives a Job's pods


def parse_time(text: str | None) -> datetime | None:
    """Return an RFC 3339 time of the API server, or None."""
    return datetime.fromisoformat(text) if text else None


@dataclass(frozen=True, slots=True)
class SplitJob:
    """A SplitJob.

    Attributes:
        spec: None where it cannot be understood (`spec_error` says why): written by hand, past an
            older schema.
        trace: where in a trace it belongs; None: it does not say.
    """

    name: str
    namespace: str
    uid: str
    resource_version: str
    generation: int
    created_at: datetime
    deleting: bool
    spec: SplitJobSpec | None
    spec_error: str
    status: SplitJobStatus
    trace: TraceContext | None = None

    @classmethod
    def of(cls, raw: Raw) -> Self:
        """Read the API server's JSON."""
        metadata = raw["metadata"]
        spec, spec_error = _spec(raw.get("spec", {}))
        return cls(
            name=metadata["name"],
            namespace=metadata["namespace"],
            uid=metadata["uid"],
            resource_version=metadata["resourceVersion"],
            generation=metadata.get("generation", 1),
            created_at=datetime.fromisoformat(metadata["creationTimestamp"]),
            deleting="deletionTimestamp" in metadata,
            spec=spec,
            spec_error=spec_error,
            status=read_status(raw.get("status")),
            trace=TraceContext.parse(
                (metadata.get("annotations") or {}).get(ANNOTATION_TRACEPARENT)
            ),
        )


def _spec(raw: Raw) -> tuple[SplitJobSpec | None, str]:
    try:
        return SplitJobSpec.model_validate(raw), ""
    except ValidationError as error:
        places = sorted({".".join(map(str, e["loc"])) for e in error.errors(include_input=False)})
        return None, "spec: these fields cannot be used: " + ", ".join(places)


@dataclass(frozen=True, slots=True)
class KubeJob:
    """A Job.

    Attributes:
        owner_kind, owner_uid: of the controlling owner; blank where there is none.
        failed_reason, failed_message: of the condition Failed=True; blank where it has not failed.
        queue_name: the queue of Kueue that it is in; blank: none.
        suspended: `spec.suspend`: its controller makes no pods, and deletes those there are.
        managed_elsewhere: whether its pods are in another cluster (`spec.managedBy`).
        started_at: since when its controller has been working on it.
    """

    name: str
    uid: str
    owner_kind: str = ""
    owner_uid: str = ""
    created_at: datetime | None = None
    deleting: bool = False
    complete: bool = False
    failed_reason: str = ""
    failed_message: str = ""
    queue_name: str = ""
    suspended: bool = False
    managed_elsewhere: bool = False
    started_at: datetime | None = None

    @classmethod
    def of(cls, raw: Raw) -> Self:
        """Read the API server's JSON."""
        metadata = raw["metadata"]
        owner: Raw = next(
            (o for o in metadata.get("ownerReferences", []) if o.get("controller")), {}
        )
        conditions, spec = _true_conditions(raw), raw.get("spec", {})
        failed = conditions.get("Failed") or conditions.get("FailureTarget") or {}
        return cls(
            name=metadata["name"],
            uid=metadata["uid"],
            owner_kind=owner.get("kind", ""),
            owner_uid=owner.get("uid", ""),
            created_at=parse_time(metadata.get("creationTimestamp")),
            deleting="deletionTimestamp" in metadata,
            complete="Complete" in conditions,
            failed_reason=failed.get("reason", ""),
            failed_message=failed.get("message", ""),
            queue_name=metadata.get("labels", {}).get(QUEUE_LABEL, ""),
            suspended=spec.get("suspend", False),
            managed_elsewhere=spec.get("managedBy", JOB_CONTROLLER) != JOB_CONTROLLER,
            started_at=parse_time(raw.get("status", {}).get("startTime")),
        )

    @property
    def held_by_kueue(self) -> bool:
        """Whether it waits for Kueue to admit it, for the first time or again."""
        over = self.finished or self.deleting
        return bool(self.queue_name) and self.suspended and not over

    @property
    def finished(self) -> bool:
        """Whether the Job controller has given its verdict."""
        return self.complete or bool(self.failed_reason)

    def belongs_to(self, splitjob: SplitJob) -> bool:
        """Whether this Job is one of ours: by the owner's uid, never by name."""
        return self.owner_kind == KIND and self.owner_uid == splitjob.uid


@dataclass(frozen=True, slots=True)
class ContainerTermination:
    """How the worker's container ended."""

    exit_code: int
    reason: str = ""
    message: str = ""
    finished_at: datetime | None = None

    @property
    def report(self) -> WorkerReport | None:
        """What the worker said in its termination message."""
        return WorkerReport.decode(self.message) if self.message else None


@dataclass(frozen=True, slots=True)
class KubePod:
    """A pod and its worker container.

    Attributes:
        deleting_since: deletionTimestamp: when its grace period is over.
        reason, message: of the pod itself, e.g. Evicted.
        unschedulable: the scheduler's sentence; blank where it found a node or has not tried yet.
        disruption, disruption_message: of the condition DisruptionTarget; blank where not there.
        waiting_reason, waiting_message: why its container does not run yet.
        image: of its container, as its spec has it.
        memory_limit: of its container, a quantity; blank: there is none.
        attempt: the number of its attempt, in its label; 0: it has none that can be read.
        orphaned: whether its Job was deleted without it, so that nobody will ever delete it.
    """

    name: str
    uid: str
    phase: str = "Pending"
    job_uid: str = ""
    node: str = ""
    deleting_since: datetime | None = None
    reason: str = ""
    message: str = ""
    unschedulable: str = ""
    scheduled_at: datetime | None = None
    disruption: str = ""
    disruption_message: str = ""
    waiting_reason: str = ""
    waiting_message: str = ""
    started_at: datetime | None = None
    terminated: ContainerTermination | None = None
    image: str = ""
    memory_limit: str = ""
    created_at: datetime | None = None
    attempt: int = 0
    orphaned: bool = False

    @classmethod
    def of(cls, raw: Raw) -> Self:
        """Read the API server's JSON.

        A pod whose Job was deleted without it has no owner any more; its label still names the Job.
        """
        metadata, status = raw["metadata"], raw.get("status", {})
        container = _worker_state(status)
        waiting = container.get("waiting", {})
        terminated = container.get("terminated")
        conditions = _conditions(raw)
        scheduled = conditions.get("PodScheduled", {})
        disruption = conditions.get("DisruptionTarget", {})
        disrupted = disruption.get("status") == "True"
        on_node = scheduled.get("status") == "True"
        owner: Raw = next(
            (o for o in metadata.get("ownerReferences", []) if o.get("controller")), {}
        )
        running = container.get("running", {})
        spec = _worker_spec(raw)
        return cls(
            name=metadata["name"],
            uid=metadata["uid"],
            phase=status.get("phase", "Pending"),
            job_uid=owner.get("uid") or metadata.get("labels", {}).get(CONTROLLER_UID, ""),
            node=raw.get("spec", {}).get("nodeName", ""),
            deleting_since=parse_time(metadata.get("deletionTimestamp")),
            reason=status.get("reason", ""),
            message=status.get("message", ""),
            unschedulable="" if on_node else scheduled.get("message", ""),
            scheduled_at=parse_time(scheduled.get("lastTransitionTime")) if on_node else None,
            disruption=disruption.get("reason", "") if disrupted else "",
            disruption_message=disruption.get("message", "") if disrupted else "",
            waiting_reason=waiting.get("reason", ""),
            waiting_message=waiting.get("message", ""),
            started_at=_container_time((terminated or running).get("startedAt")),
            terminated=_termination(terminated),
            image=spec.get("image", ""),
            memory_limit=spec.get("resources", {}).get("limits", {}).get("memory", ""),
            created_at=parse_time(metadata.get("creationTimestamp")),
            attempt=_attempt_number(metadata.get("labels", {})),
            orphaned=is_orphan(metadata),
        )

    @property
    def phase_final(self) -> bool:
        """Whether its node has nothing left to say of it."""
        return self.phase in {"Succeeded", "Failed"}

    @property
    def stopped(self) -> bool:
        """Whether its container can do nothing any more."""
        return self.phase_final or self.terminated is not None

    @property
    def ended_at(self) -> datetime | None:
        """When its container ended; None: it has not, or its node does not know when."""
        return self.terminated.finished_at if self.terminated else None

    @property
    def running(self) -> bool:
        """Whether its container runs."""
        return self.started_at is not None and not self.stopped


@dataclass(frozen=True, slots=True)
class JobCreationError:
    """Why the Job of an attempt was not created just now.

    Attributes:
        message: what the API server said, or whose Job is in the way.
        occupied_by: a Job of the wanted name that is not ours; None: the API server refused.
    """

    message: str
    occupied_by: KubeJob | None = None


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """What came of one attempt to deliver the final event; no status says it yet.

    Attributes:
        splitjob_uid: whose event it was.
        attempts, redeliveries: as the outbox said when the event was sent.
        outcome: what came of it.
        jitter: 0 to 1, where within its jitter the next gap falls: chance is handed in like time.
    """

    splitjob_uid: str
    attempts: int
    redeliveries: int
    outcome: DeliveryOutcome
    jitter: float

    def concerns(self, splitjob: SplitJob) -> bool:
        """Whether the outbox is still as it was when the event was sent."""
        outbox = splitjob.status.webhook
        return (
            outbox is not None
            and splitjob.uid == self.splitjob_uid
            and (outbox.attempts, outbox.redeliveries) == (self.attempts, self.redeliveries)
        )


@dataclass(frozen=True, slots=True)
class QueueDecision:
    """What the queue says to one SplitJob.

    Attributes:
        may_start: whether it may start an attempt now.
        group_full: whether it may not because its group has as many as it may.
        position: 1 is next; None where it is not queued.
        eta_seconds: until it is done; None: unknown.
    """

    may_start: bool = True
    group_full: bool = False
    position: int | None = None
    eta_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Observed:
    """All that `reconcile` is given, but for the settings and the clock.

    Attributes:
        jobs: every Job that carries this SplitJob's label, its own or not.
        pods: every pod that carries it.
        lost_nodes: nodes that are not ready, or gone, and since when.
        progress: the last progress line of the running pod, where one was read.
        lookups: what was looked up because an earlier plan named it.
        job_creation_error: why the attempt's Job could not be created just now.
        delivery: what came of the last delivery, where that is not known to be in the status.
        secret_shared: whether a retry that has not ended refers to the Secret of this job.
        input_shared: whether a job that has not ended reads the same file from POST /uploads.
    """

    splitjob: SplitJob
    jobs: tuple[KubeJob, ...] = ()
    pods: tuple[KubePod, ...] = ()
    lost_nodes: Mapping[str, datetime] = field(default_factory=dict)
    queue_decision: QueueDecision = QueueDecision()
    progress: ProgressLine | None = None
    lookups: LookupResults = field(default_factory=LookupResults)
    job_creation_error: JobCreationError | None = None
    delivery: DeliveryReport | None = None
    secret_shared: bool = False
    input_shared: bool = False


def _conditions(raw: Raw) -> dict[str, Raw]:
    return {c["type"]: c for c in raw.get("status", {}).get("conditions", [])}


def _true_conditions(raw: Raw) -> dict[str, Raw]:
    return {kind: c for kind, c in _conditions(raw).items() if c.get("status") == "True"}


def is_orphan(metadata: Raw) -> bool:
    """Return whether these are of a pod whose Job was deleted without it, and that stays for ever.

    A pod that somebody made by hand has no label of a Job's controller.
    """
    owned = any(owner.get("controller") for owner in metadata.get("ownerReferences", []))
    of_a_job = CONTROLLER_UID in metadata.get("labels", {})
    return of_a_job and not owned and "deletionTimestamp" not in metadata


def _attempt_number(labels: Mapping[str, str]) -> int:
    number = labels.get(LABEL_ATTEMPT, "")
    return int(number) if number.isdecimal() else 0


def _worker_spec(pod: Raw) -> Raw:
    containers: list[Raw] = pod.get("spec", {}).get("containers", [])
    return next((one for one in containers if one.get("name") == workload.CONTAINER), {})


def _worker_state(status: Raw) -> Raw:
    for container in status.get("containerStatuses", []):
        if container.get("name") == workload.CONTAINER:
            state: Raw = container.get("state", {})
            return state
    return {}


def _container_time(text: str | None) -> datetime | None:
    """Return a time that a node tells of a container; None where it does not know it.

    Of a container that it could not start, or lost sight of, its runtime gives Unix time 0.
    """
    when = parse_time(text)
    return when if when and when.timestamp() > 0 else None


def _termination(terminated: Raw | None) -> ContainerTermination | None:
    if not terminated:
        return None
    return ContainerTermination(
        exit_code=terminated.get("exitCode", 0),
        reason=terminated.get("reason", ""),
        message=terminated.get("message", ""),
        finished_at=_container_time(terminated.get("finishedAt")),
    )
