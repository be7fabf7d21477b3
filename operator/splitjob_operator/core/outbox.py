"""The outbox: when the final event is sent, how often, and what becomes of it. Pure.

Ten attempts over 75 hours; the gaps are those of the contract, jitter only shortens them, and a
receiver's Retry-After lengthens them up to a day.
"""

from datetime import datetime, timedelta

from splitjob import workload
from splitjob.resource import EventName
from splitjob.result import WorkerReport
from splitjob.spec import Request
from splitjob.status import WebhookStatus
from splitjob.webhook import DeliveryOutcome

__all__ = [
    "GAPS",
    "MAX_ATTEMPTS",
    "after_attempt",
    "due",
    "open_outbox",
    "redeliver_on_request",
    "settled_at",
    "worker_outcome",
]

GAPS = (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)  # seconds
MAX_ATTEMPTS = len(GAPS) + 1
MAX_RETRY_AFTER = 86400
CLOCKS_DIFFER = 600  # seconds, at most, between two nodes whose clocks are right
JITTER = 0.1  # at most this share of a gap is cut off
FINAL = {"Delivered", "NotWanted", "GivenUp"}


def open_outbox(
    identity: str,
    request: Request | None,
    event: EventName,
    now: datetime,
    by_worker: DeliveryOutcome | None = None,
) -> WebhookStatus:
    """Return the outbox of a job that has just ended.

    Args:
        identity: what receivers know the job by (`splitjob.workload.identity_of`).
        request: what was asked; None where it cannot be understood, so that nobody can be told.
        event: completed, failed or canceled.
        now: the time.
        by_worker: what came of the worker's own delivery; None: nothing is known of one.
    """
    outbox = WebhookStatus(
        event_id=workload.event_id(identity, event), event=event, state="Pending", created_at=now
    )
    if by_worker and by_worker.delivered:
        outbox.state, outbox.delivered_by, outbox.delivered_at = "Delivered", "worker", now
    elif request is None or event not in request.webhook.events:
        outbox.state = "NotWanted"
    elif by_worker and by_worker.gone:
        outbox.state, outbox.given_up_at, outbox.last_error = "GivenUp", now, by_worker.error
    elif by_worker:
        wait = timedelta(seconds=by_worker.retry_after_seconds or 0)
        outbox.next_attempt_at, outbox.last_error = now + wait, by_worker.error
    else:
        outbox.next_attempt_at = now
    return outbox


def worker_outcome(report: WorkerReport) -> DeliveryOutcome:
    """Return what came of a worker's own delivery of `completed`, as far as its report says."""
    error = ""
    if report.webhook_gone:
        error = "the receiver answered the worker 410: it wants no more events"
    elif report.webhook_retry_after:
        error = f"the receiver asked the worker to wait for {report.webhook_retry_after} s"
    return DeliveryOutcome(
        delivered=report.webhook_delivered,
        gone=report.webhook_gone,
        retry_after_seconds=report.webhook_retry_after,
        error=error,
    )


def due(outbox: WebhookStatus, now: datetime) -> bool:
    """Return whether an attempt is to be made now; where no time was kept, it is.

    So it is where the time is further away than any gap: a clock that was ahead wrote it.
    """
    if outbox.next_attempt_at is None:
        return outbox.state == "Pending"
    waits = outbox.next_attempt_at - now
    return not timedelta(0) < waits <= timedelta(seconds=MAX_RETRY_AFTER + CLOCKS_DIFFER)


def after_attempt(
    outbox: WebhookStatus, outcome: DeliveryOutcome, now: datetime, jitter: float
) -> WebhookStatus:
    """Return the outbox after an attempt.

    Args:
        outbox: before it.
        outcome: what came of it.
        now: when it ended.
        jitter: 0 to 1, where within its jitter the next gap falls.
    """
    after = outbox.model_copy(update={"attempts": outbox.attempts + 1})
    if outcome.delivered:
        after.state, after.delivered_by, after.delivered_at = "Delivered", "operator", now
        after.next_attempt_at, after.last_error = None, ""
        return after
    after.last_error = outcome.error[:512]
    if outcome.gone or after.attempts >= MAX_ATTEMPTS:
        after.state, after.given_up_at, after.next_attempt_at = "GivenUp", now, None
        return after
    after.state = "Blocked" if outcome.blocked else "Pending"
    gap = GAPS[after.attempts - 1] * (1 - JITTER * jitter)
    asked = min(outcome.retry_after_seconds or 0, MAX_RETRY_AFTER)
    after.next_attempt_at = now + timedelta(seconds=max(gap, asked))
    return after


def redeliver_on_request(outbox: WebhookStatus, asked: int, now: datetime) -> WebhookStatus:
    """Return the outbox with its event to be sent again, under the same id, by a new schedule.

    Args:
        outbox: as it is.
        asked: `spec.redeliveries`.
        now: the time.
    """
    return outbox.model_copy(
        update={
            "state": "Pending",
            "attempts": 0,
            "next_attempt_at": now,
            "delivered_at": None,
            "delivered_by": None,
            "given_up_at": None,
            "last_error": "",
            "redeliveries": asked,
        }
    )


def settled_at(outbox: WebhookStatus) -> datetime | None:
    """Return since when nothing more is to be sent; None while something is."""
    if outbox.state not in FINAL:
        return None
    return outbox.delivered_at or outbox.given_up_at or outbox.created_at
