"""Webhooks that the worker sends: courtesy events on the way, and `completed` at the end."""

import logging
import queue
import threading
import time
from contextlib import suppress

from splitjob.status import Result, Usage
from splitjob.webhook import CourtesyEvent, DeliveryOutcome, courtesy_event, encode, final_event
from splitjob.workload import courtesy_event_id, event_id
from splitjob_io.webhook_sender import WebhookSender
from splitjob_worker.cancellation import CancelToken
from splitjob_worker.reporting.tracing import RunTrace
from splitjob_worker.settings import WorkerSettings

log = logging.getLogger(__name__)

# For `completed`; with the last courtesy event before it, no GPU is held over webhooks for more
# than 30 s. What is not delivered by then is left to the operator.
BUDGET_SECONDS = 20.0
WAITS = (1.0, 3.0, 6.0)
ATTEMPT_TIMEOUT = 10.0
COURTESY_TIMEOUT = 5.0
PROGRESS_STEP = 10


class Notifier:
    """Sends the events that were asked for.

    The courtesy events `started` and `progress` are sent once each, by a thread of their own, and
    delay nothing: while one waits for a slow receiver, later ones are left out.

    Args:
        settings: job and request.
        sender: signs and sends.
        url: of the receiver.
        cancel: ends the pauses between attempts, and the courtesy events.
        trace: has a span of each attempt to deliver `completed`.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        sender: WebhookSender,
        url: str,
        cancel: CancelToken,
        trace: RunTrace | None = None,
    ) -> None:
        self._settings = settings
        self._request = settings.request
        self._sender = sender
        self._url = url
        self._cancel = cancel
        self._trace = trace or RunTrace({})
        self._sequence = 0
        self._next_percent = PROGRESS_STEP
        self._courtesies: queue.Queue[tuple[str, bytes] | None] = queue.Queue(maxsize=1)
        self._thread = threading.Thread(target=self._send_courtesies, name="courtesy", daemon=True)
        if {"started", "progress"} & set(self._request.webhook.events):
            self._thread.start()

    def started(self) -> None:
        """Send that the worker runs."""
        self._offer("started", "fetch", 0)

    def progress(self, stage: str, percent: int) -> None:
        """Send how far the job is, every ten per cent."""
        if percent >= self._next_percent:
            self._next_percent = percent - percent % PROGRESS_STEP + PROGRESS_STEP
            self._offer("progress", stage, percent)

    def finish_courtesies(self) -> None:
        """Send no more courtesy events: the receiver must get the final event last."""
        if self._thread.is_alive():
            with suppress(queue.Full):
                self._courtesies.put(None, timeout=COURTESY_TIMEOUT)
            self._thread.join(COURTESY_TIMEOUT)

    def completed(self, result: Result, usage: Usage) -> DeliveryOutcome | None:
        """Send the final event; try again while time is left and the receiver allows it.

        Args:
            result: what was made.
            usage: what the job took until then.

        Returns:
            The outcome of the last attempt; None: the request does not want this event.

        Raises:
            Cancelled: told to stop.
        """
        if "completed" not in self._request.webhook.events:
            return None
        body = encode(
            final_event(
                job_id=self._settings.job_id,
                request=self._request,
                event="completed",
                result=result,
                failure_code=None,
                failure_message=None,
                processing_time_ms=result.processing_time_ms,
                usage=usage,
            )
        )
        return self._deliver(event_id(self._settings.identity, "completed"), body)

    def _deliver(self, identity: str, body: bytes) -> DeliveryOutcome | None:
        deadline = time.monotonic() + BUDGET_SECONDS
        outcome: DeliveryOutcome | None = None
        for wait in (0.0, *WAITS):
            left = deadline - time.monotonic() - wait
            if left <= 1:
                break
            self._cancel.sleep(wait)
            timeout = min(left, ATTEMPT_TIMEOUT)
            with self._trace.span("webhook", "client") as attempt:
                outcome = self._sender.send(
                    self._url, identity, body, timeout, traceparent=attempt.traceparent
                )
                if not outcome.delivered:
                    attempt.error = str(outcome.status or "not_delivered")
            if outcome.delivered:
                break
            log.warning("completed was not delivered", extra={"reason": outcome.error})
            if outcome.gone or outcome.blocked or outcome.retry_after_seconds:
                break
        return outcome

    def _offer(self, event: CourtesyEvent, stage: str, percent: int) -> None:
        """Hand a courtesy event to the thread, unless one is waiting already."""
        if event not in self._request.webhook.events:
            return
        self._sequence += 1
        body = courtesy_event(
            job_id=self._settings.job_id,
            request=self._request,
            event=event,
            sequence=self._sequence,
            attempt=self._settings.attempt,
            stage=stage,
            percent=percent,
        )
        identity = courtesy_event_id(
            self._settings.identity, self._settings.attempt, event, self._sequence
        )
        try:
            self._courtesies.put_nowait((identity, encode(body)))
        except queue.Full:
            log.debug("the receiver is slow: this courtesy event is left out")

    def _send_courtesies(self) -> None:
        while (courtesy := self._courtesies.get()) is not None:
            if self._cancel.cancelled:
                return
            outcome = self._sender.send(
                self._url, *courtesy, COURTESY_TIMEOUT, traceparent=self._trace.run.traceparent
            )
            if not outcome.delivered:
                log.info("a courtesy event was not delivered", extra={"reason": outcome.error})
