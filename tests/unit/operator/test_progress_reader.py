"""How far the running workers are, read from the tails of their logs."""

import asyncio
import itertools
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from tests.support.operator_samples import NOW
from tests.support.waiting import patience

from splitjob import workload
from splitjob.lifecycle import LifecycleState
from splitjob_kube.errors import NotFoundError
from splitjob_operator.core.admission_queue import Bounds
from splitjob_operator.core.cached_splitjob import CachedSplitJob
from splitjob_operator.runtime import progress_reader
from splitjob_operator.runtime.cache import SplitJobCache
from splitjob_operator.runtime.progress_reader import ProgressReader
from splitjob_operator.runtime.work_queue import WorkQueue

RUNNING = CachedSplitJob(
    name="a",
    uid="1",
    resource_version="1",
    created_at=NOW,
    priority=0,
    state=LifecycleState.RUNNING,
    model="demo",
    pod="a-1-xyz",
)


def told(percent: int) -> str:
    return f'{{"progress": true, "stage": "separate", "percent": {percent}}}\n'


class Logs:
    """A cluster of which only the logs are known, by pod."""

    def __init__(self, **logs: str) -> None:
        self.logs = logs
        self.asked: list[str] = []

    def log_tail(self, pod: str, container: str) -> str:
        assert container == workload.CONTAINER
        self.asked.append(pod)
        if pod not in self.logs:
            raise NotFoundError(f"pod {pod}: not found", 404)
        return self.logs[pod]


class Entries(SplitJobCache):
    """A cache that holds what a test says."""

    def __init__(self, *entries: CachedSplitJob) -> None:
        super().__init__(Bounds(1), "cpu", lambda: 0.0)
        self.hold(*entries)

    def hold(self, *entries: CachedSplitJob) -> None:
        self._entries = {entry.name: entry for entry in entries}


class Added(WorkQueue):
    """A queue that remembers who was added."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def add(self, name: str) -> None:
        self.names.append(name)


def reading(
    logs: Logs, cache: Entries, queue: Added, look: Callable[[ProgressReader], Awaitable[None]]
) -> ProgressReader:
    """Let a reader run for as long as a look takes."""

    async def run() -> ProgressReader:
        reader = ProgressReader(logs, cache, queue)
        running = asyncio.create_task(reader.run())
        try:
            await asyncio.wait_for(look(reader), patience(20))
        finally:
            running.cancel()
            reader.close()
        return reader

    return asyncio.run(run())


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look every few milliseconds, and each log is due in each."""
    monkeypatch.setattr(progress_reader, "TICK_SECONDS", 0.005)
    monkeypatch.setattr(progress_reader, "EVERY_SECONDS", 0.0)


async def until(condition: Callable[[], object]) -> None:
    for _ in itertools.count():
        if condition():
            return
        await asyncio.sleep(0.005)


def test_the_last_line_is_kept_and_its_job_looked_at_once_a_change() -> None:
    logs, queue = Logs(**{RUNNING.pod: told(8) + told(40) + "no progress\n"}), Added()

    async def look(reader: ProgressReader) -> None:
        await until(lambda: len(logs.asked) > 3)
        line = reader.line_of(RUNNING.pod)
        assert line
        assert line.percent == 40
        assert queue.names == ["a"], "what stands still is no reason to look"
        logs.logs[RUNNING.pod] += told(42)
        await until(lambda: queue.names == ["a", "a"])

    reading(logs, Entries(RUNNING), queue, look)


def test_only_running_workers_are_read() -> None:
    waiting = replace(RUNNING, name="b", state=LifecycleState.QUEUED, pod="b-1")
    starting = replace(RUNNING, name="c", pod="")
    logs = Logs(**{RUNNING.pod: told(8)})

    async def look(_: ProgressReader) -> None:
        await until(lambda: len(logs.asked) > 3)

    reading(logs, Entries(RUNNING, waiting, starting), Added(), look)
    assert set(logs.asked) == {RUNNING.pod}


def test_a_log_that_cannot_be_read_is_tried_again() -> None:
    logs, queue = Logs(), Added()

    async def look(reader: ProgressReader) -> None:
        await until(lambda: len(logs.asked) > 1)
        assert reader.line_of(RUNNING.pod) is None
        logs.logs[RUNNING.pod] = told(10)
        await until(lambda: queue.names == ["a"])

    reading(logs, Entries(RUNNING), queue, look)


def test_what_a_pod_said_is_forgotten_when_it_no_longer_runs() -> None:
    logs, cache = Logs(**{RUNNING.pod: told(8)}), Entries(RUNNING)

    async def look(reader: ProgressReader) -> None:
        await until(lambda: reader.line_of(RUNNING.pod))
        cache.hold(replace(RUNNING, state=LifecycleState.COMPLETED))
        await until(lambda: reader.line_of(RUNNING.pod) is None)

    reading(logs, cache, Added(), look)


def test_one_log_is_read_no_more_often_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_reader, "EVERY_SECONDS", 1000.0)
    other = replace(RUNNING, name="b", pod="b-1-xyz")
    logs, cache = Logs(**{RUNNING.pod: told(8), other.pod: told(8)}), Entries(RUNNING)

    async def look(_: ProgressReader) -> None:
        await until(lambda: logs.asked)
        cache.hold(RUNNING, other)
        await until(lambda: other.pod in logs.asked)

    reading(logs, cache, Added(), look)
    assert logs.asked == [RUNNING.pod, other.pod]


def test_a_log_that_does_not_come_is_not_asked_for_again_and_again() -> None:
    """A node that does not answer would otherwise fill the memory with what waits for it."""
    logs, answered = Logs(**{RUNNING.pod: told(40)}), threading.Event()
    tail = logs.log_tail

    def slow(pod: str, container: str) -> str:
        answered.wait()
        return tail(pod, container)

    logs.log_tail = slow  # type: ignore[method-assign]
    cache, queue = Entries(RUNNING), Added()

    async def look(reader: ProgressReader) -> None:
        for _ in range(20):
            await asyncio.sleep(0.005)
        assert len(asyncio.all_tasks()) <= 4
        cache.hold()
        await asyncio.sleep(0.05)
        answered.set()
        await until(lambda: logs.asked)
        await asyncio.sleep(0.05)

    reader = reading(logs, cache, queue, look)
    assert logs.asked == [RUNNING.pod]
    assert reader.line_of(RUNNING.pod) is None, "its pod ran no more by then"
    assert queue.names == []
