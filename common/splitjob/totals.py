"""The totals of an installation: its finished jobs, exact across crashes and clean-up.

One ConfigMap holds the counts and the uids of the last batch. A batch is first added to the counts,
by a write with a resourceVersion precondition, then each of its SplitJobs is marked
`status.counted`; the next batch begins only when all of the last are marked or gone. So a crash at
any point counts nothing twice and loses nothing. The operator writes it; the API adds what is not
counted yet. Run times, for the ETA, are kept beside the counts.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, Self

from splitjob.lifecycle import LifecycleState

__all__ = ["FinishedJob", "Totals", "TotalsError"]

WEIGHT = 0.2  # of the newest run time in the rolling mean


class TotalsError(ValueError):
    """What the ConfigMap holds cannot be read; the message says which part."""


class FinishedJob(Protocol):
    """What of a finished SplitJob is counted."""

    @property
    def uid(self) -> str:
        """Its metadata.uid."""

    @property
    def event(self) -> str:
        """Its final event: completed, failed or canceled."""

    @property
    def model(self) -> str:
        """The model it asked for."""

    @property
    def processing_ms(self) -> int:
        """The worker's run in milliseconds; 0: none is known."""


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
    def parse(cls, data: Mapping[str, str]) -> Self:
        """Return the totals in a ConfigMap's data; what is not in it counts as nothing.

        Raises:
            TotalsError: a part of it is not what the operator writes.
        """
        return cls(
            completed=_count(data, "completed"),
            failed=_count(data, "failed"),
            canceled=_count(data, "canceled"),
            batch=_uids(data),
            run_seconds=_run_seconds(data),
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

    def plus(self, batch: Iterable[FinishedJob], device: str) -> "Totals":
        """Return the totals with another batch added.

        Args:
            batch: finished SplitJobs that no batch held before.
            device: what the workers run on, for the run times.
        """
        counts = {"completed": self.completed, "failed": self.failed, "canceled": self.canceled}
        seconds = dict(self.run_seconds)
        uids = []
        for job in batch:
            uids.append(job.uid)
            counts[job.event] += 1
            if job.event == "completed" and job.processing_ms:
                key, newest = f"{job.model}/{device}", job.processing_ms / 1000
                mean = seconds.get(key, newest)
                seconds[key] = round(mean + WEIGHT * (newest - mean), 3)
        return Totals(**counts, batch=tuple(uids), run_seconds=seconds)

    def with_uncounted(self, uncounted: Mapping[str, LifecycleState]) -> "Totals":
        """Return the counts alone, with the finished jobs that no batch has held yet.

        Args:
            uncounted: how each finished SplitJob ended whose `status.counted` is false, by uid.
                Those of the last batch are among them until the operator has marked them.
        """
        more = Counter(uncounted.values())
        more.subtract(uncounted[uid] for uid in set(self.batch) if uid in uncounted)
        return Totals(
            completed=self.completed + more[LifecycleState.COMPLETED],
            failed=self.failed + more[LifecycleState.FAILED],
            canceled=self.canceled + more[LifecycleState.CANCELED],
        )


def _count(data: Mapping[str, str], name: str) -> int:
    try:
        return int(data.get(name, "0"))
    except ValueError:
        raise TotalsError(f"{name} is not a number") from None


def _uids(data: Mapping[str, str]) -> tuple[str, ...]:
    try:
        return tuple(json.loads(data.get("batch") or "[]"))
    except (ValueError, TypeError):
        raise TotalsError("batch is not a JSON list of uids") from None


def _run_seconds(data: Mapping[str, str]) -> dict[str, float]:
    """Return the run times; none where they cannot be read: an estimate is soon learnt anew."""
    try:
        return {key: float(mean) for key, mean in json.loads(data.get("run_seconds", "{}")).items()}
    except (ValueError, TypeError, AttributeError):
        return {}
