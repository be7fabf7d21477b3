"""The cache of SplitJobs: older news changes nothing, and what was reserved stays reserved."""

from typing import Any

import pytest
from tests.support.operator_samples import NOW, raw_splitjob, stamp

from splitjob.lifecycle import LifecycleState
from splitjob_operator.core.admission_queue import Bounds
from splitjob_operator.core.cached_splitjob import BlockedReason, CachedSplitJob
from splitjob_operator.runtime.cache import SplitJobCache


def test_the_cache_holds_the_lifecycle_state_of_a_splitjob() -> None:
    def state(**parts: Any) -> LifecycleState:
        return CachedSplitJob.of(raw_splitjob(**parts)).state

    attempt = {"number": 1, "jobName": "x-1"}
    rest = {"reason": "Because", "message": "", "lastTransitionTime": stamp(NOW)}
    started = [{"type": "Started", "status": "True", **rest}]
    assert state() is LifecycleState.QUEUED
    assert state(spec={"suspend": True}) is LifecycleState.SUSPENDED
    assert state(status={"attempts": [attempt]}) is LifecycleState.PENDING
    assert state(status={"attempts": [attempt], "conditions": started}) is LifecycleState.RUNNING
    ended = {**attempt, "finishedAt": stamp(NOW)}
    assert state(status={"attempts": [ended]}) is LifecycleState.QUEUED
    done = [{"type": "Succeeded", "status": "False", **rest}]
    assert state(status={"conditions": done}) is LifecycleState.FAILED


def test_older_news_changes_nothing() -> None:
    index = SplitJobCache(Bounds(1), "cpu", lambda: 0.0)
    new, old = raw_splitjob(status={"attempts": [{"number": 1, "jobName": "x"}]}), raw_splitjob()
    new["metadata"]["resourceVersion"] = "10"
    index.put(new)
    index.put(old)
    assert [e.state for e in index] == [LifecycleState.PENDING]


def test_what_is_known_already_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each look at the whole namespace would cost seconds where there are thousands."""
    index = SplitJobCache(Bounds(1), "cpu", lambda: 0.0)
    known = index.put(raw_splitjob())
    monkeypatch.setattr(CachedSplitJob, "of", None)
    assert index.put(raw_splitjob()) is known


def test_positions_that_take_long_to_compute_are_computed_seldom(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else they would take a whole core where thousands wait."""
    now, computed = [0.0], []
    index = SplitJobCache(Bounds(1), "cpu", lambda: now[0])
    monkeypatch.setattr("splitjob_operator.runtime.cache.places", lambda *_: computed.append(1))
    monkeypatch.setattr("time.thread_time", lambda: 0.5 * len(computed))
    for now[0] in range(30):
        index.places()
    assert len(computed) == 3


def test_a_reserved_place_is_taken() -> None:
    index = SplitJobCache(Bounds(1), "cpu", lambda: 0.0)
    index.put(raw_splitjob())
    name = raw_splitjob()["metadata"]["name"]
    assert index.queue_decision(name).may_start
    index.reserve(name)
    assert index.next_up() == []
    index.put(raw_splitjob())  # a listing, while the write that starts it is under way
    assert index.next_up() == []
    index.restore(raw_splitjob())
    assert index.queue_decision(name).may_start


def test_a_hold_outlasts_a_look_but_not_its_splitjob() -> None:
    index = SplitJobCache(Bounds(1), "cpu", lambda: 0.0)
    raw = raw_splitjob()
    index.put(raw)
    name = raw["metadata"]["name"]
    assert index.set_blocked(name, BlockedReason.JOB)
    assert not index.set_blocked(name, BlockedReason.JOB), "that is nothing new"
    index.restore(raw)
    assert index.next_up() == []
    raw["metadata"]["uid"] = "another"
    index.restore(raw)
    assert index.next_up() == [name]


SOURCE = "s3://stems/_inputs/0/song.wav"


def named(name: str, version: str, *, ended: bool) -> dict[str, Any]:
    """One of several jobs that need the same Secret and the same file."""
    rest = {"reason": "GpuError", "message": "", "lastTransitionTime": stamp(NOW)}
    over = {"conditions": [{"type": "Succeeded", "status": "False", **rest}]}
    asked: dict[str, Any] = {"secretName": "urls", "source": {"url": SOURCE}}
    raw = raw_splitjob(status=over if ended else None, **asked)
    raw["metadata"] |= {"name": name, "uid": name, "resourceVersion": version}
    return raw


def test_a_file_is_in_use_until_the_last_job_that_reads_it_has_ended() -> None:
    index = SplitJobCache(Bounds(1), "cpu", lambda: 0.0)
    index.put(named("first", "1", ended=False))
    index.put(named("second", "2", ended=False))
    elsewhere = raw_splitjob()
    elsewhere["metadata"]["name"] = "third"
    index.put(elsewhere)
    assert index.inputs_in_use() == {SOURCE}
    index.put(named("first", "4", ended=True))
    assert index.shares_input("first")
    index.put(named("second", "5", ended=True))
    assert not index.shares_input("first")
    assert not index.shares_input("third")
    assert index.inputs_in_use() == set()


def test_a_secret_is_shared_while_a_retry_that_refers_to_it_has_not_ended() -> None:
    index = SplitJobCache(Bounds(1), "cpu", lambda: 0.0)
    index.put(named("first", "1", ended=True))
    assert not index.shares_secret("first")
    index.put(named("retry", "2", ended=False))
    index.put(named("retry", "3", ended=False))
    assert index.shares_secret("first")
    index.put(named("retry", "4", ended=True))
    assert not index.shares_secret("first")
    index.put(named("second-retry", "5", ended=False))
    index.drop("second-retry")
    assert not index.shares_secret("first")
