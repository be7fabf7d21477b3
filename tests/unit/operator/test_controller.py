"""The controller between the queue and `reconcile`: nobody keeps the others from starting."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from types import SimpleNamespace
from typing import Any, cast

from tests.support.operator_samples import raw_splitjob, settings, stamp

from splitjob.allowlist import Allowlist
from splitjob.models import load_registry
from splitjob.request_policy import RequestPolicy
from splitjob_kube.errors import KubernetesError
from splitjob_operator.core.lookups import ManifestLookup, ManifestState
from splitjob_operator.core.ports import KubernetesPort, ManifestStorePort
from splitjob_operator.runtime.cache import SplitJobCache
from splitjob_operator.runtime.controller import Controller
from splitjob_operator.runtime.executor import Executor
from splitjob_operator.runtime.observer import Observer
from splitjob_operator.runtime.readiness import Readiness
from splitjob_operator.runtime.work_queue import WorkQueue

Json = dict[str, Any]
UPLOADS = {
    name: {"url": f"https://put.example.com/{name}"}
    for name in ("drums", "bass", "other", "vocals", "manifest")
}
POLICY = RequestPolicy(
    Allowlist.parse("https://hooks.example.com", local=False), load_registry(None), local=False
)


class FakeCluster:
    """SplitJobs and Jobs in dictionaries; no pod ever comes."""

    def __init__(self) -> None:
        self.splitjobs: dict[str, Json] = {}
        self.started: list[str] = []
        self.broken: dict[str, Exception] = {}
        self.version = 100

    def splitjob(self, name: str) -> Json:
        return self.splitjobs[name]

    def write_status(self, seen: Json, status: Json) -> Json:
        name = seen["metadata"]["name"]
        if name in self.broken:
            raise self.broken[name]
        self.version += 1
        metadata = {**seen["metadata"], "resourceVersion": str(self.version)}
        self.splitjobs[name] = {**seen, "metadata": metadata, "status": status}
        return self.splitjobs[name]

    def create_job(self, manifest: Json) -> None:
        self.started.append(manifest["metadata"]["name"].rsplit("-", 1)[0])

    def create_event(self, event: Json) -> None:
        pass

    def jobs(self, _: str) -> Iterator[Json]:
        return iter(())

    pods = jobs


class FakeBucket:
    """An empty bucket, or one that is away."""

    away = False

    def read(self, *_: object) -> ManifestLookup:
        state = ManifestState.UNREACHABLE if self.away else ManifestState.ABSENT
        return ManifestLookup(state, message="cannot read s3://stems/x" if self.away else "")


class FakeThreads:
    async def run(self, call: Any, *arguments: Any) -> Any:
        return call(*arguments)


class FakeNodeMonitor:
    async def recheck(self, _: set[str]) -> dict[str, datetime]:
        return {}


class Site:
    """A controller on a fake cluster, with one place for a worker."""

    def __init__(self) -> None:
        self.cluster, self.bucket = FakeCluster(), FakeBucket()
        options = settings(max_active_jobs=1, retry_delay_seconds=600)
        cluster = cast("KubernetesPort", self.cluster)
        bucket = cast("ManifestStorePort", self.bucket)
        cache = SplitJobCache(1, "cpu", partial(next, count()))
        delivery = SimpleNamespace(report=lambda _: None, forget=lambda *_: None)
        self.controller = Controller(
            settings=options,
            kubernetes=cluster,
            executor=Executor(cluster, bucket, None, POLICY, options, lambda _: None),
            cache=cache,
            queue=WorkQueue(),
            observer=Observer(
                kubernetes=cluster,
                cache=cache,
                progress=cast("Any", SimpleNamespace(line_of=lambda _: None)),
                delivery=cast("Any", delivery),
                threads=cast("Any", FakeThreads()),
                node_monitor=cast("Any", FakeNodeMonitor()),
                keeps_finished_jobs=False,
            ),
            counter=cast("Any", SimpleNamespace(wake=lambda: None)),
            delivery=cast("Any", delivery),
            threads=cast("Any", FakeThreads()),
            guard=cast("Any", SimpleNamespace(heard=lambda *_: None)),
            readiness=Readiness(),
        )

    def add(self, name: str, age: int, status: Json | None = None, **request: Any) -> None:
        raw = raw_splitjob(status=status, **request)
        created_at = stamp(datetime.now(UTC) - timedelta(seconds=age))
        raw["metadata"] |= {"name": name, "uid": name, "creationTimestamp": created_at}
        self.cluster.splitjobs[name] = raw

    def work(self) -> list[str]:
        """Do what there is to do, in the order of the news; return who was started."""

        async def run() -> None:
            c = self.controller
            for raw in list(self.cluster.splitjobs.values()):
                c.on_splitjob_event(raw, deleted=False)
            for _ in range(30):
                if not len(c.queue):
                    return
                name = await c.queue.take()
                await c._process_guarded(name)
                c.queue.done(name)
            raise AssertionError("it looks again and again")

        asyncio.run(run())
        return self.cluster.started

    def position(self, name: str) -> int | None:
        queue = self.cluster.splitjobs[name].get("status", {}).get("queue", {})
        return cast("int | None", queue.get("position"))


def retrying() -> Json:
    """The status of a SplitJob whose first attempt has just failed."""
    now = stamp(datetime.now(UTC))
    attempt = {"number": 1, "jobName": "old-1", "reason": "SourceTimeout", "finishedAt": now}
    condition = {"status": "Unknown", "reason": "NotFinished", "lastTransitionTime": now}
    return {
        "attempts": [attempt],
        "conditions": [{"type": "Succeeded", **condition}],
        "queue": {"reason": "Retrying", "since": now},
    }


def test_a_retry_that_waits_lets_the_next_one_start() -> None:
    site = Site()
    site.add("young", 1)
    site.add("old", 9, retrying())
    site.add("youngest", 0)
    assert site.work() == ["young"]
    assert site.position("old") is None
    assert site.position("youngest") == 2, "behind the one that starts"


def test_a_storage_that_is_away_lets_those_start_that_need_none() -> None:
    site = Site()
    site.bucket.away = True
    site.add("old", 9)
    site.add("young", 2, uploads=UPLOADS)
    site.add("youngest", 1, uploads=UPLOADS)
    assert site.work() == ["young"]


def test_one_that_cannot_be_worked_on_lets_the_others_start() -> None:
    site = Site()
    site.cluster.broken["old"] = KubernetesError("cannot write the status: 422 too long", 422)
    site.cluster.broken["older"] = TypeError("a defect")
    site.add("young", 1)
    site.add("old", 8)
    site.add("older", 9)
    assert site.work() == ["young"]
    assert {e.name for e in site.controller.cache if e.active} == {"young"}


def test_while_the_api_server_is_away_nobody_is_passed() -> None:
    """Else each that fails would have the next one looked at, through the whole queue."""
    site = Site()
    for number in range(9):
        site.add(f"job-{number}", number)
        site.cluster.broken[f"job-{number}"] = KubernetesError("cannot write: refused", 0)
    assert site.work() == []
    assert all(entry.blocked is None for entry in site.controller.cache)


def test_at_a_start_those_are_not_looked_at_that_nothing_is_to_be_done_for() -> None:
    """Else a start would take minutes where thousands wait."""
    before = Site()
    for number in range(4):
        before.add(f"job-{number}", 9 - number)
    before.work()
    after = Site()
    known = before.cluster.splitjobs.values()
    waiting = [raw for raw in known if not raw["status"]["attempts"]]
    running = [raw for raw in known if raw["status"]["attempts"]]
    new = raw_splitjob()
    for raw in (*running, *waiting, new):
        after.controller.remember(raw)
        after.controller.note_at_rest(raw)
    assert set(after.controller.reconciled) == {raw["metadata"]["name"] for raw in waiting}
    assert len(waiting) == 3


def test_at_a_start_those_are_looked_at_whose_turn_it_is() -> None:
    before = Site()
    for number in range(2):
        before.add(f"job-{number}", 9 - number)
    before.work()
    after = Site()
    after.controller.remember(before.cluster.splitjobs["job-1"])  # the other one is gone
    after.controller.note_at_rest(before.cluster.splitjobs["job-1"])
    assert after.controller.reconciled == {}
