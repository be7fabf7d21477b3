"""What `reconcile` may have looked up beyond the cluster's objects, and what that gave.

A pure function cannot look things up: it returns a plan that names a lookup, the executor does it,
and `reconcile` is called again with the result.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, Self

from splitjob.errors import ErrorCode
from splitjob.result import Manifest, ProgressLine
from splitjob.status import Usage
from splitjob_operator.core.kueue import Workload

__all__ = [
    "CheckRequest",
    "ClaimTombstone",
    "DeleteInput",
    "EraseData",
    "ErasureLookup",
    "InputDeletion",
    "LastProgress",
    "Lookup",
    "LookupResults",
    "ManifestLookup",
    "ManifestState",
    "PodEvent",
    "Problem",
    "ReadAutoscalerEvents",
    "ReadJobWarning",
    "ReadLastProgress",
    "ReadManifest",
    "ReadPodEvents",
    "ReadWorkload",
]


@dataclass(frozen=True, slots=True)
class CheckRequest:
    """Check whether the installation can serve the request; this reads its Secret."""


@dataclass(frozen=True, slots=True)
class ReadManifest:
    """Read the manifest, or the tombstone, that is in the bucket."""


@dataclass(frozen=True, slots=True)
class ClaimTombstone:
    """Write a tombstone under the manifest's key, unless a manifest is there: the first one wins.

    Attributes:
        status: how the job ends.
        code: the error code.
        message: for people.
        usage: what the job took.
    """

    status: Literal["failed", "canceled"]
    code: ErrorCode
    message: str
    usage: Usage


@dataclass(frozen=True, slots=True)
class ReadJobWarning:
    """Read the last warning event about a Job that has no pod."""

    job_name: str


@dataclass(frozen=True, slots=True)
class ReadPodEvents:
    """Read the events about a pod that does not run yet, those of its node among them."""

    pod_name: str


@dataclass(frozen=True, slots=True)
class ReadAutoscalerEvents:
    """Read what an autoscaler says of a pod that no node takes."""

    pod_name: str


@dataclass(frozen=True, slots=True)
class ReadLastProgress:
    """Read the last progress line in the log of a worker that has ended."""

    pod_name: str


@dataclass(frozen=True, slots=True)
class ReadWorkload:
    """Read the Workload that Kueue keeps of a Job."""

    job_uid: str


@dataclass(frozen=True, slots=True)
class EraseData:
    """Erase what the bucket holds of a job that has ended, and leave a tombstone there.

    Attributes:
        input_key: the file from POST /uploads that it read; None: it read another source.
        keep_input: leave that file: another job needs it.
    """

    input_key: str | None = None
    keep_input: bool = False


@dataclass(frozen=True, slots=True)
class DeleteInput:
    """Delete the file from POST /uploads that a job which has ended read."""

    key: str


Lookup = (
    CheckRequest
    | ReadManifest
    | ClaimTombstone
    | ReadJobWarning
    | ReadPodEvents
    | ReadAutoscalerEvents
    | ReadLastProgress
    | ReadWorkload
    | EraseData
    | DeleteInput
)


class ManifestState(StrEnum):
    """What is under the manifest's key."""

    ABSENT = "absent"  # or kept for the job's own worker
    COMPLETED = "completed"
    OUR_TOMBSTONE = "our tombstone"
    FOREIGN = "foreign"  # of another job or request of the same name, or unreadable
    UNREACHABLE = "unreachable"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class ManifestLookup:
    """What reading the manifest, or claiming its key with a tombstone, gave."""

    state: ManifestState
    manifest: Manifest | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class ErasureLookup:
    """What came of erasing a job's data.

    Attributes:
        files: what was erased, now and at an earlier try, by its name below the job's place in the
            bucket, and `input` for the file that it read; None: it failed.
        message: why it failed.
    """

    files: Sequence[str] | None
    message: str = ""


@dataclass(frozen=True, slots=True)
class InputDeletion:
    """What came of deleting a file from POST /uploads.

    Attributes:
        done: whether it is gone, now or before.
        message: why it could not be deleted.
    """

    done: bool
    message: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a request cannot be served.

    Attributes:
        missing: the Secret that is not there and may yet be created; blank for any other problem.
    """

    code: ErrorCode
    message: str
    missing: str = ""


@dataclass(frozen=True, slots=True)
class PodEvent:
    """An event about a pod.

    Attributes:
        reason: as whoever posted it calls it, such as Pulling; blank: there is none.
        message: for people.
        warning: whether something is wrong.
        source: the program that posted it.
    """

    reason: str = ""
    message: str = ""
    warning: bool = False
    source: str = ""

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Self:
        """Read the API server's JSON."""
        component = (raw.get("source") or {}).get("component") or raw.get("reportingComponent")
        return cls(
            reason=raw.get("reason", ""),
            message=raw.get("message", ""),
            warning=raw.get("type") == "Warning",
            source=component or "",
        )


@dataclass(frozen=True, slots=True)
class LastProgress:
    """What a worker said last of how far it was; `line` is None where it said nothing."""

    line: ProgressLine | None


@dataclass(frozen=True, slots=True)
class LookupResults:
    """The results so far; None: not looked up.

    Attributes:
        checked: whether CheckRequest was done.
        problem: its result; None, once it was done: the request can be served.
        manifest: the result of ReadManifest.
        claim: the result of ClaimTombstone; OUR_TOMBSTONE where it was written.
        erasure: the result of EraseData.
        input: the result of DeleteInput, or of EraseData where that took the file along, or found
            that it must stay.
        job_warning: the result of ReadJobWarning; blank where there was no warning.
        pod_events: the result of ReadPodEvents, the latest last.
        autoscaler_events: that of ReadAutoscalerEvents, likewise.
        last_progress: the result of ReadLastProgress.
        workload: the result of ReadWorkload; one that is not there where there is none.
    """

    checked: bool = False
    problem: Problem | None = None
    manifest: ManifestLookup | None = None
    claim: ManifestLookup | None = None
    erasure: ErasureLookup | None = None
    input: InputDeletion | None = None
    job_warning: str | None = None
    pod_events: tuple[PodEvent, ...] | None = None
    autoscaler_events: tuple[PodEvent, ...] | None = None
    last_progress: LastProgress | None = None
    workload: Workload | None = None
