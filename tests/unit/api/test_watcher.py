"""The watch of SplitJobs: it lists, follows, and begins anew after whatever interrupts it."""

import logging
import threading
import time
from collections.abc import Iterator
from typing import Any, cast

import pytest
from tests.support.waiting import eventually, patience

from splitjob_api import job_cache, watcher
from splitjob_api.cached_job import JobFilter
from splitjob_api.job_cache import JobCache
from splitjob_api.kubernetes import Cluster, ClusterUnavailableError
from splitjob_api.queue_stats import QueueStats
from splitjob_api.watcher import Watcher
from splitjob_kube.client import Page, WatchEvent
from splitjob_kube.errors import ExpiredError


def splitjob(uid: str, version: str) -> dict[str, Any]:
    return {
        "metadata": {
            "uid": uid,
            "name": uid,
            "resourceVersion": version,
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {},
    }


class ScriptedCluster:
    """Gives what a test has put in; a watch ends where nothing more is said.

    Attributes:
        listings: pages of each listing to come; then the last one for ever.
        watches: what each watch to come brings: events, and at its end perhaps an error.
        watched_from: the resourceVersion of each watch.
        latest: the resourceVersion of now.
    """

    def __init__(self) -> None:
        self.listings: list[list[Page] | Exception] = []
        self.watches: list[list[WatchEvent | Exception]] = []
        self.watched_from: list[str] = []
        self.latest = "1"
        self.listed = 0

    def list_all(self) -> Iterator[Page]:
        self.listed += 1
        listing = self.listings.pop(0) if len(self.listings) > 1 else self.listings[0]
        if isinstance(listing, Exception):
            raise listing
        yield from listing

    def latest_version(self) -> str:
        return self.latest

    def watch(self, resource_version: str) -> Iterator[WatchEvent]:
        self.watched_from.append(resource_version)
        if not self.watches:
            time.sleep(0.01)
            return
        for event in self.watches.pop(0):
            if isinstance(event, Exception):
                raise event
            yield event


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> ScriptedCluster:
    monkeypatch.setattr(watcher, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(watcher, "LAST_PAUSE_SECONDS", 0.02)
    return ScriptedCluster()


@pytest.fixture
def stats() -> QueueStats:
    return QueueStats()


@pytest.fixture
def jobs(cluster: ScriptedCluster, stats: QueueStats) -> Iterator[JobCache]:
    """What a watcher makes of the cluster; it starts once the test has listed something."""
    found = JobCache(stats, lambda _: None)
    watching = Watcher(cast("Cluster", cluster), found)

    def start() -> None:
        eventually(lambda: bool(cluster.listings))
        watching.start()

    starting = threading.Thread(target=start)
    starting.start()
    yield found
    starting.join()
    watching.stop()
    watching.join(patience(20))
    assert not watching.is_alive()


def test_all_pages_are_taken_in_and_the_watch_goes_on_from_there(
    cluster: ScriptedCluster, jobs: JobCache, stats: QueueStats
) -> None:
    cluster.watches = [[WatchEvent("ADDED", splitjob("c", "9"))]]
    cluster.listings = [[Page([splitjob("a", "3")], "7"), Page([splitjob("b", "4")], "7")]]
    eventually(lambda: stats.snapshot(0).queued == 3)
    eventually(lambda: len(cluster.watched_from) > 1)
    assert cluster.watched_from[:2] == ["7", "9"]
    assert len(jobs.page(JobFilter(), None, 10).jobs) == 3
    assert cluster.listed == 1


def test_a_bookmark_moves_the_watch_on_and_changes_nothing(
    cluster: ScriptedCluster, jobs: JobCache, stats: QueueStats
) -> None:
    bookmark = WatchEvent("BOOKMARK", {"metadata": {"resourceVersion": "50"}})
    cluster.watches = [[bookmark]]
    cluster.listings = [[Page([splitjob("a", "3")], "7")]]
    eventually(lambda: len(cluster.watched_from) > 1)
    assert cluster.watched_from[:2] == ["7", "50"]
    assert jobs.version == 50
    assert stats.snapshot(0).queued == 1


def test_what_is_gone_in_between_is_listed_anew_at_once(
    cluster: ScriptedCluster, jobs: JobCache, stats: QueueStats, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "FIRST_PAUSE_SECONDS", 600.0)
    cluster.watches = [[ExpiredError("too old", 410)]]
    cluster.listings = [[Page([splitjob("a", "3")], "7")], [Page([], "20")]]
    eventually(lambda: "20" in cluster.watched_from)
    assert stats.snapshot(0).queued == 0
    assert jobs.cached("a") is None
    assert cluster.listed == 2


def test_an_outage_is_said_once_and_outlived(
    cluster: ScriptedCluster, jobs: JobCache, caplog: pytest.LogCaptureFixture
) -> None:
    """While it lasts, what is known counts as old."""
    away = ClusterUnavailableError("cannot be reached (ReadTimeoutError)")
    with caplog.at_level(logging.WARNING):
        cluster.listings = [away]
        eventually(lambda: cluster.listed > 3)
        assert not jobs.current
        cluster.listings = [[Page([splitjob("a", "3")], "7")]]
        eventually(lambda: jobs.current)
    assert [one.getMessage() for one in caplog.records] == [
        "the watch of SplitJobs was lost: the Kubernetes API cannot be reached (ReadTimeoutError)"
    ]


def test_a_defect_does_not_end_the_watch(
    cluster: ScriptedCluster, jobs: JobCache, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.watches = [[WatchEvent("ADDED", {"metadata": {"resourceVersion": "8"}})]]
    cluster.listings = [[Page([splitjob("a", "3")], "7")]]
    eventually(lambda: cluster.listed > 1 and jobs.current)
    assert "met a defect" in caplog.text


def test_watches_that_bring_nothing_while_things_happen_are_noticed(
    cluster: ScriptedCluster, jobs: JobCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They end as they should, without an error: that they are deaf only the comparison shows."""
    cluster.listings = [[Page([splitjob("a", "3")], "7")]]
    eventually(lambda: jobs.current)
    cluster.latest = "8"
    monkeypatch.setattr(job_cache, "SILENT_SECONDS", 0.05)
    eventually(lambda: not jobs.current)
    cluster.watches = [[WatchEvent("MODIFIED", splitjob("a", "8"))]]
    eventually(lambda: jobs.version == 8)
    monkeypatch.setattr(job_cache, "SILENT_SECONDS", 60.0)
    eventually(lambda: jobs.cached("a"))


def test_lists_that_no_watch_follows_are_made_at_growing_intervals(
    cluster: ScriptedCluster, jobs: JobCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A right that is missing for the watch alone must not cost a full list at every moment."""
    monkeypatch.setattr(watcher, "LAST_PAUSE_SECONDS", 600.0)
    forbidden = ClusterUnavailableError("refuses this service (its role, or a quota)")
    cluster.watches = [[forbidden] for _ in range(1000)]
    cluster.listings = [[Page([splitjob("a", "3")], "7")]]
    eventually(lambda: cluster.listed > 3)
    assert not jobs.current
    began = time.monotonic()
    eventually(lambda: cluster.listed > 5)
    assert time.monotonic() - began > 0.08
    monkeypatch.setattr(watcher, "LAST_PAUSE_SECONDS", 0.01)
    cluster.watches.clear()


def test_one_that_is_expired_is_listed_at_once_and_those_after_it_at_growing_intervals(
    cluster: ScriptedCluster, jobs: JobCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster that forgets sooner than a list takes must not be asked for lists without end."""
    monkeypatch.setattr(watcher, "LAST_PAUSE_SECONDS", 600.0)
    cluster.watches = [[ExpiredError("too old", 410)] for _ in range(1000)]
    cluster.listings = [[Page([splitjob("a", "3")], "7")]]
    eventually(lambda: cluster.listed > 3)
    eventually(lambda: not jobs.current)
    began = time.monotonic()
    eventually(lambda: cluster.listed > 5)
    assert time.monotonic() - began > 0.08
