"""The operator at work: events queue names; each is read, reconciled, and its plan carried out."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from splitjob.jsonlog import log_context
from splitjob.resource import LABEL_SPLITJOB
from splitjob_kube.errors import ConflictError, KubernetesError, NotFoundError
from splitjob_operator.core.cached_splitjob import BlockedReason
from splitjob_operator.core.observed import JobCreationError, Observed, SplitJob
from splitjob_operator.core.plan import Plan
from splitjob_operator.core.ports import BucketError, KubernetesPort
from splitjob_operator.core.reconcile import reconcile
from splitjob_operator.core.settings import Settings
from splitjob_operator.core.status_json import dump_status
from splitjob_operator.runtime.cache import SplitJobCache
from splitjob_operator.runtime.clock import Clock, utc_now
from splitjob_operator.runtime.executor import Executor
from splitjob_operator.runtime.metrics import RECONCILES
from splitjob_operator.runtime.observer import Observer
from splitjob_operator.runtime.readiness import Readiness
from splitjob_operator.runtime.silent_watch import SilentWatchGuard
from splitjob_operator.runtime.thread_pool import ThreadPool
from splitjob_operator.runtime.totals_counter import TotalsCounter
from splitjob_operator.runtime.webhook_delivery import WebhookDelivery
from splitjob_operator.runtime.work_queue import WorkQueue

__all__ = ["Controller"]

log = logging.getLogger(__name__)

Json = dict[str, Any]
MAX_LOOKUPS = 6
REQUEST_ERRORS = {400, 404, 413, 422}  # the API server's answers to what is wrong with a request


@dataclass(kw_only=True)
class Controller:
    """Reconciles every SplitJob of a namespace.

    Attributes:
        reconciled: the resource version at which each SplitJob was last reconciled.
    """

    settings: Settings
    kubernetes: KubernetesPort
    executor: Executor
    cache: SplitJobCache
    queue: WorkQueue
    observer: Observer
    counter: TotalsCounter
    delivery: WebhookDelivery
    threads: ThreadPool
    guard: SilentWatchGuard
    readiness: Readiness
    clock: Clock = utc_now
    reconciled: dict[str, str] = field(default_factory=dict)

    # Events of the watches

    def on_splitjob_event(self, raw: Mapping[str, Any], *, deleted: bool) -> None:
        """Take in a change of a SplitJob."""
        name = raw["metadata"]["name"]
        self.guard.heard("SplitJob", raw["metadata"]["resourceVersion"])
        if deleted:
            self._forget(name)
            return
        self.remember(raw)
        if self.reconciled.get(name) != raw["metadata"]["resourceVersion"]:
            self.queue.add(name)

    def on_child_event(self, kind: str, raw: Mapping[str, Any], *, deleted: bool) -> None:
        """Take in a change of a Job or pod."""
        metadata = raw["metadata"]
        owner = metadata.get("labels", {}).get(LABEL_SPLITJOB)
        if owner is None:
            return
        self.guard.heard(kind, metadata["resourceVersion"])
        if kind == "Job":
            self.observer.note_job(owner, metadata["name"], deleted=deleted)
        self.queue.add(owner)

    def remember(self, raw: Mapping[str, Any]) -> None:
        """Remember a SplitJob as it is now."""
        before = self.cache.get(raw["metadata"]["name"])
        after = self.cache.put(raw)
        if before and before.active and not after.active:
            self.queue_next()
        if after.state.finished and not after.counted:
            self.counter.wake()

    def note_at_rest(self, raw: Mapping[str, Any]) -> None:
        """Note a SplitJob as reconciled where nothing is to be done for it, as it was just listed.

        At a start, before anybody works: to read each anew takes long where there are thousands.
        """
        try:
            plan = self._plan_at_rest(raw)
        except Exception as error:  # noqa: BLE001 - its own look says so, and others are served
            log.debug("It is looked at by itself: %s", error)
            return
        if plan is None:
            return
        name = raw["metadata"]["name"]
        self.reconciled[name] = raw["metadata"]["resourceVersion"]
        self.cache.set_blocked(name, plan.blocked)
        if plan.requeue_at:
            self.queue.add_at(name, plan.requeue_at)

    def _plan_at_rest(self, raw: Mapping[str, Any]) -> Plan | None:
        """Return the plan of one that nothing is to be done for now; None where something is."""
        splitjob = SplitJob.of(raw)
        observed = self.observer.at_rest(splitjob)
        if observed is None or splitjob.deleting or not raw.get("status"):
            return None
        plan = reconcile(observed, self.settings, self.clock())
        same = plan.status is None or dump_status(plan.status) == dump_status(splitjob.status)
        return plan if same and not (plan.lookup or plan.before or plan.after) else None

    def queue_next(self) -> None:
        """Queue the SplitJobs whose turn it is now."""
        for name in self.cache.next_up():
            self.queue.add(name)

    # The work

    async def work(self) -> None:
        """Reconcile queued names for ever; several of these run beside each other."""
        while True:
            name = await self.queue.take()
            await self.readiness.may_work.wait()
            began = time.monotonic()
            outcome = "error"
            try:
                with log_context(job_id=name):
                    outcome = await self._process_guarded(name)
            finally:
                RECONCILES.labels(outcome).observe(time.monotonic() - began)
                self.queue.done(name)

    async def _process_guarded(self, name: str) -> str:
        try:
            await self.process(name)
        except ConflictError:
            self.queue.add(name)  # it has changed since it was read: reconcile it anew
            return "conflict"
        except Exception as error:
            delay = self.queue.add_after_failure(name)
            if _concerns_it_alone(error):
                await self._block_failing(name)
            log.warning("Not done, again in %.1f s: %s", delay, error, exc_info=_unforeseen(error))
            return "error"
        self.queue.forget_failures(name)
        return "done"

    async def process(self, name: str) -> None:
        """Read one SplitJob, reconcile it, carry the plan out."""
        try:
            raw = await self.threads.run(self.kubernetes.splitjob, name)
        except NotFoundError:
            self._forget(name)
            return
        self.cache.restore(raw)
        splitjob = SplitJob.of(raw)
        request = splitjob.spec.request if splitjob.spec else None
        with log_context(
            version_id=request.version_id if request else None,
            correlation_id=request.correlation_id if request else None,
        ):
            error = await self._reconcile(raw, await self.observer.observe(splitjob))
            if error:  # an observation too: `reconcile` decides what follows
                raw = await self.threads.run(self.kubernetes.splitjob, name)
                observed = await self.observer.observe(SplitJob.of(raw))
                error = await self._reconcile(raw, replace(observed, job_creation_error=error))
            if error:
                raise RuntimeError(
                    f"cannot create the Job at the second try either: {error.message}"
                )

    async def _reconcile(self, raw: Json, observed: Observed) -> JobCreationError | None:
        """Make a plan and carry it out; return why the attempt's Job could not be created."""
        name = observed.splitjob.name
        plan = await self._plan(observed)
        if _starts(plan, observed):
            # No await between the decision and the reservation: no other can take the slot.
            if not self.cache.queue_decision(name).may_start:
                self.queue.add(name)
                return None
            self.cache.reserve(name)
        now = self.clock()
        # Where this fails the slot stays reserved: the status may be written, its Job not yet.
        # The failure has this SplitJob reconciled again, which corrects the cache.
        done = await self.threads.run(self.executor.execute, raw, observed.splitjob, plan, now)
        self.delivery.forget(name, observed.delivery)
        if done.job_creation_error:
            return done.job_creation_error
        self._after_write(done.splitjob)
        self._set_blocked(name, plan.blocked)
        if plan.requeue_at:
            self.queue.add_at(name, plan.requeue_at)
        return None

    async def _plan(self, observed: Observed) -> Plan:
        """Return the plan, after the lookups that it depends on."""
        splitjob = observed.splitjob
        for _ in range(MAX_LOOKUPS):
            now = self.clock()
            plan = reconcile(observed, self.settings, now)
            if plan.lookup is None:
                return plan
            results = await self.threads.run(
                self.executor.look_up, plan.lookup, splitjob, observed.lookups, now
            )
            decision = self.cache.queue_decision(splitjob.name)
            observed = replace(observed, lookups=results, queue_decision=decision)
        raise RuntimeError(f"reconcile wants the same looked up again and again: {plan.lookup}")

    def _set_blocked(self, name: str, blocked: BlockedReason | None) -> None:
        """Note whether a SplitJob is blocked, and queue whose turn it is where that has changed."""
        if self.cache.set_blocked(name, blocked):
            self.queue_next()

    async def _block_failing(self, name: str) -> None:
        """Block one that failed, once it is known whether it has an attempt under way."""
        try:
            self.cache.restore(await self.threads.run(self.kubernetes.splitjob, name))
        except Exception as error:  # noqa: BLE001 - it must not end the worker
            log.debug("The cache is corrected at its next reconcile: %s", error)
            return
        self.cache.set_blocked(name, BlockedReason.JOB)
        self.queue_next()

    def _after_write(self, raw: Json) -> None:
        """Remember a SplitJob as it was just written, so that the event of it queues nothing."""
        self.reconciled[raw["metadata"]["name"]] = raw["metadata"]["resourceVersion"]
        self.remember(raw)

    def _forget(self, name: str) -> None:
        self.cache.drop(name)
        self.reconciled.pop(name, None)
        self.delivery.forget(name, self.delivery.report(name))
        self.queue_next()


def _starts(plan: Plan, observed: Observed) -> bool:
    """Whether a plan begins an attempt that was not under way."""
    before = len(observed.splitjob.status.attempts)
    return plan.status is not None and len(plan.status.attempts) > before


def _concerns_it_alone(error: Exception) -> bool:
    """Whether an error is of this SplitJob: an outage would meet all the others as well."""
    return not isinstance(error, KubernetesError) or error.status in REQUEST_ERRORS


def _unforeseen(error: Exception) -> bool:
    """Whether an error is logged with its stack: not one of networks and servers."""
    return not isinstance(error, KubernetesError | BucketError)
