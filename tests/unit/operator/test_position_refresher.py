"""The head of the queue is looked at when somebody has moved."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from tests.support.operator_samples import NOW, raw_splitjob, stamp

from splitjob_operator.core.admission_queue import Bounds
from splitjob_operator.runtime.cache import SplitJobCache
from splitjob_operator.runtime.position_refresher import PositionRefresher


class Names:
    """A work queue that notes what it is given."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def add(self, name: str) -> None:
        self.names.append(name)


def raw(name: str, position: int | None, version: int = 1, **status: Any) -> dict[str, Any]:
    queue = {"reason": "Queued", "message": "", **({"position": position} if position else {})}
    found = raw_splitjob(status={"queue": queue, **status})
    found["metadata"].update(name=name, uid=name, resourceVersion=str(version))
    return found


@pytest.fixture
def ticks() -> Iterator[int]:
    return count()


def test_those_behind_one_that_starts_are_looked_at(ticks: Iterator[int]) -> None:
    cache, queue = SplitJobCache(Bounds(1), "cpu", lambda: float(next(ticks)), lambda: NOW), Names()
    refresher = PositionRefresher(cache, queue)  # type: ignore[arg-type]
    for position, name in enumerate("abc", 1):
        cache.put(raw(name, position))
    refresher.look()
    assert queue.names == [], "everybody is where their status says"
    cache.reserve("a")
    refresher.look()
    assert queue.names == ["b", "c"]
    refresher.look()
    assert queue.names == ["b", "c"], "nobody has moved since"


def test_places_from_before_a_start_are_not_taken_for_those_after_it() -> None:
    """They are a second old, and older where thousands wait."""
    now = 0.0
    cache, queue = SplitJobCache(Bounds(1), "cpu", lambda: now, lambda: NOW), Names()
    refresher = PositionRefresher(cache, queue)  # type: ignore[arg-type]
    for position, name in enumerate("abc", 1):
        cache.put(raw(name, position))
    cache.queue_decision("a")
    cache.reserve("a")
    refresher.look()
    assert queue.names == []
    now = 2.0
    refresher.look()
    assert queue.names == ["b", "c"]


def test_those_far_behind_wait_for_the_resync(ticks: Iterator[int]) -> None:
    cache, queue = SplitJobCache(Bounds(1), "cpu", lambda: float(next(ticks)), lambda: NOW), Names()
    for number in range(30):
        cache.put(raw(f"job-{number:02}", None))
    PositionRefresher(cache, queue).look()  # type: ignore[arg-type]
    assert queue.names == [f"job-{number:02}" for number in range(20)]


def test_who_runs_is_left_alone(ticks: Iterator[int]) -> None:
    cache, queue = SplitJobCache(Bounds(1), "cpu", lambda: float(next(ticks)), lambda: NOW), Names()
    attempt = {"number": 1, "jobName": "a-1", "startedAt": stamp(NOW)}
    started = {"type": "Started", "status": "True", "reason": "Running", "message": "",
               "lastTransitionTime": stamp(NOW)}  # fmt: skip
    cache.put(raw("a", None, attempts=[attempt], conditions=[started]))
    PositionRefresher(cache, queue).look()  # type: ignore[arg-type]
    assert queue.names == []
