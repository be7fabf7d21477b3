"""Reads from memory: what is told, when it may be told, and what else is asked for."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.api_samples import World, splitjob
from tests.support.examples import examples

from splitjob_api import job_cache, told_versions
from splitjob_api.cached_job import Change, Deletion, JobFilter
from splitjob_api.job_cache import SILENT_SECONDS
from splitjob_api.job_response import JobState
from splitjob_api.kubernetes import ClusterUnavailableError

ALL = JobFilter()


@pytest.fixture
def world() -> World:
    return World()


class Told:
    """Who follows a cache."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.restarts = 0

    def changed(self, change: Change) -> None:
        self.changes.append(change)

    def restarted(self) -> None:
        self.restarts += 1


def names(world: World, wanted: JobFilter = ALL) -> list[str]:
    return [job.name for job in world.jobs.page(wanted, None, 500).jobs]


def test_a_job_is_told_from_memory_with_the_time_up_to_which_nothing_is_missing(
    world: World,
) -> None:
    world.list(5, splitjob("a", 3))
    world.now += 2
    world.jobs.check(lambda: "9")
    world.now += 3
    found = world.jobs.cached("a")
    assert found
    assert (found.job.version, found.observed_at) == (3, 1000), "the watch is not there yet"
    world.jobs.heard("9")
    found = world.jobs.cached("a")
    assert found
    assert found.observed_at == 1002
    assert json.loads(found.job.answer())["state"] == "queued"
    assert world.asked == []


def test_a_watch_that_brings_nothing_counts_where_nothing_happens_and_no_longer_where_it_does(
    world: World,
) -> None:
    world.list(5, splitjob("a", 3))
    for _ in range(10):
        world.now += SILENT_SECONDS / 2
        world.jobs.check(lambda: "5")
        assert world.jobs.current
    for _ in range(2):
        world.now += SILENT_SECONDS / 2
        world.jobs.check(lambda: "6")
    assert not world.jobs.current
    world.jobs.apply("MODIFIED", splitjob("a", 6))
    assert world.jobs.current


def test_changes_that_waited_while_the_process_stood_still_make_nothing_current(
    world: World,
) -> None:
    world.list(5, splitjob("a", 3))
    world.jobs.check(lambda: "8")
    world.now += 60
    world.jobs.apply("MODIFIED", splitjob("a", 6))
    world.jobs.apply("MODIFIED", splitjob("a", 8))
    assert not world.jobs.current
    assert world.jobs.observed_at == 1000
    world.jobs.check(lambda: "8")
    assert world.jobs.current


def test_a_change_that_comes_says_nothing_of_those_that_have_not_come(world: World) -> None:
    """The cluster is known to be further on, so something may be missing."""
    world.list(5, splitjob("a", 3))
    world.now += 2
    world.jobs.check(lambda: "9")
    world.now += 1
    world.jobs.apply("MODIFIED", splitjob("a", 6))
    assert world.jobs.observed_at == 1000
    world.jobs.apply("MODIFIED", splitjob("a", 9))
    assert world.jobs.observed_at == 1002
    world.now -= 60  # somebody sets the clock
    world.list(12, splitjob("a", 9))
    assert world.jobs.observed_at == 1002


def test_what_the_watch_has_not_shown_yet_is_asked_of_the_api_server(world: World) -> None:
    """A job can be read right after its 202, also where another replica made it."""
    world.list(5)
    world.behind = {"a": splitjob("a", 7)}
    assert world.jobs.cached("a") is None
    fetched = world.jobs.fetch("a")
    assert fetched
    assert (fetched.job.name, fetched.observed_at) == ("a", 1000)
    assert world.jobs.fetch("b") is None


def test_what_was_read_past_the_watch_is_never_taken_back(world: World) -> None:
    world.list(5)
    world.behind = {"a": splitjob("a", 8, state="running")}
    world.now += 1
    assert world.jobs.fetch("a")
    for version in (6, 7):
        world.jobs.apply("ADDED", splitjob("a", version))
        assert world.jobs.cached("a") is None
    world.jobs.apply("MODIFIED", splitjob("a", 8, state="running"))
    found = world.jobs.cached("a")
    assert found
    assert (found.job.version, found.observed_at) == (8, 1001), "no earlier time than before"


