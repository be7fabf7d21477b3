"""Reads how far the running workers are from the tails of their logs."""

import asyncio
import logging
import time

from splitjob import workload
from splitjob.lifecycle import LifecycleState
from splitjob.result import ProgressLine
from splitjob_kube.errors import KubernetesError
from splitjob_operator.core.cached_splitjob import CachedSplitJob
from splitjob_operator.core.ports import LogPort
from splitjob_operator.runtime.cache import SplitJobCache
from splitjob_operator.runtime.thread_pool import ThreadPool
from splitjob_operator.runtime.work_queue import WorkQueue

__all__ = ["ProgressReader"]

log = logging.getLogger(__name__)

EVERY_SECONDS = 5.0  # at most once in so many, for one job
TICK_SECONDS = 0.5
READERS = 8


class ProgressReader:
    """The last progress line of each running worker.

    Args:
        kubernetes: where the logs are.
        cache: says which run.
        queue: gets the names of those that have progressed.
    """

    def __init__(self, kubernetes: LogPort, cache: SplitJobCache, queue: WorkQueue) -> None:
        self._kubernetes = kubernetes
        self._cache = cache
        self._queue = queue
        self._threads = ThreadPool(READERS, "progress")
        self._read_at: dict[str, float] = {}
        self._reading: set[str] = set()
        self._lines: dict[str, ProgressLine] = {}

    def line_of(self, pod: str) -> ProgressLine | None:
        """Return the last line read of a pod."""
        return self._lines.get(pod)

    async def run(self) -> None:
        """Read for ever."""
        tasks: set[asyncio.Task[None]] = set()
        while True:
            for entry in self._due():
                task = asyncio.create_task(self._read(entry))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            await asyncio.sleep(TICK_SECONDS)

    def close(self) -> None:
        """Read no more."""
        self._threads.close()

    def _due(self) -> list[CachedSplitJob]:
        now = time.monotonic()
        running = {e.pod: e for e in self._cache if e.state is LifecycleState.RUNNING and e.pod}
        for pod in self._read_at.keys() - running.keys():
            del self._read_at[pod]
            self._lines.pop(pod, None)
        read_before = now - EVERY_SECONDS
        due = [e for e in running.values() if self._read_at.get(e.pod, 0) <= read_before]
        due = [e for e in due if e.pod not in self._reading]  # its node does not answer
        for entry in due:
            self._read_at[entry.pod] = now
            self._reading.add(entry.pod)
        return due

    async def _read(self, entry: CachedSplitJob) -> None:
        try:
            tail = await self._threads.run(self._kubernetes.log_tail, entry.pod, workload.CONTAINER)
        except KubernetesError as error:
            log.debug("Progress of %s: %s", entry.name, error)
            return
        finally:
            self._reading.discard(entry.pod)
        line = ProgressLine.last_in(tail)
        runs = entry.pod in self._read_at
        if runs and line is not None and line != self._lines.get(entry.pod):
            self._lines[entry.pod] = line
            self._queue.add(entry.name)
