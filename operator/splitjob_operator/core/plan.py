"""What is to be done for one SplitJob: the outcome of one `reconcile`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from splitjob.status import Attempt, SplitJobStatus
from splitjob_operator.core.cached_splitjob import BlockedReason
from splitjob_operator.core.lookups import CheckRequest, Lookup, ReadManifest

__all__ = [
    "Action",
    "CreateJob",
    "DeleteJob",
    "DeletePod",
    "DeleteSplitJob",
    "Deliver",
    "OwnSecret",
    "Plan",
    "ReplaceForeignManifest",
    "SetWorkloadActive",
]


@dataclass(frozen=True, slots=True)
class OwnSecret:
    """Make the SplitJob an owner of the Secret it refers to.

    Attributes:
        if_there: a Secret that is not there is fine: nothing will be done with it.
    """

    name: str
    if_there: bool = False


@dataclass(frozen=True, slots=True)
class ReplaceForeignManifest:
    """Keep the manifest's place, in which another job of the same name left one, for this job."""


@dataclass(frozen=True, slots=True)
class CreateJob:
    """Create the Job of an attempt, unless that is there already."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class DeleteJob:
    """Delete one of our Jobs.

    Attributes:
        propagation: Foreground: the Job goes once its pods are gone; Background: at once.
    """

    name: str
    uid: str
    propagation: Literal["Foreground", "Background"]


@dataclass(frozen=True, slots=True)
class DeletePod:
    """Delete a pod whose Job or node is gone.

    Attributes:
        force: without waiting for its node, which does not answer.
    """

    name: str
    uid: str
    force: bool


@dataclass(frozen=True, slots=True)
class SetWorkloadActive:
    """Let Kueue admit a Job, or have it evicted and held."""

    job_uid: str
    active: bool


@dataclass(frozen=True, slots=True)
class Deliver:
    """Send the final event that the outbox holds."""


@dataclass(frozen=True, slots=True)
class DeleteSplitJob:
    """Clean up a finished SplitJob whose time to live is over."""


Action = (
    OwnSecret
    | ReplaceForeignManifest
    | CreateJob
    | DeleteJob
    | DeletePod
    | SetWorkloadActive
    | Deliver
    | DeleteSplitJob
)


@dataclass(frozen=True, slots=True)
class Plan:
    """The outcome of one `reconcile`.

    Attributes:
        lookup: what must be looked up first; then nothing else of the plan is carried out.
        before: done before the status is written; where one fails the status stays as it was.
        status: what the status should be; None: leave it. It is written under the resourceVersion
            that was read, where it differs from what was read. Before a Job is created it is
            written anyway: a Job of an outdated plan would run beside that of a later attempt.
        after: done, in this order, once the status is written.
        requeue_at: when to reconcile again, if nothing happens before.
        blocked: why the job is ineligible, independent of queue order; None: it is not.
    """

    lookup: Lookup | None = None
    before: tuple[Action, ...] = ()
    status: SplitJobStatus | None = None
    after: tuple[Action, ...] = ()
    requeue_at: datetime | None = None
    blocked: BlockedReason | None = None

    @property
    def stands_by_its_version(self) -> bool:
        """Whether it may be carried out for a SplitJob that has perhaps changed since it was read.

        Then its status is refused, and nothing was done that counts. What it looked up must only
        read, and what it does without a new status must be right of an older state too.
        """
        return (
            (self.lookup is None or isinstance(self.lookup, CheckRequest | ReadManifest))
            and all(isinstance(action, OwnSecret) for action in self.before)
            and all(isinstance(action, CreateJob | DeleteJob) for action in self.after)
        )

    def does_nothing(self, before: SplitJobStatus) -> bool:
        """Whether nothing is to be done.

        Args:
            before: the status that it was made for.
        """
        same = self.status is None or (self.status == before and before.conditions)
        return bool(same) and not (self.before or self.after)

    def only_tells(self, before: SplitJobStatus) -> bool:
        """Whether it changes no more than what a status tells of an attempt that goes on.

        Args:
            before: the status that it was made for.
        """
        if self.lookup or self.before or self.after or self.status is None:
            return False
        return _settled(self.status) == _settled(before)

    def only_names(self, before: SplitJobStatus) -> bool:
        """Whether it changes no more than which Job and pod the attempts are noted to have.

        Args:
            before: the status that it was made for.
        """
        return self.status is not None and _unnamed(self.status) == _unnamed(before)

    @property
    def creates_job(self) -> bool:
        """Whether a Job is created once the status is written."""
        return any(isinstance(action, CreateJob) for action in self.after)


def _settled(status: SplitJobStatus) -> tuple[object, ...]:
    """Return what of a status decides something."""
    attempts = [
        (one.number, one.reason, one.stopped_at, one.finished_at) for one in status.attempts
    ]
    return (status.finished_at, *attempts)


def _unnamed(status: SplitJobStatus) -> SplitJobStatus:
    """Return a status without the names of Jobs and pods."""
    nameless = {"job_uid": None, "pod_name": None}
    attempts = [one.model_copy(update=nameless) for one in status.attempts]
    return status.model_copy(update={"attempts": attempts})
