"""Puts the operator together and runs it."""

import asyncio
import logging
import os
import secrets
import signal
import socket
import time
from collections.abc import Coroutine
from typing import Any, Self

from aiohttp import web

from splitjob_kube.rights import Right
from splitjob_operator.adapters.input_store import InputStore
from splitjob_operator.adapters.kubernetes import KubernetesAdapter, rights_needed
from splitjob_operator.adapters.manifest_store import ManifestStore
from splitjob_operator.adapters.webhooks import FinalEventSender
from splitjob_operator.core.leader_election import Candidate, LeaseTimes
from splitjob_operator.core.settings import Settings
from splitjob_operator.runtime import health_server
from splitjob_operator.runtime.cache import SplitJobCache
from splitjob_operator.runtime.controller import Controller
from splitjob_operator.runtime.executor import Executor
from splitjob_operator.runtime.input_sweeper import InputSweeper
from splitjob_operator.runtime.leader_elector import LeaderElector
from splitjob_operator.runtime.leader_work import LeaderWork, Loop
from splitjob_operator.runtime.leadership import Leadership
from splitjob_operator.runtime.metrics import LEADER
from splitjob_operator.runtime.node_monitor import NodeMonitor
from splitjob_operator.runtime.observer import Observer
from splitjob_operator.runtime.position_refresher import PositionRefresher
from splitjob_operator.runtime.progress_reader import ProgressReader
from splitjob_operator.runtime.readiness import Readiness
from splitjob_operator.runtime.resync import Resync
from splitjob_operator.runtime.silent_watch import SilentWatchGuard
from splitjob_operator.runtime.thread_pool import ThreadPool
from splitjob_operator.runtime.totals_counter import TotalsCounter
from splitjob_operator.runtime.webhook_delivery import WebhookDelivery
from splitjob_operator.runtime.work_queue import WorkQueue

__all__ = ["App"]

log = logging.getLogger(__name__)


class App:
    """One operator process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.leadership = Leadership()
        fence = self.leadership.check
        kubernetes = KubernetesAdapter(
            settings.namespace, _rights(settings), settings.release, fence
        )
        readiness = Readiness()
        self._threads = ThreadPool(2 * settings.concurrency, "kubernetes")
        cache = SplitJobCache(
            settings.bounds, settings.device, time.monotonic, group_by=settings.queue_group_by
        )
        queue = WorkQueue()
        senders = ThreadPool(settings.delivery_concurrency, "deliver")
        self._delivery = WebhookDelivery(
            kubernetes, self._threads, senders, FinalEventSender(settings, fence), queue.add
        )
        inputs = InputStore.from_settings(settings, fence)
        self._sweeper = (
            InputSweeper(inputs, kubernetes, cache, settings.orphan_input_seconds)
            if inputs
            else None
        )
        loop = asyncio.get_running_loop()
        executor = Executor(
            kubernetes,
            ManifestStore.from_settings(settings, fence),
            inputs,
            settings.request_policy(),
            settings,
            lambda name: loop.call_soon_threadsafe(self._delivery.start, name),
        )
        self._progress = ProgressReader(kubernetes, cache, queue)
        self._positions = PositionRefresher(cache, queue)
        observer = Observer(
            kubernetes=kubernetes,
            cache=cache,
            progress=self._progress,
            delivery=self._delivery,
            threads=self._threads,
            node_monitor=NodeMonitor(kubernetes, self._threads),
            keeps_finished_jobs=settings.keep_finished_jobs_seconds > 0,
        )
        self._counter = TotalsCounter(kubernetes, self._threads, cache, settings, readiness)
        self.controller = Controller(
            settings=settings,
            kubernetes=kubernetes,
            executor=executor,
            cache=cache,
            queue=queue,
            observer=observer,
            counter=self._counter,
            delivery=self._delivery,
            threads=self._threads,
            guard=SilentWatchGuard(settings.missed_watch_seconds, time.monotonic),
            readiness=readiness,
        )
        self.resync = Resync(
            self.controller,
            kubernetes,
            kubernetes.unmet,
            readiness,
            lambda: self.leadership.leads,
            _end_process,
        )
        self._work = LeaderWork(self.controller, self.resync, self._loops(), _ended)
        self._elector = LeaderElector(
            kubernetes,
            settings.lease_name,
            _candidate(settings),
            self.leadership,
            self._work.change,
        )
        LEADER.set_function(lambda: self.leadership.leads)
        self._elector_thread = ThreadPool(1, "election")
        self._tasks: list[asyncio.Task[None]] = []
        self._election: asyncio.Task[None] | None = None
        self._http: web.AppRunner | None = None

    async def start(self) -> Self:
        """Serve health at once; stand for election once everything was listed."""
        self._http = await health_server.serve(
            self.resync, self.leadership, self.settings.host, self.settings.port
        )
        self._spawn("resync", self.resync.run())
        self._spawn("leader's work", self._work.run())
        self._spawn("begin", self._begin())
        return self

    async def stop(self) -> None:
        """Stop; what was under way is found again by the next leader."""
        self._elector.stop()
        for task in self._tasks:
            if task is not self._election:
                task.cancel()
        await self._work.end()
        await asyncio.gather(*self._tasks, return_exceptions=True)  # the Lease is let go of then
        await self._delivery.close()
        self._progress.close()
        self._threads.close()
        if self._sweeper:
            self._sweeper.close()
        if self._http:
            await self._http.cleanup()

    async def _begin(self) -> None:
        await self.resync.first.wait()
        self._election = self._spawn("election", self._elector_thread.run(self._elector.run))

    def _loops(self) -> dict[str, Loop]:
        """Return what runs while this process leads, by name."""
        workers = range(self.settings.concurrency)
        loops: dict[str, Loop] = {f"worker {number}": self.controller.work for number in workers}
        loops |= {
            "progress": self._progress.run,
            "positions": self._positions.run,
            "totals": self._counter.run,
        }
        return loops | ({"inputs": self._sweeper.run} if self._sweeper else {})

    def _spawn(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(_ended)
        self._tasks.append(task)
        return task


def _rights(settings: Settings) -> tuple[Right, ...]:
    policies = settings.worker_network_policy is not None
    return rights_needed(settings.totals_configmap, settings.lease_name, network_policies=policies)


def _candidate(settings: Settings) -> Candidate:
    """Return this process as the Lease names it.

    A pod's name is of one process at a time, and the one that is started in it after a crash need
    not wait for the Lease of the one before to run out.
    """
    name = settings.pod_name or f"{socket.gethostname()}-{secrets.token_hex(4)}"
    return Candidate(name, LeaseTimes(settings.lease_seconds))


def _ended(task: asyncio.Task[None]) -> None:
    """End the process where a part of it has failed for good: half an operator is worse."""
    if not task.cancelled() and (error := task.exception()):
        log.critical("%s has failed: %r", task.get_name(), error, exc_info=error)
        _end_process()


def _end_process() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
