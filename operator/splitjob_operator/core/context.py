"""One call of `reconcile`: what was observed, the time, and the plan that is being drafted."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from splitjob import conditions, workload
from splitjob.conditions import ConditionType, Reason
from splitjob.lifecycle import attempt_under_way, verdict
from splitjob.spec import Request
from splitjob.status import Attempt, ConditionStatus, SplitJobStatus
from splitjob.submission_id import submitted_when_created
from splitjob_operator.core.cached_splitjob import BlockedReason
from splitjob_operator.core.diagnosis import AttemptDeadlines
from splitjob_operator.core.lookups import Lookup
from splitjob_operator.core.observed import KubeJob, KubePod, Observed
from splitjob_operator.core.plan import Action, Plan
from splitjob_operator.core.settings import Settings
from splitjob_operator.core.worker_resources import WorkerResources

__all__ = ["ReconcileContext"]


@dataclass
class ReconcileContext:
    """What `reconcile` works on: its input and the draft of its plan.

    Attributes:
        observed: what was read.
        settings: the installation's.
        now: the time, whole seconds.
        status: a copy of the status, changed on the way: its own fields and those of its attempts;
            what else it consists of is replaced as a whole.
        before, after: actions before and after the status is written.
        next_reconcile_at: when to reconcile again, if nothing happens before.
        blocked: why the job is ineligible, independent of queue order; None: it is not.
    """

    observed: Observed
    settings: Settings
    now: datetime
    status: SplitJobStatus = field(init=False)
    before: list[Action] = field(default_factory=list)
    after: list[Action] = field(default_factory=list)
    next_reconcile_at: datetime | None = None
    blocked: BlockedReason | None = None

    def __post_init__(self) -> None:
        """Copy the status; at the first reconcile give it its conditions."""
        splitjob = self.observed.splitjob
        self.status = _draft_of(splitjob.status)
        if not self.status.conditions:
            self.status.conditions = conditions.initial(self.now, splitjob.generation)
        self.status.observed_generation = splitjob.generation

    @property
    def first_reconcile(self) -> bool:
        """Whether this SplitJob had no status yet."""
        return not self.observed.splitjob.status.conditions

    @property
    def finished(self) -> bool:
        """Whether the job has ended."""
        return verdict(self.status.conditions) is not None

    @property
    def request(self) -> Request | None:
        """What was asked; None where it cannot be understood."""
        spec = self.observed.splitjob.spec
        return spec.request if spec else None

    @property
    def resources(self) -> WorkerResources:
        """What a worker for this job gets; that of no model where its request is unreadable."""
        return self.settings.resources_of(self.request.model if self.request else "")

    @property
    def identity(self) -> str:
        """What receivers know the job by (`splitjob.workload.identity_of`)."""
        splitjob, request = self.observed.splitjob, self.request
        submission_id = request.submission_id if request else None
        return workload.identity_of(splitjob.name, splitjob.uid, submission_id)

    @property
    def may_have_ended_before(self) -> bool:
        """Whether the bucket may know how the job ended although no status says so."""
        request, created_at = self.request, self.observed.splitjob.created_at
        return request is None or not submitted_when_created(request.submission_id, created_at)

    @property
    def canceled(self) -> bool:
        """Whether the job is to be canceled."""
        spec = self.observed.splitjob.spec
        return spec is not None and spec.canceled

    @property
    def to_be_erased(self) -> bool:
        """Whether what the bucket holds of the job is to be erased, and is not yet."""
        spec, done = self.observed.splitjob.spec, self.status.erased
        return spec is not None and spec.erase and (done is None or done.at is None)

    @property
    def suspended(self) -> bool:
        """Whether no attempt may be started for now."""
        spec = self.observed.splitjob.spec
        return spec is not None and spec.suspend

    @property
    def needs_bucket(self) -> bool:
        """Whether stems and manifest go into the installation's bucket, not to presigned URLs."""
        return self.request is not None and not self.request.uploads

    @property
    def input_key(self) -> str | None:
        """The key of the file from POST /uploads that the job reads; None: it reads no such."""
        inputs, request = self.settings.inputs(), self.request
        return inputs.key_of(request.source.url) if inputs and request else None

    @property
    def attempt(self) -> Attempt | None:
        """The attempt under way."""
        return attempt_under_way(self.status)

    @property
    def own_jobs(self) -> list[KubeJob]:
        """The Jobs that are this SplitJob's, by the owner's uid."""
        return [job for job in self.observed.jobs if job.belongs_to(self.observed.splitjob)]

    def job_of(self, attempt: Attempt) -> KubeJob | None:
        """Return the Job of an attempt."""
        return next((job for job in self.own_jobs if job.name == attempt.job_name), None)

    def pods_of(self, attempt: Attempt) -> list[KubePod]:
        """Return the pods of an attempt, by their Job's uid: the newest first."""
        job = self.job_of(attempt)
        uids = {attempt.job_uid, job.uid if job else None} - {None}
        pods = [pod for pod in self.observed.pods if pod.job_uid in uids]
        return sorted(pods, key=lambda pod: (pod.stopped, pod.name))

    def deadlines(self, attempt: Attempt) -> AttemptDeadlines:
        """Return the deadlines of an attempt."""
        request, settings = self.request, self.settings
        queue = request.queue_deadline_seconds if request else None
        run = request.run_deadline_seconds if request else None
        since = self.status.queue.since if self.status.queue else None
        return AttemptDeadlines(
            queued_since=since or attempt.created_at or self.observed.splitjob.created_at,
            queue=queue or settings.queue_deadline_seconds,
            start=settings.start_deadline_seconds,
            run=run or settings.run_deadline_seconds,
            waiting_grace=settings.waiting_grace_seconds,
            node_lost=settings.node_lost_seconds,
        )

    def condition(
        self, kind: ConditionType, status: ConditionStatus, reason: Reason | str, message: str
    ) -> None:
        """Set one condition of the draft."""
        self.status.conditions = conditions.set_condition(
            self.status.conditions,
            kind,
            status,
            str(reason),
            message,
            self.now,
            self.observed.splitjob.generation,
        )

    def requeue_at(self, when: datetime) -> None:
        """Reconcile again then, or earlier."""
        known = self.next_reconcile_at
        self.next_reconcile_at = when if known is None else min(known, when)

    def requeue_after(self, seconds: float) -> None:
        """Reconcile again in so many seconds, or earlier."""
        self.requeue_at(self.now + timedelta(seconds=seconds))

    def look_up(self, lookup: Lookup) -> Plan:
        """Return a plan that only names a lookup."""
        return Plan(lookup=lookup)

    def plan(self, also_after: Sequence[Action] = ()) -> Plan:
        """Return the plan as drafted so far, with further actions at its end."""
        return Plan(
            before=tuple(self.before),
            status=self.status,
            after=(*self.after, *also_after),
            requeue_at=self.next_reconcile_at,
            blocked=self.blocked,
        )


def _draft_of(status: SplitJobStatus) -> SplitJobStatus:
    """Return a copy to be changed; a deep one costs more than all else of a reconcile."""
    return status.model_copy(update={"attempts": [one.model_copy() for one in status.attempts]})
