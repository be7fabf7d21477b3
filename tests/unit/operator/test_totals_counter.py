"""The installation's totals: every finished SplitJob counts once, across crashes."""

import asyncio
import random
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.operator_samples import NOW, raw_splitjob, settings, stamp

from splitjob.lifecycle import LifecycleState
from splitjob.totals import Totals
from splitjob_kube.errors import ConflictError, KubernetesError, NotFoundError, UnreachableError
from splitjob_operator.core.admission_queue import Bounds
from splitjob_operator.core.cached_splitjob import CachedSplitJob
from splitjob_operator.runtime.cache import SplitJobCache
from splitjob_operator.runtime.readiness import Readiness
from splitjob_operator.runtime.thread_pool import ThreadPool
from splitjob_operator.runtime.totals_counter import TotalsCounter, uncounted_in


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


def raw_finished(name: str, *, counted: bool = False) -> dict[str, Any]:
    """A completed SplitJob as the API server gives it."""
    raw = raw_splitjob(
        status={
            "phase": "Completed",
            "finishedAt": stamp(NOW),
            "conditions": [
                {
                    "type": "Succeeded",
                    "status": "True",
                    "reason": "Completed",
                    "message": "",
                    "lastTransitionTime": stamp(NOW),
                }
            ],
            "webhook": {"eventId": f"{name}.completed", "event": "completed", "state": "Delivered"},
            **({"counted": True} if counted else {}),
        }
    )
    raw["metadata"] |= {"name": name, "uid": f"uid-{name}"}
    return raw


class Kept:
    """SplitJobs and the totals, with resourceVersions as the API server keeps them."""

    def __init__(self, *names: str) -> None:
        self.objects = {name: raw_finished(name) for name in names}
        self.totals: dict[str, Any] | None = None
        self.failures: list[KubernetesError] = []
        self.written = 0

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.pop(0)

    def configmap(self, name: str) -> dict[str, Any] | None:
        assert name == settings().totals_configmap
        return deepcopy(self.totals)

    def write_configmap(self, configmap: dict[str, Any]) -> dict[str, Any]:
        self._fail()
        now = self.totals["metadata"]["resourceVersion"] if self.totals else None
        if configmap["metadata"].get("resourceVersion") != now:
            raise ConflictError("the object has been modified", 409)
        self.totals = deepcopy(configmap)
        self.totals["metadata"]["resourceVersion"] = str(int(now or 0) + 1)
        self.written += 1
        return self.totals

    def splitjob(self, name: str) -> dict[str, Any]:
        if name not in self.objects:
            raise NotFoundError(f"splitjob {name}: not found", 404)
        return deepcopy(self.objects[name])

    def write_status(self, raw: Any, status: Any) -> dict[str, Any]:
        self._fail()
        kept = self.objects[raw["metadata"]["name"]]
        if raw["metadata"]["resourceVersion"] != kept["metadata"]["resourceVersion"]:
            raise ConflictError("the object has been modified", 409)
        kept["status"] = deepcopy(status)
        version = str(int(kept["metadata"]["resourceVersion"]) + 1)
        kept["metadata"]["resourceVersion"] = version
        return deepcopy(kept)

    def completed(self) -> int:
        return Totals.parse(self.totals["data"]).completed if self.totals else 0

    def marked(self) -> set[str]:
        return {name for name, raw in self.objects.items() if raw["status"].get("counted")}


def count(cluster: Kept, *known: dict[str, Any]) -> None:
    """Count as a fresh operator does whose cache holds these SplitJobs, or all there are."""
    cache = SplitJobCache(Bounds(1), "cpu", lambda: 0.0)
    for raw in known or [deepcopy(raw) for raw in cluster.objects.values()]:
        cache.put(raw)

    async def run() -> None:
        threads = ThreadPool(1, "cluster")
        counter = TotalsCounter(cluster, threads, cache, settings(), Readiness(), cache.put)
        try:
            while await counter.count_batch():
                pass
        finally:
            threads.close()

    asyncio.run(run())


class TestCounter:
    def test_each_finished_splitjob_is_counted_and_marked(self) -> None:
        cluster = Kept("a", "b")
        count(cluster)
        count(cluster)
        assert cluster.completed() == 2
        assert cluster.marked() == {"a", "b"}
        assert cluster.written == 1, "they came as one batch, and nothing was left to write"

    def test_a_crash_between_the_totals_and_the_mark_counts_nothing_twice(self) -> None:
        cluster = Kept("a", "b")

        class CrashError(Exception):
            """The process dies."""

        def die(*_: Any) -> Any:
            raise CrashError

        with pytest.MonkeyPatch.context() as dying:
            dying.setattr(cluster, "write_status", die)
            with pytest.raises(CrashError):
                count(cluster)
        assert (cluster.completed(), cluster.marked()) == (2, set())
        cluster.objects["c"] = raw_finished("c")
        count(cluster)
        assert (cluster.completed(), cluster.marked()) == (3, {"a", "b", "c"})

    def test_one_whose_end_is_not_known_yet_is_marked_where_it_was_counted(self) -> None:
        """Another operator led until now; its last batch is written over by the next one."""
        cluster = Kept("a", "b")
        cluster.totals = {"metadata": {"resourceVersion": "1"}, "data": Totals().data()}
        counted = Totals().plus([finished("uid-a", "completed")], "cpu")
        cluster.totals["data"] = counted.data()
        running = raw_splitjob(status={})
        running["metadata"] |= {"name": "a", "uid": "uid-a", "resourceVersion": "0"}
        count(cluster, running, deepcopy(cluster.objects["b"]))
        count(cluster)
        assert (cluster.completed(), cluster.marked()) == (2, {"a", "b"})

    def test_another_operator_that_was_faster_makes_it_read_anew(self) -> None:
        cluster = Kept("a")
        cluster.failures = [ConflictError("the object has been modified", 409)]
        with pytest.raises(ConflictError):
            count(cluster)
        assert (cluster.completed(), cluster.marked()) == (0, set())
        count(cluster)
        assert (cluster.completed(), cluster.marked()) == (1, {"a"})

    def test_a_mark_that_meets_another_writer_is_set_on_what_it_wrote(self) -> None:
        cluster = Kept("a")
        write = cluster.write_status

        def beaten_once(raw: Any, status: Any) -> dict[str, Any]:
            cluster.write_status = write  # type: ignore[method-assign]
            cluster.objects["a"]["status"]["observedGeneration"] = 9
            cluster.objects["a"]["metadata"]["resourceVersion"] = "8"
            return write(raw, status)

        cluster.write_status = beaten_once  # type: ignore[method-assign]
        count(cluster)
        status = cluster.objects["a"]["status"]
        assert (status["counted"], status["observedGeneration"]) == (True, 9)

    def test_one_that_is_gone_or_counted_since_is_left_out(self) -> None:
        cluster = Kept("a", "b", "c")
        known = [deepcopy(raw) for raw in cluster.objects.values()]
        del cluster.objects["b"]
        cluster.objects["c"] = raw_finished("c", counted=True)
        cluster.objects["c"]["metadata"]["resourceVersion"] = "8"
        count(cluster, *known)
        assert cluster.completed() == 1
        assert cluster.marked() == {"a", "c"}

    def test_where_the_api_server_is_away_nothing_is_counted_twice_afterwards(self) -> None:
        cluster = Kept("a", "b")
        for _ in range(3):
            cluster.failures = [UnreachableError("no answer")]
            with pytest.raises(UnreachableError):
                count(cluster)
        count(cluster)
        assert (cluster.completed(), cluster.marked()) == (2, {"a", "b"})
