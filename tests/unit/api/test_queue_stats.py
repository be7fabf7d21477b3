"""Counting without asking: what the statistics make of a watch."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from splitjob.lifecycle import LifecycleState
from splitjob.resource import ANNOTATION_GENERATION, LABEL_INTENT
from splitjob_api.queue_stats import QueueStats


def splitjob(uid: str, *, age: float = 0, eta: int | None = None, **given: Any) -> dict[str, Any]:
    """Return a SplitJob; `given` are its conditions' statuses, `reason` that of Succeeded."""
    now = datetime.now(UTC)
    reason = given.pop("reason", "Whatever")
    counted = given.pop("counted", False)
    conditions = [
        {"type": kind, "status": value, "reason": reason, "lastTransitionTime": now.isoformat()}
        for kind, value in given.items()
    ]
    created = (now - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%SZ")
    status: dict[str, Any] = {"conditions": conditions, "counted": counted}
    if eta is not None:
        status["queue"] = {"etaSeconds": eta}
    return {
        "metadata": {"uid": uid, "name": uid, "creationTimestamp": created},
        "spec": {},
        "status": status,
    }


def test_changes_are_followed() -> None:
    stats = QueueStats()
    stats.replace([splitjob("a", age=60), splitjob("b"), splitjob("c", Succeeded="True")])
    first = stats.snapshot(time.time())
    assert (first.queued, first.running, first.uncounted) == (2, 0, {"c": LifecycleState.COMPLETED})
    assert 58 <= first.oldest_seconds <= 62
    stats.apply("MODIFIED", splitjob("a", Started="True"))
    stats.apply("MODIFIED", splitjob("c", Succeeded="True", counted=True))
    stats.apply("DELETED", splitjob("b"))
    second = stats.snapshot(time.time())
    assert (second.queued, second.running, second.uncounted) == (0, 1, {})
    assert second.oldest_seconds == 0


def test_a_job_just_created_counts_at_once_and_once() -> None:
    stats = QueueStats()
    stats.replace([])
    stats.accepted(splitjob("a"))
    assert stats.snapshot(time.time()).queued == 1
    stats.apply("ADDED", splitjob("a"))
    assert stats.snapshot(time.time()).queued == 1
    stats.apply("DELETED", splitjob("a"))
    assert stats.snapshot(time.time()).queued == 0


def test_one_never_seen_again_is_forgotten() -> None:
    stats = QueueStats()
    stats.accepted(splitjob("a"))
    assert stats.snapshot(time.time() + 60).queued == 0


def test_the_drain_is_known_only_where_every_waiting_job_has_an_estimate() -> None:
    stats = QueueStats()
    assert stats.snapshot(time.time()).drain_seconds == 0
    stats.replace([splitjob("a", eta=100), splitjob("b", Started="True")])
    assert stats.snapshot(time.time()).drain_seconds in {99, 100}
    stats.apply("ADDED", splitjob("just-come"))
    assert stats.snapshot(time.time()).drain_seconds in {99, 100}
    stats.apply("ADDED", splitjob("c", age=60))
    assert stats.snapshot(time.time()).drain_seconds is None


def test_an_estimate_repeated_runs_down() -> None:
    stats = QueueStats()
    stats.replace([splitjob("a", eta=100)])
    before = stats.snapshot(time.time() + 50).drain_seconds
    stats.apply("MODIFIED", splitjob("a", eta=100))
    assert before in {49, 50}
    assert stats.snapshot(time.time() + 50).drain_seconds == before


def test_later_generations_are_remembered_until_they_are_gone() -> None:
    stats = QueueStats()
    assert stats.may_be_retried("abc")  # nothing is known yet
    stats.replace([])
    assert not stats.may_be_retried("abc")
    later = splitjob("b", Succeeded="True", counted=True)
    later["metadata"] |= {
        "labels": {LABEL_INTENT: "abc"},
        "annotations": {ANNOTATION_GENERATION: "1"},
    }
    stats.accepted(later)
    assert stats.may_be_retried("abc")
    stats.apply("ADDED", later)
    assert stats.may_be_retried("abc")
    assert not stats.may_be_retried("other")
    stats.apply("DELETED", later)
    assert not stats.may_be_retried("abc")
    stats.mark_stale()
    assert stats.may_be_retried("abc")


def test_10000_jobs_are_counted_in_no_time() -> None:
    """Acceptance 57, the API's part: a bound far above what it takes."""
    stats = QueueStats()
    stats.replace(splitjob(str(number), eta=number) for number in range(10_000))
    started = time.thread_time()
    assert stats.snapshot(time.time()).queued == 10_000
    assert time.thread_time() - started < 0.25
