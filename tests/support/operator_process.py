"""One operator process, all but kopf: resync, controller, executor, delivery, over fake ports.

It runs in one thread, as far as it can be seen: each call is answered at once, unless the process
stands still before one; then it waits in a thread of its own until it is told to go on.
"""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast

from tests.support.fake_ports import FakeBucketService, FakeKubernetes, FakeSender, Receiver
from tests.support.faults import Call, CallGate, Crash, Fault, asserted

from splitjob.allowlist import Allowlist
from splitjob.inputs import Inputs
from splitjob.models import load_registry
from splitjob.request_policy import RequestPolicy
from splitjob.result import ProgressLine
from splitjob.webhook import DeliveryOutcome
from splitjob_kube.errors import ConflictError, KubernetesError
from splitjob_operator.adapters.input_store import InputStore
from splitjob_operator.adapters.manifest_store import ManifestStore
from splitjob_operator.core.admission_queue import Bounds
from splitjob_operator.core.observed import QueueDecision
from splitjob_operator.core.ports import BucketError
from splitjob_operator.core.settings import Settings
from splitjob_operator.runtime.cache import SplitJobCache
from splitjob_operator.runtime.controller import Controller
from splitjob_operator.runtime.executor import Executor
from splitjob_operator.runtime.observer import Observer
from splitjob_operator.runtime.readiness import Readiness
from splitjob_operator.runtime.resync import Resync
from splitjob_operator.runtime.webhook_delivery import WebhookDelivery
from splitjob_operator.runtime.work_queue import WorkQueue

INPUTS = Inputs("stems", "")
POLICY = RequestPolicy(
    Allowlist.parse("https://hooks.example.com", local=False),
    load_registry(None),
    local=False,
    inputs=INPUTS,
)
TURNS = 4  # of the event loop, after which every delivery that can end has ended


