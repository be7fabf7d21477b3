"""SplitJobs as the API server gives them, and a cache of them, for tests of the API's parts."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import patch

from splitjob_api import cached_job
from splitjob_api.job_cache import JobCache
from splitjob_api.job_response import answer_json
from splitjob_api.kubernetes import ClusterUnavailableError, SplitJobObject
from splitjob_api.queue_stats import QueueStats

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
STATES = {
    "queued": [],
    "running": [("Started", "True", "Running")],
    "completed": [("Succeeded", "True", "Completed")],
    "failed": [("Succeeded", "False", "SourceNotFound")],
    "canceled": [("Succeeded", "False", "Canceled")],
}


def splitjob(
    name: str, version: int, *, created: int = 0, state: str = "queued", **given: Any
) -> dict[str, Any]:
    """Return a SplitJob.

    Args:
        name: its name.
        version: its resourceVersion.
        created: seconds since BEGIN.
        state: as callers are told it.
        given: fields of its request, and `percent` of its progress.
    """
    moment = (BEGIN + timedelta(seconds=created)).strftime("%Y-%m-%dT%H:%M:%SZ")
    percent = given.pop("percent", None)
    conditions = [
        {"type": kind, "status": value, "reason": reason, "lastTransitionTime": moment}
        for kind, value, reason in STATES[state]
    ]
    status: dict[str, Any] = {"conditions": conditions}
    if percent is not None:
        status["progress"] = {"stage": "separate", "percent": percent}
    return {
        "metadata": {
            "name": name,
            "uid": f"uid-{name}",
            "resourceVersion": str(version),
            "creationTimestamp": moment,
            "managedFields": [{"manager": "somebody"}],
        },
        "spec": {"request": {"versionId": "song-1", "model": "demo", **given}},
        "status": status,
    }


@contextmanager
def answers_made() -> Iterator[list[int]]:
    """Yield in which threads answers are made, one entry for each."""
    makers: list[int] = []

    def noted(splitjob: SplitJobObject) -> bytes:
        makers.append(threading.get_ident())
        return answer_json(splitjob)

    with patch.object(cached_job, "answer_json", noted):
        yield makers


class World:
    """A cache of jobs, the clocks it goes by, and the API server behind it.

    Attributes:
        jobs: the cache.
        stats: counted by it.
        behind: what the API server has, by name; None: it is away.
        asked: the names it was asked for.
        now: both clocks, in seconds.
    """

    def __init__(self) -> None:
        self.now = 1000.0
        self.behind: dict[str, dict[str, Any]] | None = {}
        self.asked: list[str] = []
        self.stats = QueueStats()
        self.jobs = JobCache(self.stats, self._read, lambda: self.now, lambda: self.now)

    def list(self, version: int, *splitjobs: dict[str, Any]) -> None:
        """Let the watch begin with a full list."""
        listing = self.jobs.listing()
        listing.add(splitjobs)
        listing.complete(str(version))

    def _read(self, name: str) -> dict[str, Any] | None:
        self.asked.append(name)
        if self.behind is None:
            raise ClusterUnavailableError("cannot be reached (ReadTimeoutError)")
        return self.behind.get(name)
