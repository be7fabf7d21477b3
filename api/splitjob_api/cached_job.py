"""What the cache holds of a SplitJob, and what it tells of several: records that never change.

What is held of a job is small: what lists are filtered and sorted by, and its JSON compressed, of
which the answer is made when somebody first asks for it.
"""

import json
import sys
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from splitjob.lifecycle import lifecycle_of
from splitjob_api.job_response import JobState, answer_json, job_state
from splitjob_api.kubernetes import SplitJobObject

_FAST = 1  # zlib's level: a third larger than the best, at a tenth of the time

Position = tuple[int, str]  # of a job in the list: when it was created, and its name


class CachedJob:
    """One SplitJob; it is never changed, a change makes another one.

    Args:
        splitjob: the API server's JSON.

    Attributes:
        name: the jobId.
        version: its resourceVersion.
        created: Unix time, whole seconds.
        version_id, model, correlation_id: of its request.
        state: as callers are told it.
    """

    __slots__ = (
        *("_answer", "_packed", "correlation_id", "created", "model", "name", "state"),
        *("version", "version_id"),
    )

    def __init__(self, splitjob: SplitJobObject) -> None:
        metadata = splitjob["metadata"]
        request = (splitjob.get("spec") or {}).get("request") or {}
        self.name = str(metadata["name"])
        self.version = int(metadata["resourceVersion"])
        self.created = _unix(metadata["creationTimestamp"])
        self.version_id = str(request.get("versionId", ""))
        self.correlation_id: str | None = request.get("correlationId")
        self.model = sys.intern(str(request.get("model", "")))
        self.state = job_state(lifecycle_of(splitjob))
        self._packed = _packed(splitjob)
        self._answer: bytes | None = None

    @property
    def position(self) -> Position:
        """Where it stands in the list, the oldest first."""
        return self.created, self.name

    def splitjob(self) -> SplitJobObject:
        """Return the API server's JSON, without its managedFields."""
        found: SplitJobObject = json.loads(zlib.decompress(self._packed))
        return found

    @property
    def answered(self) -> bool:
        """Whether the answer has been made: that takes more than a millisecond."""
        return self._answer is not None

    def answer(self) -> bytes:
        """Return what callers are told, as JSON without `observedAt`."""
        if self._answer is None:
            self._answer = zlib.compress(answer_json(self.splitjob()), _FAST)
        return zlib.decompress(self._answer)


@dataclass(frozen=True)
class JobFilter:
    """Which jobs a list, or a stream of events, takes in; None, and no state at all: any.

    Attributes:
        states: as callers are told them.
        version_id, model: of the request.
        since, until: of the creation, Unix time; from the first on, and before the second.
    """

    states: frozenset[JobState] = frozenset()
    version_id: str | None = None
    model: str | None = None
    since: float | None = None
    until: float | None = None

    def takes(self, job: "CachedJob | Deletion") -> bool:
        """Return whether a job is among them now."""
        return (not self.states or job.state in self.states) and self.may_take(job)

    def may_take(self, job: "CachedJob | Deletion") -> bool:
        """Return whether a job is among them in one of its states: nothing else of it changes."""
        return (
            (self.version_id is None or job.version_id == self.version_id)
            and (self.model is None or job.model == self.model)
            and (self.since is None or job.created >= self.since)
            and (self.until is None or job.created < self.until)
        )


class Deletion(NamedTuple):
    """A SplitJob that is gone.

    Attributes:
        name: the jobId.
        version: the resourceVersion of its deletion.
        created, version_id, model, state: as it was.
    """

    name: str
    version: int
    created: int
    version_id: str
    model: str
    state: JobState

    @classmethod
    def of(cls, job: CachedJob, version: int) -> "Deletion":
        """Return the deletion of a job."""
        return cls(job.name, version, job.created, job.version_id, job.model, job.state)


class Change(NamedTuple):
    """What a watch brought.

    Attributes:
        before: the job as it was, None where it is new.
        after: as it is now, or that it is gone.
        observed_at: Unix time.
    """

    before: CachedJob | None
    after: CachedJob | Deletion
    observed_at: float


class Changes(NamedTuple):
    """What has changed since a resourceVersion.

    Attributes:
        jobs: each as it is now, and those that are gone; by their versions.
        version: up to which nothing is missing.
        complete: whether all deletions are among them.
        observed_at: Unix time.
    """

    jobs: list[CachedJob | Deletion]
    version: int
    complete: bool
    observed_at: float


class JobPage(NamedTuple):
    """A part of the list.

    Attributes:
        jobs: the newest first.
        more: whether others follow.
        observed_at: Unix time.
    """

    jobs: list[CachedJob]
    more: bool
    observed_at: float


class ObservedJob(NamedTuple):
    """One job as it was found.

    Attributes:
        job: the job.
        observed_at: when it was so, Unix time.
    """

    job: CachedJob
    observed_at: float


def _packed(splitjob: SplitJobObject) -> bytes:
    metadata: dict[str, Any] = {**splitjob["metadata"]}
    metadata.pop("managedFields", None)
    slim = json.dumps({**splitjob, "metadata": metadata}, separators=(",", ":"))
    return zlib.compress(slim.encode(), _FAST)


def _unix(timestamp: str) -> int:
    return int(datetime.fromisoformat(timestamp).astimezone(UTC).timestamp())