def test_after_a_write_the_state_before_it_is_not_told_from_memory(world: World) -> None:
    world.list(5, splitjob("a", 3))
    world.jobs.note_answer(splitjob("a", 6))
    assert world.jobs.cached("a") is None
    world.jobs.note_answer(splitjob("a", 4))
    world.jobs.apply("MODIFIED", splitjob("a", 5))
    assert world.jobs.cached("a") is None
    world.jobs.apply("MODIFIED", splitjob("a", 6))
    assert world.jobs.cached("a")


def test_who_knows_a_later_state_of_another_replica_is_told_none_before_it(world: World) -> None:
    world.list(5, splitjob("a", 3))
    assert world.jobs.cached("a", 3)
    assert world.jobs.cached("a", 4) is None


def test_what_a_restored_cluster_says_counts_although_its_versions_are_lower(world: World) -> None:
    world.list(50, splitjob("a", 40))
    world.jobs.note_answer(splitjob("a", 45))
    world.list(20, splitjob("a", 10))
    assert world.jobs.cached("a")


def test_a_job_made_anew_is_told_although_its_former_self_was_asked_for_in_between(
    world: World,
) -> None:
    """The watch had told of its end already, and does not again."""
    world.list(5, splitjob("a", 3))
    world.jobs.note_answer(splitjob("a", 6))
    world.jobs.apply("MODIFIED", splitjob("a", 6))
    world.jobs.apply("DELETED", splitjob("a", 7))
    assert world.jobs.fetch("a") is None
    world.jobs.apply("ADDED", splitjob("a", 8))  # another replica has made it
    assert names(world) == ["a"]
    assert world.jobs.cached("a")


def test_a_job_that_is_gone_before_the_watch_shows_that_it_was_made_is_told_to_nobody(
    world: World,
) -> None:
    world.list(5)
    world.jobs.note_answer(splitjob("a", 6))
    assert world.jobs.fetch("a") is None
    world.jobs.apply("ADDED", splitjob("a", 6))
    assert names(world) == []
    assert world.jobs.changes(5, ALL).jobs == []
    world.jobs.apply("DELETED", splitjob("a", 7))
    assert [type(one) for one in world.jobs.changes(5, ALL).jobs] == [Deletion]


