"""Puts the operator together and runs it."""

import asyncio
import logging
import os
import secrets
import signal
import socket
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web

from splitjob_io.tracing import open_spans
from splitjob_kube.rights import Right
from splitjob_operator.adapters.final_event_sender import FinalEventSender
from splitjob_operator.adapters.input_store import InputStore
from splitjob_operator.adapters.kubernetes import KubernetesAdapter, rights_needed
from splitjob_operator.adapters.manifest_store import ManifestStore
from splitjob_operator.core.leader_election import Candidate, LeaseTimes
from splitjob_operator.core.settings import Settings
from splitjob_operator.runtime import health_server
from splitjob_operator.runtime.cache import SplitJobCache
from splitjob_operator.runtime.controller import Controller
from splitjob_operator.runtime.event_poster import EventPoster
from splitjob_operator.runtime.executor import Executor
from splitjob_operator.runtime.heartbeat import Heartbeat
from splitjob_operator.runtime.input_sweeper import InputSweeper
from splitjob_operator.runtime.job_traces import JobTraces
from splitjob_operator.runtime.leader_elector import LeaderElector
from splitjob_operator.runtime.leader_work import LeaderWork, Loop
from splitjob_operator.runtime.leadership import Leadership
from splitjob_operator.runtime.metrics import count_watch
from splitjob_operator.runtime.node_monitor import NodeMonitor
from splitjob_operator.runtime.observer import Observer
from splitjob_operator.runtime.position_refresher import PositionRefresher
from splitjob_operator.runtime.progress_reader import ProgressReader
from splitjob_operator.runtime.queue_metrics import measure
from splitjob_operator.runtime.readiness import Readiness
from splitjob_operator.runtime.resync import Resync
from splitjob_operator.runtime.silent_watch import SilentWatchGuard
from splitjob_operator.runtime.thread_pool import ThreadPool
from splitjob_operator.runtime.totals_counter import TotalsCounter
from splitjob_operator.runtime.watches import Watches
from splitjob_operator.runtime.webhook_delivery import WebhookDelivery
from splitjob_operator.runtime.work_queue import WorkQueue

if TYPE_CHECKING:
    from splitjob_io.otlp import OtlpSpans