class Surroundings:
    """What a process finds around it besides what it is told through its ports.

    Attributes:
        now: the time.
        may_start: what the queue says.
        lost_nodes: nodes that are away, and since when.
        progress: what the workers' logs say, by pod.
    """

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.may_start = True
        self.lost_nodes: dict[str, datetime] = {}
        self.progress: dict[str, ProgressLine] = {}

    def clock(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        return self.now.timestamp()


class OperatorProcess:
    """One operator process.

    Args:
        settings: the installation's.
        around: time, queue, nodes and logs.
        kubernetes, bucket, receiver: make its ways out, given its gate.
        overtake: changes the SplitJob, as others do.
    """

    def __init__(
        self,
        settings: Settings,
        around: Surroundings,
        kubernetes: Callable[[CallGate], FakeKubernetes],
        bucket: Callable[[CallGate], FakeBucketService],
        receiver: Receiver,
        overtake: Callable[[], None],
    ) -> None:
        self.gate = CallGate(overtake)
        self.port = kubernetes(self.gate)
        self.queue = Queue(around.clock)
        self._told: dict[str, tuple[str, dict[str, Any]]] = {}
        self._seen = dict(self._told)
        self._listed = False
        self._tasks: list[asyncio.Task[Any]] = []
        self._loop = asyncio.new_event_loop()
        self._loop.set_task_factory(self._begin)
        self._error: BaseException | None = None
        delivery = self._new_delivery(around, receiver)
        self.controller = self._new_controller(
            settings, around, delivery, self._new_executor(settings, bucket(self.gate), delivery)
        )
        self.resync = Resync(
            self.controller,
            self.port,
            lambda: (),
            self.controller.readiness,
            lambda: True,
            ignore,
            around.clock,
        )

    def _new_delivery(self, around: Surroundings, receiver: Receiver) -> WebhookDelivery:
        return WebhookDelivery(
            self.port,
            cast("Any", InlineThreads()),
            cast("Any", HeldBackAnswers(receiver)),
            FakeSender(receiver, self.gate),
            self.queue.add,
            around.clock,
        )

    def _new_executor(
        self, settings: Settings, bucket: FakeBucketService, delivery: WebhookDelivery
    ) -> Executor:
        service = cast("Any", bucket)
        return Executor(
            self.port,
            ManifestStore(service, ""),
            InputStore(service, INPUTS),
            POLICY,
            settings,
            delivery.start,
        )

    def _new_controller(
        self,
        settings: Settings,
        around: Surroundings,
        delivery: WebhookDelivery,
        executor: Executor,
    ) -> Controller:
        cache = Cache(around)
        return Controller(
            settings=settings,
            kubernetes=self.port,
            executor=executor,
            cache=cache,
            queue=self.queue,
            observer=Observer(
                kubernetes=self.port,
                cache=cache,
                progress=cast("Any", SimpleNamespace(line_of=around.progress.get)),
                delivery=delivery,
                threads=cast("Any", InlineThreads()),
                node_monitor=cast("Any", FakeNodes(around)),
                keeps_finished_jobs=settings.keep_finished_jobs_seconds > 0,
            ),
            counter=cast("Any", SimpleNamespace(wake=lambda: None)),
            delivery=delivery,
            threads=cast("Any", InlineThreads()),
            guard=cast("Any", SimpleNamespace(heard=ignore, listed=ignore)),
            readiness=Readiness(),
            clock=around.clock,
        )

    @property
    def stopped(self) -> bool:
        """Whether it stands still before a call."""
        return self.gate.stopped

    def look(self, name: str, faults: dict[Call, Fault], *, lists: bool) -> bool:
        """Look at one SplitJob, which a watch brings.

        Args:
            name: the SplitJob.
            faults: the accidents that wait; those that happen are taken out.
            lists: it lists everything before; the first time, it always does.

        Returns:
            Whether the process lives on.
        """
        work = self._look(name, faults, lists=lists or not self._listed)
        return self._run(work, stops=Fault.STOPPED in faults.values())

    def begin_watches_anew(self) -> None:
        """Have no watch bring what has changed until now: the API server no longer knows it."""
        self._told = self._seen = self._jobs_and_pods()

    def catch_up(self) -> bool:
        """List everything, then do all that is due, and nothing else."""
        return self._run(self._catch_up(), stops=False)

    def go_on(self) -> bool:
        """Go on after standing still; return whether the process lives on."""
        self.gate.resume()
        return self._came_back()

    def kill(self) -> None:
        """End it, whatever it was about to do."""
        self.gate.kill()
        if not self._loop.is_closed():
            self._close()

    async def _look(self, name: str, faults: dict[Call, Fault], *, lists: bool) -> None:
        if lists:
            await self.resync.once()
            self._listed = True
        for raw in self.port.splitjobs():
            if raw["metadata"]["name"] == name:
                self.controller.on_splitjob_event(raw, deleted=False)
        self._watch_jobs_and_pods(late=True)
        self.gate.arm(faults)
        await self._process(name)
        await self._deliver()

    async def _catch_up(self) -> None:
        await self.resync.once()
        self._watch_jobs_and_pods(late=False)
        for _ in range(20):
            if not self.queue.has_work:
                return
            name = await self.queue.take()
            await self._process(name)
            self.queue.done(name)
            await self._deliver()
        raise AssertionError("it looks again and again")

    def _watch_jobs_and_pods(self, *, late: bool) -> None:
        """Have the watches bring what has changed.

        Args:
            late: they are behind, by a look.
        """
        now = self._jobs_and_pods()
        brought = self._seen if late else now
        for uid in self._told.keys() - brought.keys():
            self.controller.on_child_event(*self._told[uid], deleted=True)
        for uid, (kind, raw) in brought.items():
            event = "MODIFIED" if uid in self._told else "ADDED"
            self.controller.on_change(kind, event, raw)
        self._told, self._seen = brought, now

    def _jobs_and_pods(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """Return those that are there, with their kinds, by uid."""
        return {
            raw["metadata"]["uid"]: (kind, raw)
            for kind in ("Job", "Pod")
            for raw in self.port.watched(kind)
        }

    async def _process(self, name: str) -> None:
        try:
            await self.controller.process(name)
        except ConflictError:
            self.queue.add(name)
        except (KubernetesError, BucketError):
            self.queue.add_after_failure(name)
        else:
            self.queue.forget_failures(name)

    def _begin(
        self, loop: asyncio.AbstractEventLoop, work: Any, /, **options: Any
    ) -> asyncio.Task[Any]:
        task = asyncio.Task(work, loop=loop, **options)
        self._tasks.append(task)
        return task

    async def _deliver(self) -> None:
        """Let the deliveries go as far as they come; raise what no handler of theirs may see."""
        for _ in range(TURNS):
            await asyncio.sleep(0)
        over = [task for task in self._tasks if task.done()]
        self._tasks = [task for task in self._tasks if not task.done()]
        for task in over:
            if error := task.exception():
                raise error

    # Running, standing still, ending

    def _run(self, work: Any, *, stops: bool) -> bool:
        self.gate.arm({})
        if not stops:
            self._work(work)
            return self._ended()
        thread = threading.Thread(target=self._work_and_hand_back, args=(work,), daemon=True)
        thread.start()
        self.gate.handed_back.acquire()
        return self._came_back()

    def _came_back(self) -> bool:
        return True if self.stopped else self._ended()

    def _work(self, work: Any) -> None:
        try:
            self._loop.run_until_complete(work)
        except BaseException as error:  # noqa: BLE001 - it is raised where the test can see it
            self._error = error

    def _work_and_hand_back(self, work: Any) -> None:
        self._work(work)
        self.gate.handed_back.release()

    def _ended(self) -> bool:
        error, self._error = self._error, None
        if isinstance(error, Crash):
            self._close()
            return False
        with asserted():
            if error:
                raise error
        return True

    def _close(self) -> None:
        """End what is under way, as a process does that is killed: none of it does anything."""
        self.gate.kill()
        self._loop.run_until_complete(self._end_deliveries())
        self._loop.close()

    async def _end_deliveries(self) -> None:
        others = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


class InlineThreads:
    """Blocking calls that are over at once."""

    async def run(self, call: Any, *arguments: Any) -> Any:
        return call(*arguments)


class HeldBackAnswers:
    """Sends at once; the answer is heard when the receiver gives it."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    async def run(self, send: Any, *arguments: Any) -> DeliveryOutcome:
        outcome: DeliveryOutcome = send(*arguments)
        for _ in iter(lambda: self._receiver.hangs, False):
            await asyncio.sleep(0)
        return outcome


class Queue(WorkQueue):
    """The queue of names, that can be asked whether to wait."""

    @property
    def has_work(self) -> bool:
        """Whether there is something to do now."""
        self._move_due()
        return bool(len(self))

    @property
    def next_due(self) -> datetime | None:
        """When there will be."""
        return min(self._due.values(), default=None)


class Cache(SplitJobCache):
    """The queue of an installation that has other jobs to start first, at times."""

    def __init__(self, around: Surroundings) -> None:
        super().__init__(Bounds(), "cpu", around.monotonic)
        self._around = around

    def queue_decision(self, name: str) -> QueueDecision:
        decision = super().queue_decision(name)
        return replace(decision, may_start=decision.may_start and self._around.may_start)


class FakeNodes:
    """The nodes that are away."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around

    @property
    def lost(self) -> dict[str, datetime]:
        return self._around.lost_nodes

    async def refresh(self, _: object) -> None:
        pass

    async def recheck(self, _: object) -> dict[str, datetime]:
        return dict(self._around.lost_nodes)


def ignore(*_: object) -> None:
    """Do nothing."""
