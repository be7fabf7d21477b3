"""Sends final events, each in a thread of its own, and reports what came of it."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from random import SystemRandom
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

from splitjob import urls
from splitjob.errors import known_code
from splitjob.jsonlog import log_context
from splitjob.resource import SECRET_TYPE
from splitjob.status import WebhookStatus
from splitjob.usage import usage_of
from splitjob.webhook import DeliveryOutcome, encode, final_event
from splitjob_kube.errors import KubernetesError, NotFoundError
from splitjob_operator.core import outbox
from splitjob_operator.core.check_before_start import secret_texts
from splitjob_operator.core.observed import DeliveryReport, SplitJob
from splitjob_operator.core.ports import KubernetesPort, WebhookSenderPort
from splitjob_operator.runtime.clock import Clock, utc_now
from splitjob_operator.runtime.job_traces import JobTraces
from splitjob_operator.runtime.leadership import NotLeadingError
from splitjob_operator.runtime.metrics import DELIVERIES
from splitjob_operator.runtime.thread_pool import ThreadPool

__all__ = ["WebhookDelivery"]

log = logging.getLogger(__name__)

AT_ONCE_TO_ONE_HOST = 8  # so that a receiver that hangs delays no other
NO_URL = f"no Secret of type {SECRET_TYPE} holds the webhook's URL (any more)"

Origin = tuple[str, str, int]  # scheme, host and port


class _DueEvent(NamedTuple):
    """A final event that is to be sent now.

    Attributes:
        splitjob: whose it is.
        hook: its outbox.
        url: of the receiver; None: it is not known any more.
    """

    splitjob: SplitJob
    hook: WebhookStatus
    url: str | None


class WebhookDelivery:
    """Sends the final events that are due, and reports what came of them.

    A report is kept until `reconcile` has written it into the status, which decides what follows.
    What a process had not written when it ended is sent once more by the next one.

    Args:
        kubernetes: where the outboxes are.
        threads: where calls to the API server run.
        senders: where webhooks are sent: as many at once as it has threads; closed with this.
        sender: sends one webhook.
        reported: called with the name of each SplitJob that there is a report about.
        clock: the time, in UTC.
        traces: tells spans.
    """

    def __init__(
        self,
        kubernetes: KubernetesPort,
        threads: ThreadPool,
        senders: ThreadPool,
        sender: WebhookSenderPort,
        reported: Callable[[str], object],
        clock: Clock = utc_now,
        traces: JobTraces | None = None,
    ) -> None:
        self._kubernetes = kubernetes
        self._threads = threads
        self._senders = senders
        self._sender = sender
        self._reported = reported
        self._clock = clock
        self._traces = traces or JobTraces()
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._reports: dict[str, DeliveryReport] = {}
        self._receivers: WeakValueDictionary[Origin | None, asyncio.Semaphore] = (
            WeakValueDictionary()
        )

    def report(self, name: str) -> DeliveryReport | None:
        """Return what came of the last delivery of a SplitJob, until that is forgotten."""
        return self._reports.get(name)

    def forget(self, name: str, report: DeliveryReport | None) -> None:
        """Drop a report that was dealt with; a newer one stays."""
        if report is not None and self._reports.get(name) is report:
            del self._reports[name]

    def start(self, name: str) -> None:
        """Deliver the event of a SplitJob, unless that is under way."""
        if name in self._under_way:
            return
        task = asyncio.create_task(self._guarded(name), name=f"deliver {name}")
        self._under_way[name] = task
        task.add_done_callback(lambda _: self._under_way.pop(name, None))

    async def close(self) -> None:
        """Stop; what is under way may be sent once more by the next process."""
        for task in tuple(self._under_way.values()):
            task.cancel()
        self._senders.close()

    async def _guarded(self, name: str) -> None:
        with log_context(job_id=name):
            try:
                await self._deliver(name)
            except NotFoundError:
                return
            except KubernetesError as error:
                log.warning("Delivery postponed: %s", error)
            except Exception:
                log.exception("Delivery failed by a defect; it is tried again")

    async def _deliver(self, name: str) -> None:
        due = await self._read(name)
        if due is None:
            return
        receiver = self._receiver(due.url)
        if receiver.locked():  # for hours, it may be: nothing is held, and then it is read anew
            due = None
        async with receiver:
            due = due or await self._read(name)
            if due:
                await self._attempt(due)

    def _receiver(self, url: str | None) -> asyncio.Semaphore:
        """Return what bounds how many events a receiver is sent at once, however it is spelled."""
        origin = _origin(url)
        found = self._receivers.get(origin)
        if found is None:
            found = self._receivers[origin] = asyncio.Semaphore(AT_ONCE_TO_ONE_HOST)
        return found

    async def _read(self, name: str) -> _DueEvent | None:
        """Return a SplitJob's event and its receiver, as they are now; None: it is not due."""
        splitjob = SplitJob.of(await self._threads.run(self._kubernetes.splitjob, name))
        hook, unwritten = splitjob.status.webhook, self._reports.get(name)
        if hook is None or not outbox.due(hook, self._clock()):
            return None
        if unwritten and unwritten.concerns(splitjob):
            return None
        return _DueEvent(splitjob, hook, await self._threads.run(self._url, splitjob))

    async def _attempt(self, due: _DueEvent) -> None:
        """Try once, and report what came of it."""
        splitjob, hook, _ = due
        outcome = await self._outcome(due)
        DELIVERIES.labels("delivered" if outcome.delivered else "failed").inc()
        log.info(
            "Webhook %s attempt %d: %s",
            hook.event_id,
            hook.attempts + 1,
            "delivered" if outcome.delivered else outcome.error,
        )
        jitter = SystemRandom().random()
        self._reports[splitjob.name] = DeliveryReport(
            splitjob.uid, hook.attempts, hook.redeliveries, outcome, jitter
        )
        self._reported(splitjob.name)

    async def _outcome(self, due: _DueEvent) -> DeliveryOutcome:
        """Return what came of an attempt; a defect of ours counts as one too."""
        splitjob, hook, url = due
        if splitjob.spec is None:
            return DeliveryOutcome(delivered=False, gone=True, error=splitjob.spec_error)
        if url is None:
            return DeliveryOutcome(delivered=False, gone=True, error=NO_URL)
        try:
            return await self._send(splitjob, hook, url)
        except NotLeadingError:
            raise  # it is another operator's to send
        except Exception as error:
            log.exception("A webhook was not sent, by a defect")
            return DeliveryOutcome(
                delivered=False, error=f"not sent, by a defect of ours: {type(error).__name__}"
            )

    async def _send(self, splitjob: SplitJob, hook: WebhookStatus, url: str) -> DeliveryOutcome:
        body = encode(_body(splitjob, hook))
        place = self._traces.of_delivery(splitjob)
        send = partial(self._sender.send, traceparent=place.traceparent if place else "")
        began = utc_now()
        outcome = await self._senders.run(send, url, hook.event_id, body)
        self._traces.delivered(splitjob, hook, place, began, utc_now(), outcome)
        return outcome

    def _url(self, splitjob: SplitJob) -> str | None:
        """Return the whole webhook URL, or None where its Secret is gone or of another type."""
        if splitjob.spec is None:
            return None
        request = splitjob.spec.request
        key = request.webhook.secret_key
        if key is None:
            return request.webhook.url
        try:
            secret = self._kubernetes.secret(request.secret_name or "")
        except NotFoundError:
            return None
        if secret.get("type") != SECRET_TYPE:
            return None
        return secret_texts(secret).get(key)


def _origin(url: str | None) -> Origin | None:
    """Return where a URL leads to; None where it leads nowhere, which the sender refuses."""
    try:
        return urls.parse(url or "").origin
    except urls.UrlError:
        return None


def _body(splitjob: SplitJob, hook: WebhookStatus) -> dict[str, Any]:
    if splitjob.spec is None:
        raise ValueError("a SplitJob without a usable spec has nobody to tell")
    status = splitjob.status
    failure = status.failure
    return final_event(
        job_id=splitjob.name,
        request=splitjob.spec.request,
        event=hook.event,
        result=status.result,
        failure_code=known_code(failure.code) if failure else None,
        failure_message=failure.message if failure else None,
        processing_time_ms=_processing_ms(splitjob),
        usage=usage_of(status),
    )


def _processing_ms(splitjob: SplitJob) -> int:
    status = splitjob.status
    if status.result:
        return status.result.processing_time_ms
    if status.started_at is None or status.finished_at is None:
        return 0
    return max(0, round((status.finished_at - status.started_at).total_seconds() * 1000))
