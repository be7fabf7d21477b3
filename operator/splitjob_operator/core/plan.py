"""What is to be done for one SplitJob: the outcome of one `reconcile`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from splitjob.resource import Attempt, SplitJobStatus
from splitjob_operator.core.lookups import Lookup
from splitjob_operator.core.queue import BlockedReason

__all__ = [
    "Action",
    "CreateJob",
    "DeleteForeignManifest",
    "DeleteJob",
    "DeletePod",
    "DeleteSplitJob",
    "Deliver",
    "OwnSecret",
    "Plan",
]


@dataclass(frozen=True, slots=True)
class OwnSecret:
    """Make the SplitJob an owner of the Secret it refers to."""

    name: str


@dataclass(frozen=True, slots=True)
class DeleteForeignManifest:
    """Clear the manifest's place of what a former job of the same name left there."""


@dataclass(frozen=True, slots=True)
class CreateJob:
    """Create the Job of an attempt; one of that name that is ours already is as good."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class DeleteJob:
    """Delete one of our Jobs.

    Attributes:
        propagation: Foreground where the pods must be seen to go, else Background.
    """

    name: str
    uid: str
    propagation: Literal["Foreground", "Background"]


@dataclass(frozen=True, slots=True)
class DeletePod:
    """Delete a pod that outlived its Job or its node.

    Attributes:
        force: without waiting for its node, which does not answer.
    """

    name: str
    uid: str
    force: bool


@dataclass(frozen=True, slots=True)
class Deliver:
    """Send the final event that the outbox holds."""


@dataclass(frozen=True, slots=True)
class DeleteSplitJob:
    """Clean up a finished SplitJob whose time to live is over."""


Action = (
    OwnSecret | DeleteForeignManifest | CreateJob | DeleteJob | DeletePod | Deliver | DeleteSplitJob
)


@dataclass(frozen=True, slots=True)
class Plan:
    """The outcome of one `reconcile`.

    Attributes:
        ask: what must be known first; nothing else of the plan is carried out then.
        before: done before the status is written; one that fails leaves the status as it was.
        status: what the status should be; it is written, with a resourceVersion precondition,
            where it differs from what it is or a Job is created: one that a plan out of date
            made would run beside a later attempt's. None: leave it.
        after: done, in this order, once the status stands.
        requeue_at: reconcile again then, if nothing happens before.
        hold: what keeps it from starting, whosever turn it is.
    """

    lookup: Lookup | None = None
    before: tuple[Action, ...] = ()
    status: SplitJobStatus | None = None
    after: tuple[Action, ...] = ()
    requeue_at: datetime | None = None
    blocked: BlockedReason | None = None

    @property
    def creates_job(self) -> bool:
        """Whether a Job is created once the status stands."""
        return any(isinstance(action, CreateJob) for action in self.after)