def test_of_how_many_jobs_the_least_is_remembered_has_a_limit(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(told_versions, "REMEMBERED", 2)
    world.list(5, *(splitjob(name, 3) for name in "abc"))
    for name in "abac":
        world.jobs.note_answer(splitjob(name, 6))
    assert [bool(world.jobs.cached(name)) for name in "abc"] == [False, True, False]


def test_nothing_is_told_before_the_first_list_after_a_lost_watch_and_of_a_silent_one(
    world: World,
) -> None:
    assert not world.jobs.current
    world.list(5, splitjob("a", 3))
    assert world.jobs.cached("a")
    world.now += SILENT_SECONDS
    assert world.jobs.cached("a") is None
    assert world.jobs.may_be_retried("any")
    world.jobs.check(lambda: "5")
    assert world.jobs.cached("a")
    assert not world.jobs.may_be_retried("any")
    world.jobs.mark_stale()
    assert world.jobs.cached("a") is None
    world.behind = None
    with pytest.raises(ClusterUnavailableError):
        world.jobs.fetch("a")


def test_the_splitjob_in_memory_is_the_api_servers_without_managed_fields(world: World) -> None:
    world.list(5, splitjob("a", 3, metadata={"ä": "1"}))
    expected = splitjob("a", 3, metadata={"ä": "1"})
    del expected["metadata"]["managedFields"]
    found = world.jobs.cached("a")
    assert found
    assert found.job.splitjob() == expected


def test_the_list_is_newest_first_and_follows_each_change(world: World) -> None:
    world.list(5, splitjob("a", 3, created=1), splitjob("c", 4, created=3))
    world.jobs.apply("ADDED", splitjob("b", 6, created=2))
    assert names(world) == ["c", "b", "a"]
    world.jobs.apply("MODIFIED", splitjob("b", 7, created=2, state="running"))
    world.jobs.apply("DELETED", splitjob("c", 8, created=3))
    assert [(job.name, job.state) for job in world.jobs.page(ALL, None, 9).jobs] == [
        ("b", JobState.RUNNING),
        ("a", JobState.QUEUED),
    ]
    assert world.stats.snapshot(world.now).running == 1


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (JobFilter(states=frozenset({JobState.QUEUED})), ["d", "a"]),
        (JobFilter(states=frozenset({JobState.FAILED, JobState.RUNNING})), ["c", "b"]),
        (JobFilter(version_id="song-2"), ["b"]),
        (JobFilter(model="other"), ["c"]),
        (JobFilter(since=1767225602), ["d", "c"]),
        (JobFilter(since=1767225601.5), ["d", "c"]),
        (JobFilter(until=1767225602), ["b", "a"]),
        (JobFilter(version_id="song-2", model="other"), []),
    ],
)
def test_a_filter_takes_in_what_it_says(
    world: World, wanted: JobFilter, expected: list[str]
) -> None:
    world.list(
        9,
        splitjob("a", 1, created=0),
        splitjob("b", 2, created=1, state="running", versionId="song-2"),
        splitjob("c", 3, created=2, state="failed", model="other"),
        splitjob("d", 4, created=3),
    )
    assert names(world, wanted) == expected


@settings(max_examples=examples(60))
@given(
    before=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 30)), max_size=20),
    between=st.lists(st.tuples(st.booleans(), st.integers(0, 30)), max_size=12),
    limit=st.integers(1, 5),
)
def test_pages_hold_every_job_that_stays_once_whatever_comes_and_goes(
    before: list[tuple[int, int]], between: list[tuple[bool, int]], limit: int
) -> None:
    world = World()
    there = {f"job-{number}": created for created, number in before}
    world.list(1, *(splitjob(name, 1, created=created) for name, created in there.items()))
    stays, seen, after, changes = set(there), [], None, list(between)
    while True:
        page = world.jobs.page(ALL, after, limit)
        seen += [job.name for job in page.jobs]
        if not page.more:
            break
        after = page.jobs[-1].position
        if changes:
            added, number = changes.pop()
            _change(world, there, stays, f"job-{number}", added=added)
    assert len(seen) == len(set(seen))
    assert stays <= set(seen)


def _change(
    world: World, there: dict[str, int], stays: set[str], name: str, *, added: bool
) -> None:
    version = world.jobs.version + 1
    if added and name not in there:
        there[name] = 9  # newer than all
        world.jobs.apply("ADDED", splitjob(name, version, created=9))
    elif not added and name in there:
        stays.discard(name)
        world.jobs.apply("DELETED", splitjob(name, version, created=there.pop(name)))


def test_what_has_changed_since_a_version_comes_in_its_order_with_what_is_gone(
    world: World,
) -> None:
    world.list(5, splitjob("a", 2), splitjob("b", 3), splitjob("c", 4))
    world.jobs.apply("MODIFIED", splitjob("a", 6, state="running"))
    world.jobs.apply("DELETED", splitjob("b", 7))
    world.jobs.apply("ADDED", splitjob("d", 8, versionId="song-2"))
    found = world.jobs.changes(5, ALL)
    assert [(one.name, one.version) for one in found.jobs] == [("a", 6), ("b", 7), ("d", 8)]
    assert isinstance(found.jobs[1], Deletion)
    assert (found.version, found.complete) == (8, True)
    assert [one.name for one in world.jobs.changes(3, JobFilter(version_id="song-1")).jobs] == [
        "c",
        "a",
        "b",
    ]


