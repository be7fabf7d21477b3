"""The controller between the queue and `reconcile`: nobody keeps the others from starting."""

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from types import SimpleNamespace
from typing import Any, cast

from tests.support.operator_samples import raw_splitjob, settings, stamp

from splitjob import workload
from splitjob.allowlist import Allowlist
from splitjob.models import load_registry
from splitjob.request_policy import RequestPolicy
from splitjob.resource import KIND, LABEL_SPLITJOB
from splitjob_kube.errors import ConflictError, KubernetesError
from splitjob_operator.core.admission_queue import Bounds
from splitjob_operator.core.lookups import ManifestLookup, ManifestState
from splitjob_operator.core.ports import KubernetesPort, ManifestStorePort
from splitjob_operator.runtime.cache import SplitJobCache
from splitjob_operator.runtime.controller import NAMED_WITHIN, Controller
from splitjob_operator.runtime.executor import Executor
from splitjob_operator.runtime.observer import Observer
from splitjob_operator.runtime.readiness import Readiness
from splitjob_operator.runtime.silent_watch import SilentWatchGuard
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
        self.read: list[str] = []

    def splitjob(self, name: str) -> Json:
        self.read.append(name)
        return self.splitjobs[name]

    def write_status(self, seen: Json, status: Json) -> Json:
        name = seen["metadata"]["name"]
        if name in self.broken:
            raise self.broken[name]
        if seen["metadata"] != self.splitjobs[name]["metadata"]:
            raise ConflictError("it has changed", 409)
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
    def __init__(self) -> None:
        self.lost: dict[str, datetime] = {}

    async def recheck(self, _: set[str]) -> dict[str, datetime]:
        return {}


class Site:
    """A controller on a fake cluster, with one place for a worker."""

    def __init__(self) -> None:
        self.cluster, self.bucket = FakeCluster(), FakeBucket()
        options = settings(max_active_jobs=1, retry_delay_seconds=600)
        cluster = cast("KubernetesPort", self.cluster)
        bucket = cast("ManifestStorePort", self.bucket)
        cache = SplitJobCache(Bounds(1), "cpu", partial(next, count()))
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
            guard=SilentWatchGuard(60, time.monotonic),
            readiness=Readiness(),
        )

    def add(self, name: str, age: int, status: Json | None = None, **request: Any) -> None:
        raw = raw_splitjob(status=status, **request)
        created_at = stamp(datetime.now(UTC) - timedelta(seconds=age))
        raw["metadata"] |= {"name": name, "uid": name, "creationTimestamp": created_at}
        self.cluster.splitjobs[name] = raw

    def bring(self, raw: Json, kind: str = "SplitJob", event: str = "MODIFIED") -> bool:
        """Have a watch bring a change; return whether it is dealt with."""
        return self.controller.on_change(kind, event, raw)

    def work(self) -> list[str]:
        """Do what there is to do, in the order of the news; return who was started."""

        for raw in list(self.cluster.splitjobs.values()):
            self.bring(raw)
        return self.drain()

    def drain(self) -> list[str]:
        """Do what waits to be done; return who was started."""

        async def run() -> None:
            c = self.controller
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


def test_one_that_starts_is_not_read_again() -> None:
    site = Site()
    site.add("one", 1)
    assert site.work() == ["one"]
    assert site.cluster.read == []


def test_one_that_has_changed_since_the_watch_brought_it_is_read_and_nothing_started_twice() -> (
    None
):
    site = Site()
    site.add("one", 1)
    site.bring(site.cluster.splitjobs["one"])
    changed = site.cluster.splitjobs["one"]
    metadata = {**changed["metadata"], "resourceVersion": "99"}
    site.cluster.splitjobs["one"] = {
        **changed,
        "metadata": metadata,
        "spec": {**changed["spec"], "suspend": True},
    }
    assert site.drain() == []
    assert site.cluster.read == ["one"]
    assert site.cluster.splitjobs["one"]["status"]["queue"]["reason"] == "Suspended"


def test_what_ends_a_job_is_decided_on_what_is_read_then() -> None:
    site = Site()
    site.add("one", 1)
    raw = site.cluster.splitjobs["one"]
    site.bring({**raw, "spec": {**raw["spec"], "canceled": True}})
    assert site.drain() == ["one"], "it is not canceled, as far as the API server knows"
    assert site.cluster.read == ["one"]


