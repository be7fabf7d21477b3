"""Webhooks that the worker sends: news on the way, and `completed` at the end."""

import logging
import queue
import threading
import time
from contextlib import suppress

from splitjob.resource import Result
from splitjob.webhook import CourtesyEvent, DeliveryOutcome, courtesy_event, encode, final_event
from splitjob.workload import courtesy_event_id, event_id
from splitjob_io.webhook_sender import WebhookSender
from splitjob_worker.settings import WorkerSettings
from splitjob_worker.stopping import Stop

log = logging.getLogger(__name__)

# For `completed`; with the last courtesy before it, no GPU is held over webhooks for more than
# 30 s. What is not delivered by then is the operator's.
BUDGET_SECONDS = 20.0
WAITS = (1.0, 3.0, 6.0)
COURTESY_TIMEOUT = 5.0
PROGRESS_STEP = 10


class Notifier:
    """Sends the events that were asked for.

    `started` and `progress` go out from a thread of their own, one attempt each, and hold up
    nothing: where the receiver is slow, the newest news takes the place of what still waits.
    """

    def __init__(
        self, settings: WorkerSettings, sender: WebhookSender, url: str, stop: Stop
    ) -> None:
        self._settings = settings
        self._request = settings.request
        self._sender = sender
        self._url = url
        self._stop = stop
        self._sequence = 0
        self._next_percent = PROGRESS_STEP
        self._news: queue.Queue[tuple[str, bytes] | None] = queue.Queue(maxsize=1)
        self._thread = threading.Thread(target=self._run, name="courtesy", daemon=True)
        if {"started", "progress"} & set(self._request.webhook.events):
            self._thread.start()

    def started(self) -> None:
        """Say that the worker runs."""
        self._offer("started", "fetch", 0)

    def progress(self, stage: str, percent: int) -> None:
        """Say how far it is, every ten per cent."""
        if percent >= self._next_percent:
            self._next_percent = percent - percent % PROGRESS_STEP + PROGRESS_STEP
            self._offer("progress", stage, percent)

    def completed(self, result: Result) -> DeliveryOutcome | None:
        """Send the final event; try again while the time lasts, and the receiver may be asked.

        Returns:
            What came of the last attempt; None: nobody wants this event.

        Raises:
            Stopped: told to stop.
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
            )
        )
        return self._deliver(event_id(self._settings.job_uid, "completed"), body)

    def _deliver(self, identity: str, body: bytes) -> DeliveryOutcome | None:
        deadline = time.monotonic() + BUDGET_SECONDS
        outcome: DeliveryOutcome | None = None
        for wait in (0.0, *WAITS):
            left = deadline - time.monotonic() - wait
            if left <= 1:
                break
            self._stop.wait(wait)
            outcome = self._sender.send(self._url, identity, body, timeout=min(left, 10.0))
            if outcome.delivered:
                break
            log.warning("completed was not delivered", extra={"reason": outcome.error})
            if outcome.gone or outcome.blocked or outcome.retry_after_seconds:
                break
        return outcome

    def _offer(self, event: CourtesyEvent, stage: str, percent: int) -> None:
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
            self._settings.job_uid, self._settings.attempt, event, self._sequence
        )
        try:
            self._news.put_nowait((identity, encode(body)))
        except queue.Full:
            log.debug("the receiver is slow: this news is left out")

    def finish_courtesies(self) -> None:
        """Send no more news: the final event must be the last one heard."""
        if self._thread.is_alive():
            with suppress(queue.Full):
                self._news.put(None, timeout=COURTESY_TIMEOUT)
            self._thread.join(COURTESY_TIMEOUT)

    def _run(self) -> None:
        while (news := self._news.get()) is not None:
            if self._stop.is_set():
                return
            outcome = self._sender.send(self._url, *news, timeout=COURTESY_TIMEOUT)
            if not outcome.delivered:
                log.info("news was not delivered", extra={"reason": outcome.error})