def test_deletions_before_the_first_list_or_forgotten_since_are_said_to_be_unknown(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_cache, "REMEMBERED_DELETIONS", 2)
    world = World()
    world.list(5, *(splitjob(str(number), 1) for number in range(4)))
    assert not world.jobs.changes(4, ALL).complete
    assert world.jobs.changes(5, ALL).complete
    for number in range(3):
        world.jobs.apply("DELETED", splitjob(str(number), 6 + number))
    assert not world.jobs.changes(5, ALL).complete
    assert world.jobs.changes(6, ALL).complete


def test_a_further_list_is_told_as_the_changes_that_it_shows(world: World) -> None:
    world.list(5, splitjob("a", 2), splitjob("b", 3), splitjob("c", 4))
    told = Told()
    world.jobs.follow(told)
    world.jobs.mark_stale()
    world.list(20, splitjob("c", 4), splitjob("d", 12), splitjob("a", 11, state="running"))
    assert [(one.after.name, one.after.version) for one in told.changes] == [
        ("a", 11),
        ("d", 12),
        ("b", 20),
    ]
    assert isinstance(told.changes[2].after, Deletion)
    before = told.changes[0].before
    assert before
    assert before.version == 2
    assert world.jobs.changes(10, ALL).complete
    assert world.jobs.cached("c")


def test_a_further_list_keeps_what_was_made_of_jobs_that_have_not_changed(world: World) -> None:
    """Else each list would have all answers made anew."""
    world.list(5, splitjob("a", 2), splitjob("b", 3))
    for job in world.jobs.page(ALL, None, 9).jobs:
        job.answer()
    world.list(20, splitjob("a", 2), splitjob("b", 12))
    answered = {job.name: job.answered for job in world.jobs.page(ALL, None, 9).jobs}
    assert answered == {"a": True, "b": False}
    found = world.jobs.cached("a")
    assert found
    assert found.job.answered
    world.list(15, splitjob("a", 2, state="running"))
    found = world.jobs.cached("a")
    assert found
    assert found.job.state is JobState.RUNNING, "of a restored cluster nothing is kept"


def test_a_cluster_restored_from_a_backup_begins_anew(world: World) -> None:
    world.list(50, splitjob("a", 40))
    told = Told()
    world.jobs.follow(told)
    world.list(20, splitjob("a", 10))
    assert (told.restarts, told.changes) == (1, [])
    assert world.jobs.version == 20
    assert not world.jobs.changes(15, ALL).complete


def test_a_deletion_is_told_with_what_the_job_was(world: World) -> None:
    told = Told()
    world.jobs.follow(told)
    world.list(5, splitjob("a", 2, state="failed"))
    told.changes.clear()
    world.jobs.apply("DELETED", splitjob("a", 6, state="failed"))
    (change,) = told.changes
    assert isinstance(change.after, Deletion)
    assert change.after.state is JobState.FAILED


def test_of_a_finished_job_two_kilobytes_are_held_at_most(world: World) -> None:
    """Acceptance 57, the API's part; what 10,000 take of a whole process is in the bench."""
    stems: list[dict[str, Any]] = [
        {
            "type": name,
            "url": f"s3://stems/prod/song-1/split-abc/{name}.wav",
            "size": 52920044,
            "frames": 13230000,
            "sampleRate": 44100,
            "checksum": "sha256:" + f"{number:x}" * 64,
            "format": "wav",
            "peak": "0.98765",
            "gain": "1",
        }
        for number, name in enumerate(("drums", "bass", "other", "vocals"), start=10)
    ]
    finished = splitjob("a", 3, state="completed")
    finished["status"]["result"] = {"stems": stems, "model": "htdemucs", "timings": {"fetch": 100}}
    world.list(5, finished)
    found = world.jobs.cached("a")
    assert found
    assert json.loads(found.job.answer())["result"]["stems"][3]["type"] == "vocals"
    held = len(found.job._packed) + len(found.job._answer or b"")
    assert held < 2000
