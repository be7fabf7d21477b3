"""One round of `reconcile`: what was seen, the clock, and the status being drafted."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from splitjob import conditions
from splitjob.conditions import ConditionType, Reason
from splitjob.resource import Attempt, ConditionStatus, Request, SplitJobStatus
from splitjob_operator.core.diagnosis import Limits
from splitjob_operator.core.lookups import Question
from splitjob_operator.core.observed import JobView, Observed, PodView
from splitjob_operator.core.plan import Action, Plan
from splitjob_operator.core.queue import Hold
from splitjob_operator.core.settings import Settings

__all__ = ["Round"]


@dataclass
class Round:
    """The draft of a plan.

    Attributes:
        seen: what was read.
        settings: the installation's.
        now: the time, whole seconds.
        status: a copy of the status, changed as the round goes on.
        hold: what keeps it from starting, whosever turn it is.
    """

    seen: Observed
    settings: Settings
    now: datetime
    status: SplitJobStatus = field(init=False)
    before: list[Action] = field(default_factory=list)
    after: list[Action] = field(default_factory=list)
    again_at: datetime | None = None
    hold: Hold | None = None

    def __post_init__(self) -> None:
        """Copy the status, and complete its conditions at first sight."""
        splitjob = self.seen.splitjob
        self.status = splitjob.status.model_copy(deep=True)
        if not self.status.conditions:
            self.status.conditions = conditions.initial(self.now, splitjob.generation)
        self.status.observed_generation = splitjob.generation

    @property
    def first_sight(self) -> bool:
        """Whether this SplitJob had no status yet."""
        return not self.seen.splitjob.status.conditions

    @property
    def finished(self) -> bool:
        """Whether the verdict was given."""
        succeeded = conditions.find(self.status.conditions, ConditionType.SUCCEEDED)
        return succeeded is not None and succeeded.status != "Unknown"

    @property
    def request(self) -> Request | None:
        """What was asked; None where it cannot be understood."""
        spec = self.seen.splitjob.spec
        return spec.request if spec else None

    @property
    def canceled(self) -> bool:
        """Whether the job is to be canceled."""
        spec = self.seen.splitjob.spec
        return spec is not None and spec.canceled

    @property
    def suspended(self) -> bool:
        """Whether no attempt may be started for now."""
        spec = self.seen.splitjob.spec
        return spec is not None and spec.suspend

    @property
    def stores(self) -> bool:
        """Whether we have the keys to where this job's stems go, and so can see its manifest."""
        return self.request is not None and not self.request.uploads

    @property
    def attempt(self) -> Attempt | None:
        """The attempt under way."""
        last = self.status.attempts[-1] if self.status.attempts else None
        return last if last and last.finished_at is None else None

    @property
    def own_jobs(self) -> list[JobView]:
        """The Jobs that are this SplitJob's, by the owner's uid."""
        return [job for job in self.seen.jobs if job.belongs_to(self.seen.splitjob)]

    def job_of(self, attempt: Attempt) -> JobView | None:
        """Return the Job of an attempt."""
        return next((job for job in self.own_jobs if job.name == attempt.job_name), None)

    def pods_of(self, attempt: Attempt) -> list[PodView]:
        """Return the pods of an attempt, by their Job's uid: the newest first."""
        job = self.job_of(attempt)
        uids = {attempt.job_uid, job.uid if job else None} - {None}
        pods = [pod for pod in self.seen.pods if pod.job_uid in uids]
        return sorted(pods, key=lambda pod: (pod.over, pod.name))

    def limits(self, attempt: Attempt) -> Limits:
        """Return the deadlines of an attempt."""
        request, settings = self.request, self.settings
        queue = request.queue_deadline_seconds if request else None
        run = request.run_deadline_seconds if request else None
        since = self.status.queue.since if self.status.queue else None
        return Limits(
            queued_since=since or attempt.created_at or self.seen.splitjob.created_at,
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
            self.seen.splitjob.generation,
        )

    def wake_at(self, when: datetime) -> None:
        """Reconcile again then, or earlier."""
        self.again_at = when if self.again_at is None else min(self.again_at, when)

    def wake_in(self, seconds: float) -> None:
        """Reconcile again in so many seconds, or earlier."""
        self.wake_at(self.now + timedelta(seconds=seconds))

    def asking(self, question: Question) -> Plan:
        """Return a plan that only asks."""
        return Plan(ask=question)

    def plan(self, also_after: Sequence[Action] = ()) -> Plan:
        """Return the plan as it stands."""
        return Plan(
            before=tuple(self.before),
            status=self.status,
            after=(*self.after, *also_after),
            again_at=self.again_at,
            hold=self.hold,
        )
