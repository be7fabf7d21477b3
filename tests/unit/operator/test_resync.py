"""What a look at the whole namespace takes in, and what it forgets."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, cast

from tests.support.operator_process import InlineThreads
from tests.support.operator_samples import NOW, raw_splitjob, stamp

from splitjob.resource import LABEL_SPLITJOB
from splitjob_kube.preconditions import Unready, UnreadyReason
from splitjob_operator.core.admission_queue import Bounds
from splitjob_operator.runtime.cache import SplitJobCache
from splitjob_operator.runtime.resync import BATCH, Resync

Json = dict[str, Any]


def named(name: str, version: str = "1") -> Json:
    raw = raw_splitjob()
    metadata = {**raw["metadata"], "name": name, "uid": name, "resourceVersion": version}
    return {**raw, "metadata": metadata}


class Listed:
    """A resync over SplitJobs that are listed, and what it has read and taken in.

    Args:
        splitjobs: what there is.
        known: what the watch has brought so far.
    """

    def __init__(self, splitjobs: list[Json], known: list[Json]) -> None:
        self.splitjobs = {raw["metadata"]["name"]: raw for raw in splitjobs}
        self.whole_lists = 0
        self.read: list[str] = []
        self.read_again: list[str] = []
        self.with_jobs: set[str] = set()
        self.taken_in: list[str] = []
        self.deleted: list[tuple[str, str]] = []
        self.queued: list[str] = []
        self.meanwhile: Callable[[], object] = lambda: None
        self.cache = SplitJobCache(Bounds(1), "cpu", lambda: 0.0)
        for raw in known:
            self.cache.put(raw)
        self.reconciled = {"gone": "1"}
        controller = SimpleNamespace(
            threads=InlineThreads(),
            take_in=self._take_in,
            note_at_rest=self._take_in,
            cache=self.cache,
            reconciled=self.reconciled,
            queue=SimpleNamespace(add=self.queued.append),
            read_again=self.read_again.append,
            observer=SimpleNamespace(has_jobs=lambda name: name in self.with_jobs),
            queue_next=lambda: None,
            wake_counter=lambda: None,
        )
        cluster = SimpleNamespace(
            splitjobs=self._all,
            metadata=self._metadata,
            splitjob=self._one,
            delete_pod=lambda name, uid, force: self.deleted.append((name, uid)),
        )
        self.resync = Resync(
            cast("Any", controller),
            cast("Any", cluster),
            tuple,
            cast("Any", None),
            lambda: True,
            lambda: None,
        )

    def list(self, *, anew: bool) -> None:
        asyncio.run(self.resync._splitjobs(anew=anew))

    def _take_in(self, raw: Json) -> None:
        self.taken_in.append(raw["metadata"]["name"])
        self.cache.put(raw)

    def _all(self) -> Iterator[Json]:
        self.whole_lists += 1
        yield from self.splitjobs.values()
        self.meanwhile()

    def _metadata(self, _: str) -> Iterator[Json]:
        return (raw["metadata"] for raw in self.splitjobs.values())

    def _one(self, name: str) -> Json:
        self.read.append(name)
        return self.splitjobs[name]


def test_a_job_that_comes_while_all_are_listed_is_not_forgotten_and_one_that_is_gone_is() -> None:
    """Else it would lose its place in the queue, and the file that it reads."""
    here = Listed([named("stays")], known=[named("gone"), named("stays")])
    here.meanwhile = lambda: here.cache.put(named("comes"))  # the watch brings it
    here.list(anew=True)
    assert {entry.name for entry in here.cache} == {"stays", "comes"}
    assert here.reconciled == {}


def test_of_those_that_are_known_as_they_are_nothing_is_read() -> None:
    here = Listed(
        [named("same"), named("changed", "2"), named("new")], [named("same"), named("changed")]
    )
    here.list(anew=False)
    assert here.whole_lists == 0
    assert here.read == here.taken_in == ["changed", "new"]


def test_one_of_a_name_that_another_one_had_is_read() -> None:
    before = named("one")
    before["metadata"]["uid"] = "another"
    here = Listed([named("one")], [before])
    here.list(anew=False)
    assert here.read == ["one"]


def test_where_much_has_changed_all_are_listed_and_none_is_read_by_itself() -> None:
    here = Listed([named(f"job-{number}") for number in range(BATCH + 1)], [])
    here.list(anew=False)
    assert (here.whole_lists, here.read) == (1, [])
    assert len(here.taken_in) == BATCH + 1


def test_pods_without_a_job_go_where_their_splitjob_has_ended_or_is_gone() -> None:
    """Acceptance 46: but none that has an owner, or was made by hand, or is of one under way."""
    ended = named("ended")
    succeeded = {"type": "Succeeded", "status": "True", "reason": "Completed", "message": ""}
    ended["status"] = {"conditions": [{**succeeded, "lastTransitionTime": stamp(NOW)}]}
    here = Listed([], known=[ended, named("under-way")])
    owner = {"ownerReferences": [{"kind": "Job", "uid": "j", "controller": True}]}
    pods = [
        pod("left", "ended"),
        pod("alone", "gone"),
        pod("of-one-under-way", "under-way"),
        {**pod("owned", "ended"), **owner},
        {**pod("leaving", "ended"), "deletionTimestamp": stamp(NOW)},
        {**pod("by-hand", "ended"), "labels": {LABEL_SPLITJOB: "ended"}},
    ]
    asyncio.run(here.resync._orphaned_pods(pods))
    assert here.deleted == [("left", "uid of left"), ("alone", "uid of alone")]


def pod(name: str, owner: str) -> Json:
    """The metadata of a pod that was a Job's."""
    labels = {LABEL_SPLITJOB: owner, "batch.kubernetes.io/controller-uid": "j"}
    return {"name": name, "uid": f"uid of {name}", "labels": labels}


def test_what_the_watches_bring_meanwhile_need_not_wait_until_all_are_queued() -> None:
    here = Listed([], [named(f"job-{number}") for number in range(2 * BATCH)])
    queued_before: list[int] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: queued_before.append(len(here.queued)))
        await here.resync._enqueue({entry.name: "2" for entry in here.cache})

    asyncio.run(run())
    assert len(here.queued) == 2 * BATCH
    assert queued_before[0] < len(here.queued)


def test_what_has_a_job_is_read_again_though_nothing_has_changed_as_far_as_is_known() -> None:
    here = Listed([], [named("waits"), named("has-a-job")])
    here.with_jobs = {"has-a-job"}
    here.reconciled |= {"waits": "1", "has-a-job": "1"}
    asyncio.run(here.resync._enqueue({"waits": "1", "has-a-job": "1"}))
    assert here.read_again == ["has-a-job"]


def test_while_nothing_may_be_listed_it_looks_as_often_as_it_should() -> None:
    """A watch asked for a listing, which another release in the namespace forbids."""
    here, looks = Listed([], []), 0
    controller = cast("Any", here.resync._controller)
    controller.guard = SimpleNamespace(reset=lambda: None)
    controller.settings = SimpleNamespace(resync_seconds=30)
    here.resync.readiness = cast("Any", SimpleNamespace(report=lambda _: None))

    def forbidden() -> tuple[Unready, ...]:
        nonlocal looks
        looks += 1
        return (Unready(UnreadyReason.OTHER_RELEASE, "Another release serves the namespace."),)

    here.resync._preconditions = forbidden

    async def run() -> None:
        here.resync.list_again()
        with suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                await here.resync.run()

    asyncio.run(run())
    assert looks == 1
