"""The operator at work: events queue names; each is read, reconciled, and its plan carried out."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from pydantic_core import from_json, to_json

from splitjob.jsonlog import log_context
from splitjob.resource import LABEL_SPLITJOB
from splitjob_kube.errors import ConflictError, KubernetesError, NotFoundError
from splitjob_operator.core.cached_splitjob import BlockedReason
from splitjob_operator.core.lookups import CheckRequest, Lookup, LookupResults
from splitjob_operator.core.observed import JobCreationError, Observed, SplitJob
from splitjob_operator.core.plan import Plan
from splitjob_operator.core.ports import BucketError, KubernetesPort
from splitjob_operator.core.reconcile import reconcile
from splitjob_operator.core.settings import Settings
from splitjob_operator.core.status_json import dump_status
from splitjob_operator.runtime.cache import SplitJobCache
from splitjob_operator.runtime.clock import Clock, utc_now
from splitjob_operator.runtime.executor import Execution, Executor
from splitjob_operator.runtime.metrics import RECONCILES
from splitjob_operator.runtime.observer import Observer, is_urgent
from splitjob_operator.runtime.readiness import Readiness
from splitjob_operator.runtime.silent_watch import SilentWatchGuard
from splitjob_operator.runtime.thread_pool import ThreadPool
from splitjob_operator.runtime.totals_counter import TotalsCounter, uncounted_in
from splitjob_operator.runtime.webhook_delivery import WebhookDelivery
from splitjob_operator.runtime.work_queue import WorkQueue

__all__ = ["Controller"]

log = logging.getLogger(__name__)

Json = dict[str, Any]
MAX_LOOKUPS = 6
SETTLING = timedelta(seconds=1)  # in which a Job gets its pod, and that its node
NAMED_WITHIN = timedelta(seconds=15)  # Job and pod of an attempt are noted, with what comes next
REQUEST_ERRORS = {400, 404, 413, 422}  # the API server's answers to what is wrong with a request


@dataclass(kw_only=True)
class Controller:
    """Reconciles every SplitJob of a namespace.

    Attributes:
        reconciled: the resource version at which each SplitJob was last reconciled.
        news: those that wait for a look as the watch brought them, as JSON.
        held: those that are being written, each with what the watch has brought of it meanwhile:
            what is written here, as a rule, whose answer is still on its way.
        to_be_read: those whose next look goes by what is read then, not by what the watches tell.
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
    news: dict[str, bytes] = field(default_factory=dict)
    held: dict[str, Json | None] = field(default_factory=dict)
    to_be_read: set[str] = field(default_factory=set)

    # Events of the watches

    def on_change(self, kind: str, event: str, raw: Json) -> bool:
        """Take in what a watch has brought; return whether that was any news.

        Args:
            kind: SplitJob, Job or Pod.
            event: ADDED, MODIFIED, DELETED; or BOOKMARK, which only says how far the watch is.
            raw: the object.
        """
        self.guard.heard(kind, raw["metadata"]["resourceVersion"])
        if event == "BOOKMARK" or (event == "MODIFIED" and not self._is_news(kind, raw)):
            return False
        if kind == "SplitJob":
            self.on_splitjob_event(raw, deleted=event == "DELETED")
        else:
            self.on_child_event(kind, raw, deleted=event == "DELETED")
        return True

    def _is_news(self, kind: str, raw: Json) -> bool:
        """Whether anything that is looked at has changed; most often it was written here."""
        metadata = raw["metadata"]
        if kind == "SplitJob":
            return self.reconciled.get(metadata["name"]) != str(metadata["resourceVersion"])
        owner = metadata.get("labels", {}).get(LABEL_SPLITJOB, "")
        return self.observer.says_anything_new(owner, kind, raw)

    def on_splitjob_event(self, raw: Json, *, deleted: bool) -> None:
        """Take in a change of a SplitJob; after the write of it that is under way, if any."""
        name = raw["metadata"]["name"]
        if deleted:
            self.held.pop(name, None)
            self._forget(name)
        elif name in self.held:
            self.held[name] = raw
        else:
            self.take_in(raw)

    def take_in(self, raw: Mapping[str, Any]) -> None:
        """Have a SplitJob looked at; what is known to be outdated by now changes nothing."""
        self.remember(raw)
        name, version = raw["metadata"]["name"], raw["metadata"]["resourceVersion"]
        if not self.queue.is_open or self.reconciled.get(name) == version:
            return
        if self._is_latest(raw):
            self.news[name] = to_json(raw)
            self.queue.add(name)

    def on_child_event(self, kind: str, raw: Mapping[str, Any], *, deleted: bool) -> None:
        """Take in a change of a Job or pod."""
        metadata = raw["metadata"]
        owner = metadata.get("labels", {}).get(LABEL_SPLITJOB)
        if owner is None:
            return
        if kind == "Job":
            self.observer.note_job(owner, metadata["name"], deleted=deleted)
        self.observer.note_told(owner, kind, raw, deleted=deleted)
        known = self.cache.get(owner)
        ended = known is not None and known.state.finished
        if not ended and (deleted or is_urgent(kind, raw)):
            self.queue.add(owner)
        else:  # more of the same will follow
            self.queue.add_at(owner, self.clock() + SETTLING)

    def remember(self, raw: Mapping[str, Any]) -> None:
        """Remember a SplitJob as it is now."""
        before = self.cache.get(raw["metadata"]["name"])
        after = self.cache.put(raw)
        if before and before.active and not after.active:
            self.queue_next()
        if after.state.finished and not after.counted:
            self.counter.wake()

    def wake_counter(self) -> None:
        """Have counted what has ended and is not in the totals."""
        if uncounted_in(self.cache):
            self.counter.wake()

    def note_at_rest(self, raw: Mapping[str, Any]) -> None:
        """Take in a SplitJob as it is; reconciled, where nothing is to be done for it now.

        At a start, before anybody works: to look at each by itself takes long where there are
        thousands. And each as it was marked as counted, which is the last that is written of most.
        """
        self.remember(raw)
        plan = self._plan_at_rest(raw)
        if plan is None:
            self.take_in(raw)
            return
        name = raw["metadata"]["name"]
        self.reconciled[name] = raw["metadata"]["resourceVersion"]
        self.cache.set_blocked(name, plan.blocked)
        if plan.requeue_at:
            self.queue.add_at(name, plan.requeue_at)

    def _plan_at_rest(self, raw: Mapping[str, Any]) -> Plan | None:
        """Return the plan of one that nothing is to be done for now; None where something is."""
        try:
            splitjob = SplitJob.of(raw)
            observed = self.observer.at_rest(splitjob)
            if observed is None or splitjob.deleting or not raw.get("status"):
                return None
            plan = reconcile(observed, self.settings, self.clock())
        except Exception as error:  # noqa: BLE001 - its own look says so, and others are served
            log.debug("It is looked at by itself: %s", error)
            return None
        same = plan.status is None or dump_status(plan.status) == dump_status(splitjob.status)
        return plan if same and not (plan.lookup or plan.before or plan.after) else None

    def stand_by(self) -> None:
        """Only remember what there is, for the time that another operator leads."""
        self.queue.close()
        self.news.clear()
        self.to_be_read.clear()
        self.reconciled.clear()

    def take_over(self) -> None:
        """Queue what is under way and who is next: another operator has led until now."""
        self.queue.open()
        for entry in self.cache:
            if entry.active:
                self.queue.add(entry.name)
        self.queue_next()

    def read_again(self, name: str) -> None:
        """Have a SplitJob looked at by what is read of it, its Jobs and pods.

        A watch that began anew never tells what had changed before: where that was the end of a pod
        it would be taken for running for ever.
        """
        self.to_be_read.add(name)
        self.queue.add(name)

    def queue_next(self) -> None:
        """Queue the SplitJobs whose turn it is now."""
        for name in self.cache.next_up():
            self.queue.add(name)

    # The work

    async def work(self) -> None:
        """Reconcile queued names for ever; several of these run beside each other."""
        while True:
            name = await self.queue.take()
            try:
                await self.readiness.may_work.wait()
                await self._process_measured(name)
            finally:
                self.queue.done(name)

    async def _process_measured(self, name: str) -> None:
        began = time.monotonic()
        outcome = "error"
        try:
            with log_context(job_id=name):
                outcome = await self._process_guarded(name)
        finally:
            RECONCILES.labels(outcome).observe(time.monotonic() - began)

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
        """Read one SplitJob, reconcile it, carry the plan out.

        As the watch brought it will do for a plan that its status is written for under the version
        that was read; what takes more is planned again for what is read now.
        """
        news = self.news.pop(name, None)
        if news and name not in self.to_be_read:
            brought: Json = from_json(news)
            if self._is_latest(brought) and await self._look(brought, as_brought=True):
                return
        self.to_be_read.discard(name)
        try:
            raw = await self.threads.run(self.kubernetes.splitjob, name)
        except NotFoundError:
            self._forget(name)
            return
        await self._look(raw)

    async def _look(self, raw: Json, *, as_brought: bool = False) -> bool:
        """Look at a SplitJob as it was read; return whether all was done that is to be done.

        Args:
            raw: the SplitJob.
            as_brought: whether the watch brought it, so that it may be another one by now.
        """
        self.cache.restore(raw)
        splitjob = SplitJob.of(raw)
        request = splitjob.spec.request if splitjob.spec else None
        with log_context(
            version_id=request.version_id if request else None,
            correlation_id=request.correlation_id if request else None,
        ):
            told = self.observer.as_told(splitjob) if as_brought else None
            if told and (plan := self._plan_as_told(told)):
                if not self._put_off(raw, told, plan):
                    await self._carry_out(raw, told, plan)
                return True
            observed = await self.observer.observe(splitjob)
            plan = await self._plan(observed, as_brought=as_brought)
            if plan is None:
                return False
            error = await self._carry_out(raw, observed, plan)
            if error:  # an observation too: `reconcile` decides what follows
                await self._look_again(splitjob.name, error)
        return True

    async def _look_again(self, name: str, error: JobCreationError) -> None:
        """Look at a SplitJob whose Job could not be created just now."""
        raw = await self.threads.run(self.kubernetes.splitjob, name)
        observed = await self.observer.observe(SplitJob.of(raw))
        observed = replace(observed, job_creation_error=error)
        plan = await self._plan(observed)
        again = await self._carry_out(raw, observed, plan) if plan else None
        if again:
            raise RuntimeError(f"cannot create the Job at the second try either: {again.message}")

    async def _carry_out(
        self, raw: Json, observed: Observed, plan: Plan
    ) -> JobCreationError | None:
        """Carry a plan out; return why the attempt's Job could not be created."""
        name = observed.splitjob.name
        if _starts(plan, observed):
            # No await between the decision and the reservation: no other can take the slot.
            if not self.cache.queue_decision(name).may_start:
                self.queue.add(name)
                return None
            self.cache.reserve(name)
        # Where this fails the slot stays reserved: the status may be written, its Job not yet.
        # The failure has this SplitJob reconciled again, which corrects the cache.
        self.held[name] = None
        try:
            done = await self._execute(raw, observed, plan)
            self.delivery.forget(name, observed.delivery)
            if not done.job_creation_error and name in self.held:  # else it was deleted meanwhile
                self._after_write(done.splitjob)
                self._set_blocked(name, plan.blocked)
                if plan.requeue_at:
                    self.queue.add_at(name, plan.requeue_at)
        finally:
            if held := self.held.pop(name, None):
                self.take_in(held)
        return done.job_creation_error

    async def _execute(self, raw: Json, observed: Observed, plan: Plan) -> Execution:
        splitjob = observed.splitjob
        if plan.does_nothing(splitjob.status):
            return Execution(raw)
        return await self.threads.run(self.executor.execute, raw, splitjob, plan, self.clock())

    async def _plan(self, observed: Observed, *, as_brought: bool = False) -> Plan | None:
        """Return the plan, after the lookups that it depends on.

        Args:
            observed: what was read.
            as_brought: whether the SplitJob is as the watch brought it.

        Returns:
            None where the SplitJob must be read for such a plan, and is as the watch brought it.
        """
        splitjob = observed.splitjob
        for _ in range(MAX_LOOKUPS):
            now = self.clock()
            plan = reconcile(observed, self.settings, now)
            if as_brought and not plan.stands_by_its_version:
                return None
            if plan.lookup is None:
                return plan
            results = await self._look_up(plan.lookup, observed, now)
            decision = self.cache.queue_decision(splitjob.name)
            observed = replace(observed, lookups=results, queue_decision=decision)
        raise RuntimeError(f"reconcile wants the same looked up again and again: {plan.lookup}")

    def _plan_as_told(self, observed: Observed) -> Plan | None:
        """Return the plan for what the watches tell; None where what is there must be read.

        What they tell may be a little old: enough to tell it on, not to decide an end by.
        """
        plan = reconcile(observed, self.settings, self.clock())
        return plan if plan.only_tells(observed.splitjob.status) else None

    def _put_off(self, raw: Json, told: Observed, plan: Plan) -> bool:
        """Look at a SplitJob again soon where there is nothing to tell yet; return whether so.

        Which Job and pod an attempt has is written with what they do next, as a rule: most of them
        run, or are found no room for, within seconds.
        """
        splitjob = told.splitjob
        created_at = splitjob.status.attempts[-1].created_at
        due = created_at + NAMED_WITHIN if created_at else self.clock()
        if due <= self.clock() or not plan.only_names(splitjob.status):
            return False
        self.news.setdefault(splitjob.name, to_json(raw))
        self.queue.add_at(splitjob.name, min(due, plan.requeue_at or due))
        return True

    async def _look_up(self, lookup: Lookup, observed: Observed, now: datetime) -> LookupResults:
        spec = observed.splitjob.spec
        if isinstance(lookup, CheckRequest) and not (spec and spec.request.secret_name):
            # Nothing is read for it: over at once, sooner than a thread would begin.
            return self.executor.look_up(lookup, observed.splitjob, observed.lookups, now)
        return await self.threads.run(
            self.executor.look_up, lookup, observed.splitjob, observed.lookups, now
        )

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
        name = raw["metadata"]["name"]
        self.reconciled[name] = raw["metadata"]["resourceVersion"]
        self.remember(raw)
        known = self.cache.get(name)
        if known and known.active and self._is_latest(raw):
            self.news[name] = to_json(raw)  # its Job and pod will have it looked at soon

    def _is_latest(self, raw: Mapping[str, Any]) -> bool:
        """Whether no other state of a SplitJob has become known since."""
        known, metadata = self.cache.get(raw["metadata"]["name"]), raw["metadata"]
        seen = (metadata["uid"], metadata["resourceVersion"])
        return known is not None and (known.uid, known.resource_version) == seen

    def _forget(self, name: str) -> None:
        self.cache.drop(name)
        self.news.pop(name, None)
        self.to_be_read.discard(name)
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
