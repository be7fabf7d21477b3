"""The installation's totals: every finished SplitJob counts once, across crashes."""

import random

from hypothesis import given
from hypothesis import strategies as st
from tests.support.operator_samples import (
    NOW,
)

from splitjob.lifecycle import LifecycleState
from splitjob.totals import Totals
from splitjob_operator.core.cached_splitjob import CachedSplitJob
from splitjob_operator.runtime.totals_counter import uncounted_in


def finished(uid: str, event: str, *, counted: bool = False) -> CachedSplitJob:
    return CachedSplitJob(
        name=uid,
        uid=uid,
        resource_version="1",
        created_at=NOW,
        priority=0,
        state=LifecycleState.COMPLETED,
        model="demo",
        event=event,
        counted=counted,
        processing_ms=2000,
    )


class TestTotals:
    def test_a_batch_adds_its_outcomes_and_seconds(self) -> None:
        batch = [finished("a", "completed"), finished("b", "failed")]
        totals = Totals(completed=5).plus(batch, "cpu")
        assert (totals.completed, totals.failed, totals.batch) == (6, 1, ("a", "b"))
        assert totals.run_seconds == {"demo/cpu": 2.0}
        assert Totals.parse(totals.data()) == totals

    @given(st.integers(0, 10**6), st.integers(1, 12))
    def test_exact_across_crashes(self, seed: int, jobs: int) -> None:
        """A crash after any write, and clean-up at any time, counts nothing twice."""
        chance = random.Random(seed)
        there = {str(n): finished(str(n), "completed") for n in range(jobs)}
        data: dict[str, str] = {}
        for _ in range(300):
            totals = Totals.parse(data)
            uncounted = uncounted_in(there.values())
            last = [e for e in uncounted if e.uid in totals.batch]
            for entry in last:
                if chance.random() < 0.4:
                    break  # crash
                there[entry.uid] = finished(entry.uid, "completed", counted=True)
            else:
                fresh = [e for e in uncounted if e.uid not in totals.batch][:3]
                if fresh:
                    data = totals.plus(fresh, "cpu").data()
            for uid, entry in list(there.items()):
                if entry.counted and chance.random() < 0.2:
                    del there[uid]  # its time to live is over
        assert Totals.parse(data).completed == jobs