__all__ = ["App"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Shared:
    """What several parts of the operator work with.

    Attributes:
        fence: called before each write; raises where this process may write nothing.
        inputs: the callers' own files; none where the installation takes no uploads.
        threads: those in which the API server is asked.
        events: posts what happens to jobs.
        spans: where spans go; None: nobody is told any.
    """

    settings: Settings
    fence: Callable[[], None]
    kubernetes: KubernetesAdapter
    inputs: InputStore | None
    cache: SplitJobCache
    queue: WorkQueue
    threads: ThreadPool
    events: EventPoster
    readiness: Readiness
    spans: "OtlpSpans | None"

    @classmethod
    def of(cls, settings: Settings, fence: Callable[[], None]) -> Self:
        """Return them as the settings say, before anything is asked of the cluster."""
        kubernetes = KubernetesAdapter(
            settings.namespace, _rights(settings), settings.release, fence
        )
        return cls(
            settings=settings,
            fence=fence,
            kubernetes=kubernetes,
            inputs=InputStore.from_settings(settings, fence),
            cache=SplitJobCache(
                settings.bounds, settings.device, time.monotonic, group_by=settings.queue_group_by
            ),
            queue=WorkQueue(),
            threads=ThreadPool(2 * settings.concurrency, "kubernetes"),
            events=EventPoster(kubernetes),
            readiness=Readiness(),
            spans=open_spans("operator"),
        )

    @property
    def traces(self) -> JobTraces:
        """What tells the spans of jobs."""
        return JobTraces(self.spans)


class App:
    """One operator process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.leadership = Leadership()
        self._shared = shared = _Shared.of(settings, self.leadership.fence)
        self._delivery = _delivery(shared)
        self._progress = ProgressReader(shared.kubernetes, shared.cache, shared.queue)
        self._positions = PositionRefresher(shared.cache, shared.queue)
        self._counter = TotalsCounter(
            shared.kubernetes,
            shared.threads,
            shared.cache,
            settings,
            shared.readiness,
            self._note_counted,
        )
        self._sweeper = _sweeper(shared)
        self.controller = _controller(shared, self._delivery, self._progress, self._counter)
        self.resync = Resync(
            self.controller,
            shared.kubernetes,
            shared.kubernetes.unmet,
            shared.readiness,
            lambda: self.leadership.leads,
            _end_process,
        )
        self.watches = Watches(
            shared.kubernetes, self.controller.on_change, self.resync.list_again, count_watch
        )
        self._work = LeaderWork(self.controller, self.resync, self._loops(), _ended)
        self._elector = _elector(shared, self.leadership, self._work)
        measure(shared.cache, lambda: self.leadership.leads, lambda: self.resync.age)
        self._elector_thread = ThreadPool(1, "election")
        self._tasks: list[asyncio.Task[None]] = []
        self._election: asyncio.Task[None] | None = None
        self._http: web.AppRunner | None = None

    async def start(self) -> Self:
        """Serve health at once; stand for election once everything was listed."""
        self._http = await health_server.serve(
            self.resync, self.leadership, self.settings.host, self.settings.port
        )
        self._shared.events.start()
        self._spawn("resync", self.resync.run())
        self._spawn("leader's work", self._work.run())
        self._spawn("begin", self._begin())
        return self

    async def stop(self) -> None:
        """Stop; what was under way is found again by the next leader."""
        await self._shared.events.close()  # as long as this process leads
        self._elector.stop()
        self.watches.stop()
        for task in self._tasks:
            if task is not self._election:
                task.cancel()
        await self._work.end()
        await asyncio.gather(*self._tasks, return_exceptions=True)  # the Lease is let go of then
        await self._delivery.close()
        self._progress.close()
        self._shared.threads.close()
        if self._sweeper:
            self._sweeper.close()
        if self._http:
            await self._http.cleanup()
        if self._shared.spans:
            await asyncio.to_thread(self._shared.spans.close)

    async def _begin(self) -> None:
        await self.resync.first.wait()
        self._election = self._spawn("election", self._elector_thread.run(self._elector.run))

    def _note_counted(self, raw: dict[str, Any]) -> None:
        """Take in a SplitJob as the counter has marked it, which is there before the controller."""
        self.controller.note_at_rest(raw)

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


def _delivery(shared: _Shared) -> WebhookDelivery:
    """Return what sends final events, in threads of its own: a receiver may take its time."""
    senders = ThreadPool(shared.settings.delivery_concurrency, "deliver")
    sender = FinalEventSender(shared.settings, shared.fence)
    return WebhookDelivery(
        shared.kubernetes, shared.threads, senders, sender, shared.queue.add, traces=shared.traces
    )


def _sweeper(shared: _Shared) -> InputSweeper | None:
    """Return what deletes inputs that no job names, where callers may upload any."""
    if shared.inputs is None:
        return None
    orphan_seconds = shared.settings.orphan_input_seconds
    return InputSweeper(shared.inputs, shared.kubernetes, shared.cache, orphan_seconds)


def _controller(
    shared: _Shared, delivery: WebhookDelivery, progress: ProgressReader, counter: TotalsCounter
) -> Controller:
    """Return what reconciles each SplitJob, with what it observes by and what it acts by."""
    return Controller(
        settings=shared.settings,
        kubernetes=shared.kubernetes,
        executor=_executor(shared, delivery),
        cache=shared.cache,
        queue=shared.queue,
        observer=_observer(shared, delivery, progress),
        counter=counter,
        delivery=delivery,
        threads=shared.threads,
        guard=SilentWatchGuard(shared.settings.missed_watch_seconds, time.monotonic),
        readiness=shared.readiness,
    )


def _executor(shared: _Shared, delivery: WebhookDelivery) -> Executor:
    """Return what carries out plans in threads, while deliveries begin on the loop."""
    loop = asyncio.get_running_loop()
    return Executor(
        shared.kubernetes,
        ManifestStore.from_settings(shared.settings, shared.fence),
        shared.inputs,
        shared.settings.request_policy(),
        shared.settings,
        lambda name: loop.call_soon_threadsafe(delivery.start, name),
        shared.traces,
        shared.events,
    )


def _observer(shared: _Shared, delivery: WebhookDelivery, progress: ProgressReader) -> Observer:
    return Observer(
        kubernetes=shared.kubernetes,
        cache=shared.cache,
        progress=progress,
        delivery=delivery,
        threads=shared.threads,
        node_monitor=NodeMonitor(shared.kubernetes, shared.threads),
        keeps_finished_jobs=shared.settings.keep_finished_jobs_seconds > 0,
    )


def _elector(shared: _Shared, leadership: Leadership, work: LeaderWork) -> LeaderElector:
    """Return what stands for election, and has the work begin and end by it."""
    candidate = _candidate(shared.settings)
    heartbeat = Heartbeat(asyncio.get_running_loop(), candidate.times.answer)
    return LeaderElector(
        shared.kubernetes,
        shared.settings.lease_name,
        candidate,
        leadership,
        work.change,
        heartbeat.answered,
    )


def _rights(settings: Settings) -> tuple[Right, ...]:
    policies = settings.worker_network_policy is not None
    return rights_needed(
        settings.totals_configmap,
        settings.lease_name,
        network_policies=policies,
        kueue=bool(settings.kueue_local_queue),
    )


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
