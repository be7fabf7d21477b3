"""What `reconcile` may ask for beyond the cluster's objects, and the answers it gets.

A pure function cannot look things up: it returns a plan that asks, the executor looks, and
`reconcile` is called again with the answer.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from splitjob.errors import ErrorCode
from splitjob.result import Manifest

__all__ = [
    "CheckRequest",
    "ClaimTombstone",
    "Lookup",
    "LookupResults",
    "ManifestLookup",
    "ManifestState",
    "Problem",
    "ReadJobWarning",
    "ReadManifest",
]


@dataclass(frozen=True, slots=True)
class CheckRequest:
    """Would the API have taken this request? Reads its Secret."""


@dataclass(frozen=True, slots=True)
class ReadManifest:
    """Is there a manifest, or a tombstone, in the bucket?"""


@dataclass(frozen=True, slots=True)
class ClaimTombstone:
    """Write a tombstone unless something stands in its place: the bucket arbitrates.

    Attributes:
        status: how the job ends.
        code: the error code.
    """

    status: Literal["failed", "canceled"]
    code: ErrorCode


@dataclass(frozen=True, slots=True)
class ReadJobWarning:
    """Why has the Job no pod? The last warning event about it."""

    job_name: str


Lookup = CheckRequest | ReadManifest | ClaimTombstone | ReadJobWarning


class ManifestState(StrEnum):
    """What stands in the manifest's place."""

    ABSENT = "absent"
    COMPLETED = "completed"
    OUR_TOMBSTONE = "our tombstone"
    FOREIGN = "foreign"  # of another job or request of the same name, or unreadable
    UNREACHABLE = "unreachable"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class ManifestLookup:
    """What a look at the manifest, or a claim of its place, gave."""

    state: ManifestState
    manifest: Manifest | None = None
    message: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a request cannot be served.

    Attributes:
        missing: the Secret that is not there, which may yet come; blank where that is not it.
    """

    code: ErrorCode
    message: str
    missing: str = ""


@dataclass(frozen=True, slots=True)
class LookupResults:
    """The answers so far; None: not asked.

    Attributes:
        problem: whether the request can be served; `checked` tells "no problem" from "not asked".
        manifest: the answer to ReadManifest.
        claim: the answer to ClaimTombstone; OUR_TOMBSTONE where it stands now.
        job_warning: the answer to ReadJobWarning; blank where there was none.
    """

    checked: bool = False
    problem: Problem | None = None
    manifest: ManifestLookup | None = None
    claim: ManifestLookup | None = None
    job_warning: str | None = None