def test_what_was_written_here_is_not_dealt_with_when_the_watch_brings_it() -> None:
    site = Site()
    site.add("one", 1)
    site.work()
    written = site.cluster.splitjobs["one"]
    assert not site.bring(written)
    assert site.controller.guard.silent() is None
    assert site.bring(written, event="DELETED")
    assert site.controller.cache.get("one") is None


def at_a_write(site: Site, meanwhile: Callable[[Json], object]) -> None:
    """Have something happen between a write of a status and its answer, given what was written."""
    write = site.cluster.write_status

    def write_status(seen: Json, status: Json) -> Json:
        written = write(seen, status)
        meanwhile(written)
        return written

    site.cluster.write_status = write_status  # type: ignore[method-assign]


def test_what_was_written_here_is_not_looked_at_where_the_watch_brings_it_before_the_answer() -> (
    None
):
    site, queued = Site(), list[int]()
    site.add("one", 1)

    def echo(written: Json) -> None:
        site.bring(written)
        queued.append(len(site.controller.queue))

    at_a_write(site, echo)
    assert site.work() == ["one"]
    assert queued == [0]
    assert (len(site.controller.queue), site.cluster.read, site.controller.held) == (0, [], {})


def test_what_others_write_before_the_answer_is_looked_at_after_it() -> None:
    site = Site()
    site.add("one", 1)

    def give_priority(written: Json) -> None:
        if "priority" in written["spec"]:
            return
        site.cluster.version += 1
        metadata = {**written["metadata"], "resourceVersion": str(site.cluster.version)}
        spec = {**written["spec"], "priority": 5}
        site.cluster.splitjobs["one"] = {**written, "metadata": metadata, "spec": spec}
        site.bring(written)
        site.bring(site.cluster.splitjobs["one"])

    at_a_write(site, give_priority)
    site.work()
    latest = site.cluster.splitjobs["one"]
    assert latest["spec"]["priority"] == 5
    assert site.controller.reconciled["one"] == latest["metadata"]["resourceVersion"]


def test_one_that_is_deleted_while_it_is_written_stays_forgotten() -> None:
    site = Site()
    site.add("one", 1)
    at_a_write(site, lambda raw: site.bring(raw, event="DELETED"))
    site.work()
    assert site.controller.cache.get("one") is None
    assert (site.controller.reconciled, site.controller.held) == ({}, {})


def test_what_an_outdated_change_brings_is_not_looked_at() -> None:
    site = Site()
    site.add("one", 1)
    first = site.cluster.splitjobs["one"]
    site.work()
    site.bring(first)
    assert len(site.controller.queue) == 0


def pod_of(splitjob: str, **status: Any) -> Json:
    metadata = {"name": f"{splitjob}-1-x", "uid": f"pod-{splitjob}", "resourceVersion": "7"}
    return {
        "metadata": {**metadata, "labels": {LABEL_SPLITJOB: splitjob}},
        "status": {"phase": "Pending", **status},
    }


def job_of(splitjob: str) -> Json:
    owner = {"kind": KIND, "uid": splitjob, "controller": True}
    metadata = {"name": f"{splitjob}-1", "uid": f"job-{splitjob}", "resourceVersion": "6"}
    labels = {LABEL_SPLITJOB: splitjob}
    return {"metadata": {**metadata, "labels": labels, "ownerReferences": [owner]}, "status": {}}


def pod_of_job(splitjob: str, **state: Json) -> Json:
    container = {"name": workload.CONTAINER, "state": state}
    pod = pod_of(splitjob, containerStatuses=[container])
    owner = {"kind": "Job", "uid": f"job-{splitjob}", "controller": True}
    pod["metadata"]["ownerReferences"] = [owner]
    return pod


def started() -> Site:
    """One that has started, whose Job and pod were seen."""
    site = Site()
    site.add("one", 1)
    site.work()
    site.bring(job_of("one"), "Job", "ADDED")
    site.bring(pod_of_job("one"), "Pod", "ADDED")
    return site


