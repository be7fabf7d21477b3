"""The totals of an installation, exact across crashes and clean-up.

One ConfigMap holds the counts and the uids of the last batch. A batch is first added to the counts,
by a write with a resourceVersion precondition, then each of its SplitJobs is marked
`status.counted`; the next batch begins only when all of the last are marked or gone. So a crash at
any point counts nothing twice and loses nothing. Run times, for the ETA, are kept beside them.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from splitjob_operator.core.queue import Entry, Stage

__all__ = ["MAX_BATCH", "Totals", "candidates"]

MAX_BATCH = 100
WEIGHT = 0.2  # of the newest run time in the rolling mean


@dataclass(frozen=True)
class Totals:
    """What the ConfigMap says.

    Attributes:
        completed, failed, canceled: jobs over the life of the installation.
        batch: uids of the SplitJobs last added.
        run_seconds: rolling mean of the workers' run times, by `model/device`.
    """

    completed: int = 0
    failed: int = 0
    canceled: int = 0
    batch: tuple[str, ...] = ()
    run_seconds: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def read(cls, data: Mapping[str, str]) -> Self:
        """Return the totals in a ConfigMap's data."""
        return cls(
            completed=int(data.get("completed", "0")),
            failed=int(data.get("failed", "0")),
            canceled=int(data.get("canceled", "0")),
            batch=tuple(json.loads(data.get("batch", "[]"))),
            run_seconds=json.loads(data.get("run_seconds", "{}")),
        )

    def data(self) -> dict[str, str]:
        """Return them as a ConfigMap's data."""
        return {
            "completed": str(self.completed),
            "failed": str(self.failed),
            "canceled": str(self.canceled),
            "batch": json.dumps(list(self.batch)),
            "run_seconds": json.dumps(self.run_seconds),
        }

    def plus(self, entries: Iterable[Entry], device: str) -> "Totals":
        """Return the totals with another batch added.

        Args:
            entries: finished SplitJobs that no batch held before.
            device: what the workers run on, for the run times.
        """
        counts = {"completed": self.completed, "failed": self.failed, "canceled": self.canceled}
        seconds = dict(self.run_seconds)
        uids = []
        for entry in entries:
            uids.append(entry.uid)
            counts[entry.event] += 1
            if entry.event == "completed" and entry.processing_ms:
                key, newest = f"{entry.model}/{device}", entry.processing_ms / 1000
                mean = seconds.get(key, newest)
                seconds[key] = round(mean + WEIGHT * (newest - mean), 3)
        return Totals(**counts, batch=tuple(uids), run_seconds=seconds)


def candidates(entries: Iterable[Entry]) -> list[Entry]:
    """Return the finished SplitJobs that are not marked as counted."""
    return [e for e in entries if e.stage is Stage.FINISHED and not e.counted and e.event]
