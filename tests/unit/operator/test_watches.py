"""The watches bring every change, and go on where the one before has ended."""

import asyncio
import queue
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.support.waiting import eventually

from splitjob_kube.errors import ExpiredError, KubernetesError
from splitjob_operator.runtime import watches
from splitjob_operator.runtime.watches import KINDS, Watches

Json = dict[str, Any]
Script = list[str | Exception]


def change(version: str) -> Json:
    return {"metadata": {"name": "one", "resourceVersion": version}}


class Cluster:
    """An API server with a script for the SplitJobs' watches: what each brings, how it ends."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts: queue.SimpleQueue[Script] = queue.SimpleQueue()
        for script in scripts:
            self.scripts.put(script)
        self.begun: list[tuple[str, str]] = []
        self.latest = 100
        self.over: queue.SimpleQueue[None] = queue.SimpleQueue()

    def latest_version(self, _: str) -> str:
        self.latest += 1
        return str(self.latest)

    def changes(self, kind: str, version: str, _: int) -> Iterator[tuple[str, Json]]:
        self.begun.append((kind, version))
        if kind != "SplitJob" or self.scripts.empty():
            self.over.get()  # open, and nothing happens, until the test is over
            return
        for step in self.scripts.get():
            if isinstance(step, Exception):
                raise step
            yield "MODIFIED", change(step)

    @property
    def versions(self) -> list[str]:
        """From which versions SplitJobs were watched."""
        return [version for kind, version in list(self.begun) if kind == "SplitJob"]


class Watching:
    """What the watches of a cluster brought."""

    def __init__(self, cluster: Cluster, defective: str = "") -> None:
        self.cluster = cluster
        self.defective = defective
        self.brought: list[str] = []
        self.as_far_as: dict[str, str] = {}
        self.listed = 0
        self.counted: defaultdict[tuple[str, bool], int] = defaultdict(int)

    def until(self, condition: Callable[[], bool]) -> None:
        """Watch until something is so."""

        async def run() -> None:
            made = Watches(self.cluster, self._deal, self._list, self._count)
            made.start()
            try:
                await asyncio.to_thread(eventually, condition, 10, 0.005)
            finally:
                made.stop()
                for _ in KINDS:
                    self.cluster.over.put(None)

        asyncio.run(run())

    def _deal(self, kind: str, event: str, raw: Json) -> None:
        version = raw["metadata"]["resourceVersion"]
        self.as_far_as[kind] = version
        if event == "BOOKMARK":
            return
        if version == self.defective:
            raise ValueError("a defect")
        self.brought.append(version)

    def _list(self) -> None:
        self.listed += 1

    def _count(self, kind: str, granted: bool) -> None:
        self.counted[kind, granted] += 1


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watches, "FIRST_PAUSE_SECONDS", 0.001)


def test_a_watch_goes_on_from_the_last_change_of_the_one_before() -> None:
    cluster = Cluster(["201", "202"], ["203"])
    watching = Watching(cluster)
    watching.until(lambda: len(cluster.versions) == 3)
    assert watching.brought == ["201", "202", "203"]
    assert cluster.versions[1:] == ["202", "203"]
    assert watching.listed == len(KINDS), "at their begin, and not again"


def test_a_connection_that_breaks_costs_no_change() -> None:
    cluster = Cluster(["201", KubernetesError("cut", 0)], [KubernetesError("refused", 0)], ["202"])
    watching = Watching(cluster)
    watching.until(lambda: len(cluster.versions) == 4)
    assert watching.brought == ["201", "202"]
    assert cluster.versions[1:] == ["201", "201", "202"]
    assert watching.listed == len(KINDS)
    assert watching.counted["SplitJob", False] == 2


def test_where_the_changes_since_are_no_longer_known_everything_is_listed() -> None:
    """Acceptance 53."""
    cluster = Cluster(["201", ExpiredError("410", 410)])
    watching = Watching(cluster)
    watching.until(lambda: len(cluster.versions) == 2 and watching.listed > len(KINDS))
    assert cluster.versions[1] not in {"201", cluster.versions[0]}


def test_a_watch_that_begins_is_as_far_as_the_cluster_then_is() -> None:
    """Acceptance 53: else what was listed before it begins would seem to be missed by it."""
    watching = Watching(Cluster())
    watching.until(lambda: len(watching.cluster.begun) == len(KINDS))
    assert watching.as_far_as == dict(watching.cluster.begun)


def test_a_change_that_cannot_be_dealt_with_keeps_no_other_from_it() -> None:
    watching = Watching(Cluster(["201", "202", "203"]), defective="202")
    watching.until(lambda: len(watching.brought) == 2)
    assert watching.brought == ["201", "203"]


def test_thousands_at_once_are_all_dealt_with_in_their_order() -> None:
    versions = [str(number) for number in range(1000, 6000)]
    watching = Watching(Cluster([*versions]))
    watching.until(lambda: len(watching.brought) == len(versions))
    assert watching.brought == versions