def test_which_job_and_pod_an_attempt_has_is_written_with_what_is_told_next() -> None:
    """Most of them run, or are found no room for, within seconds."""
    site = started()
    before = site.cluster.version
    site.controller.queue.add("one")
    site.drain()
    assert site.cluster.version == before
    pod = pod_of_job("one", running={"startedAt": stamp(datetime.now(UTC))})
    pod["metadata"]["resourceVersion"] = "8"
    site.bring(pod, "Pod")
    site.drain()
    assert site.cluster.version == before + 1
    status = site.cluster.splitjobs["one"]["status"]
    assert status["phase"] == "Running"
    assert status["attempts"][0]["jobUid"] == "job-one"
    assert status["attempts"][0]["podName"] == "one-1-x"
    assert site.cluster.read == []


def test_which_job_and_pod_an_attempt_has_is_written_within_seconds() -> None:
    """A Job that is deleted by hand is missed by its uid."""
    site = started()
    site.controller.clock = lambda: datetime.now(UTC) + NAMED_WITHIN
    site.controller.queue.add("one")
    site.drain()
    assert site.cluster.splitjobs["one"]["status"]["attempts"][0]["jobUid"] == "job-one"


def test_a_pod_is_dealt_with_again_where_something_has_changed_that_is_looked_at() -> None:
    site = Site()
    assert site.bring(pod_of("one"), "Pod", "ADDED")
    assert not site.bring(pod_of("one", qosClass="Burstable"), "Pod")
    assert site.bring(pod_of("one", phase="Running"), "Pod")
    assert site.bring(pod_of("one", phase="Running"), "Pod", "DELETED")
    assert site.bring(pod_of("one", phase="Running"), "Pod"), "another one would be news"


def test_a_pod_that_comes_is_looked_at_once_its_node_is_found_one_that_ended_at_once() -> None:
    site = Site()
    site.bring(pod_of("one"), "Pod", "ADDED")
    assert len(site.controller.queue) == 0
    site.bring(pod_of("one", phase="Succeeded"), "Pod")
    assert len(site.controller.queue) == 1


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


def test_one_that_was_counted_is_not_looked_at_before_its_time_to_live_is_over() -> None:
    site, now = Site(), datetime.now(UTC)
    hook = {"eventId": "e", "event": "completed", "state": "Delivered", "deliveredAt": stamp(now)}
    condition = {"status": "True", "reason": "Completed", "lastTransitionTime": stamp(now)}
    conditions = [{"type": "Succeeded", **condition}]
    site.add("one", 1, {"finishedAt": stamp(now), "conditions": conditions, "webhook": hook})
    site.work()
    before = site.cluster.splitjobs["one"]
    counted = site.cluster.write_status(before, {**before["status"], "counted": True})
    site.controller.note_at_rest(counted)
    assert not site.bring(counted)
    assert len(site.controller.queue) == 0
    ttl = timedelta(seconds=site.controller.settings.ttl_seconds_after_finished)
    assert site.controller.queue._due == {"one": now.replace(microsecond=0) + ttl}


def test_one_that_stands_by_remembers_what_there_is_and_looks_at_nothing() -> None:
    """Acceptance 71: what it knows is what it takes over with; none of it is looked at before."""
    site = Site()
    site.add("first", 20)
    site.add("second", 10)
    site.controller.stand_by()
    assert site.work() == []
    assert site.controller.news == {}
    site.controller.take_over()

    async def queued() -> str:
        return await site.controller.queue.take()

    assert len(site.controller.queue) == 1, "the one place goes to who is next"
    assert asyncio.run(queued()) == "first"


def test_what_was_taken_while_work_was_forbidden_is_done_when_it_leads_again() -> None:
    """Another release served the namespace, and the Lease was lost meanwhile."""
    site = Site()
    site.add("one", 10)
    controller = site.controller

    async def run() -> None:
        controller.take_in(site.cluster.splitjobs["one"])
        worker = asyncio.create_task(controller.work())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        controller.stand_by()
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
        controller.readiness.may_work.set()
        controller.queue.open()
        controller.take_in(site.cluster.splitjobs["one"])
        async with asyncio.timeout(1):
            assert await controller.queue.take() == "one"

    asyncio.run(run())
