"""Counts what the statuses that were written tell of jobs: how long, how it ended, what it cost."""

import threading
from collections import OrderedDict
from collections.abc import Container, Iterator
from datetime import datetime, timedelta

from splitjob.conditions import Reason
from splitjob.errors import REASONS, ErrorCode
from splitjob.status import Attempt, SplitJobStatus
from splitjob_operator.core.observed import SplitJob
from splitjob_operator.runtime import metrics

__all__ = ["JobMetrics"]

TOLD_AT_MOST = 20_000  # expected ends that are kept: those of unfinished jobs, the latest ones
PREEMPTED = {ErrorCode.WORKER_DISRUPTED, ErrorCode.WORKER_LOST}


class JobMetrics:
    """Counts each change once: whoever wrote it, under the version that was read, counts it.

    May be called from several threads.

    Args:
        models: the names of those that this installation offers; of any other, which a SplitJob
            written by hand may name, the label is `other`.
    """

    def __init__(self, models: Container[str]) -> None:
        self._models = models
        self._lock = threading.Lock()
        self._told: OrderedDict[str, tuple[datetime, datetime]] = OrderedDict()

    def observe(self, splitjob: SplitJob, status: SplitJobStatus, now: datetime) -> None:
        """Count what a status that was just written tells anew.

        Args:
            splitjob: as it was before.
            status: what was written.
            now: the time.
        """
        before = splitjob.status
        if len(status.attempts) > len(before.attempts):
            metrics.ATTEMPTS.inc()
        _observe_start(splitjob, status)
        self.note_eta(splitjob.uid, status, now)
        model = self._model(splitjob)
        for attempt in _ended(before, status):
            _observe_attempt(model, attempt, status)
        if status.finished_at and not before.finished_at:
            _observe_end(splitjob, model, status, status.finished_at)
            self._observe_eta(splitjob.uid, status, status.finished_at)
        _observe_webhook(before, status)

    def _model(self, splitjob: SplitJob) -> str:
        name = splitjob.spec.request.model if splitjob.spec else ""
        return name if name in self._models else metrics.OTHER

    @property
    def told(self) -> int:
        """Of how many jobs an expected end is kept."""
        return len(self._told)

    def note_eta(self, uid: str, status: SplitJobStatus, now: datetime) -> None:
        """Keep the first expected end that was told of a job."""
        eta = status.queue.eta_seconds if status.queue else None
        if eta is None:
            return
        with self._lock:
            self._told.setdefault(uid, (now, now + timedelta(seconds=eta)))
            if len(self._told) > TOLD_AT_MOST:
                self._told.popitem(last=False)

    def _observe_eta(self, uid: str, status: SplitJobStatus, finished_at: datetime) -> None:
        with self._lock:
            told = self._told.pop(uid, None)
        if told is None or status.result is None:
            return
        told_at, expected = told
        late = (finished_at - expected).total_seconds()
        metrics.ETA_ERROR_SECONDS.labels("late" if late > 0 else "early").observe(abs(late))
        metrics.ETA_TOLD_SECONDS.observe((expected - told_at).total_seconds())
        metrics.ETA_TRUE_SECONDS.observe(_seconds(told_at, finished_at))


def _observe_start(splitjob: SplitJob, status: SplitJobStatus) -> None:
    if status.started_at and not splitjob.status.started_at:
        metrics.WAIT_SECONDS.observe(_seconds(splitjob.created_at, status.started_at))
    started = {attempt.number for attempt in splitjob.status.attempts if attempt.started_at}
    for attempt in status.attempts:
        if attempt.started_at and attempt.created_at and attempt.number not in started:
            metrics.START_SECONDS.observe(_seconds(attempt.created_at, attempt.started_at))


def _ended(before: SplitJobStatus, after: SplitJobStatus) -> Iterator[Attempt]:
    """Yield the attempts that have been settled between two states of a status."""
    settled = {attempt.number for attempt in before.attempts if attempt.finished_at}
    return (one for one in after.attempts if one.finished_at and one.number not in settled)


def _observe_attempt(model: str, attempt: Attempt, status: SplitJobStatus) -> None:
    code = REASONS.get(attempt.reason)
    if status.finished_at is None:
        metrics.RETRIES.labels(code.value if code else metrics.OTHER).inc()
    for use, seconds in _held(attempt, code, status):
        metrics.GPU_SECONDS.labels(model, use).inc(seconds)


def _held(
    attempt: Attempt, code: ErrorCode | None, status: SplitJobStatus
) -> Iterator[tuple[str, float]]:
    """Yield for what the resources of an attempt were held, and for how many seconds."""
    if attempt.evicted_seconds:  # by Kueue, before the run that ended
        yield "preempted", attempt.evicted_seconds
    end = attempt.ended_at or attempt.finished_at
    seconds = _seconds(attempt.started_at, end) if attempt.started_at and end else 0.0
    if attempt.reason == Reason.COMPLETED and status.result:
        seconds = max(seconds, status.result.processing_time_ms / 1000)
        used = min(seconds, status.result.timings.get("separate", 0) / 1000)
        yield "used", used
        yield "idle", seconds - used
    elif code is ErrorCode.CANCELED:
        yield "canceled", seconds
    else:
        yield "preempted" if code in PREEMPTED else "failed", seconds


def _observe_end(
    splitjob: SplitJob, model: str, status: SplitJobStatus, finished_at: datetime
) -> None:
    event = status.webhook.event if status.webhook else metrics.OTHER
    code = metrics.code_label(status.failure.code) if status.failure else ""
    metrics.FINISHED.labels(event, code).inc()
    metrics.END_TO_END_SECONDS.labels(event).observe(_seconds(splitjob.created_at, finished_at))
    if status.started_at:
        metrics.RUN_SECONDS.labels(model).observe(_seconds(status.started_at, finished_at))


def _observe_webhook(before: SplitJobStatus, after: SplitJobStatus) -> None:
    was, hook = before.webhook, after.webhook
    if hook is None or (was and was.state == hook.state):
        return
    if hook.state == "GivenUp":
        metrics.WEBHOOKS_GIVEN_UP.inc()
    by_hand = hook.redeliveries > 0  # says nothing of how long events take
    if hook.state == "Delivered" and hook.delivered_at and hook.created_at and not by_hand:
        delay = _seconds(hook.created_at, hook.delivered_at)
        metrics.WEBHOOK_DELAY_SECONDS.labels(hook.delivered_by or metrics.OTHER).observe(delay)


def _seconds(begin: datetime, end: datetime) -> float:
    return max(0.0, (end - begin).total_seconds())  # two clocks may differ
