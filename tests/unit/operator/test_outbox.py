"""The outbox: ten attempts over 75 hours, and what a receiver can say to that."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.operator_samples import (
    NOW,
    UID,
    after,
    completed_report,
    ended_pod,
    job,
    seen,
    splitjob,
)
from tests.support.reconcile_situations import plan_of, running

from splitjob.result import WorkerReport
from splitjob.spec import Request
from splitjob.status import WebhookStatus
from splitjob.webhook import DeliveryOutcome
from splitjob_operator.core import outbox
from splitjob_operator.core.plan import Deliver

FAILED = DeliveryOutcome(delivered=False, status=500, error="the receiver answered 500")


def request() -> Request:
    spec = splitjob().spec
    assert spec
    return spec.request


def opened() -> WebhookStatus:
    return outbox.open_outbox(UID, request(), "completed", NOW)


def told(**said: Any) -> WebhookStatus:
    """The outbox of a job whose worker said this of its own delivery."""
    encoded = WorkerReport(outcome="completed", **said).encode().decode()
    report = WorkerReport.decode(encoded)
    assert report
    return outbox.open_outbox(UID, request(), "completed", NOW, outbox.worker_outcome(report))


def test_the_schedule_of_the_contract() -> None:
    """Acceptance 60: given up after ten attempts over 75 hours."""
    hook, now, waits = opened(), NOW, []
    while hook.next_attempt_at is not None:
        waits.append((hook.next_attempt_at - now).total_seconds())
        now = hook.next_attempt_at
        hook = outbox.after_attempt(hook, FAILED, now, jitter=0)
    assert waits == [0, *outbox.GAPS]
    assert (hook.state, hook.attempts, hook.given_up_at) == ("GivenUp", 10, now)
    assert timedelta(hours=75) < now - NOW < timedelta(hours=76)


def test_delivered_after_six_hours_of_errors_under_the_same_id() -> None:
    """Acceptance 59: the same id all along."""
    hook = opened()
    for _ in range(6):
        hook = outbox.after_attempt(hook, FAILED, hook.next_attempt_at or NOW, 0)
    hook = outbox.after_attempt(hook, DeliveryOutcome(delivered=True, status=200), NOW, 0)
    assert (hook.state, hook.delivered_by, hook.event_id) == (
        "Delivered",
        "operator",
        f"evt-{UID}-completed",
    )
    assert outbox.settled_at(hook) == NOW


def test_gone_ends_it() -> None:
    """Acceptance 61."""
    gone = DeliveryOutcome(delivered=False, status=410, gone=True, error="410")
    assert outbox.after_attempt(opened(), gone, NOW, 0).state == "GivenUp"


def test_blocked_says_so_and_is_tried_again() -> None:
    """Acceptance 63."""
    blocked = DeliveryOutcome(delivered=False, blocked=True, error="not on the allowlist")
    hook = outbox.after_attempt(opened(), blocked, NOW, 0)
    assert (hook.state, hook.last_error) == ("Blocked", "not on the allowlist")
    assert hook.next_attempt_at is not None
    assert outbox.settled_at(hook) is None


@given(st.floats(0, 1), st.integers(0, 8))
def test_jitter_only_shortens(jitter: float, made: int) -> None:
    hook = opened().model_copy(update={"attempts": made})
    after = outbox.after_attempt(hook, FAILED, NOW, jitter)
    assert after.next_attempt_at
    gap = (after.next_attempt_at - NOW).total_seconds()
    assert 0.89 * outbox.GAPS[made] <= gap <= outbox.GAPS[made]


@given(st.integers(0, 10**6), st.integers(0, 8))
def test_retry_after_is_obeyed_up_to_a_day(asked: int, made: int) -> None:
    """Acceptance 61."""
    hook = opened().model_copy(update={"attempts": made})
    outcome = DeliveryOutcome(delivered=False, status=429, retry_after_seconds=asked, error="429")
    after = outbox.after_attempt(hook, outcome, NOW, 0)
    assert after.next_attempt_at
    gap = (after.next_attempt_at - NOW).total_seconds()
    assert gap == max(outbox.GAPS[made], min(asked, 86400))


def test_what_the_worker_delivered_is_done() -> None:
    hook = told(webhook_delivered=True)
    assert (hook.state, hook.delivered_by, hook.next_attempt_at) == ("Delivered", "worker", None)


def test_what_the_receiver_told_the_worker_ends_it_too() -> None:
    """Acceptance 61: 410."""
    hook = told(webhook_gone=True)
    assert (hook.state, hook.given_up_at, hook.next_attempt_at) == ("GivenUp", NOW, None)
    assert "410" in hook.last_error
    assert outbox.settled_at(hook) == NOW


def test_a_receiver_that_told_the_worker_to_wait_is_left_alone() -> None:
    """Acceptance 61: Retry-After."""
    hook = told(webhook_retry_after=3600)
    assert (hook.state, hook.attempts) == ("Pending", 0)
    assert hook.next_attempt_at == NOW + timedelta(hours=1)
    assert "3600 s" in hook.last_error


@pytest.mark.parametrize(
    ("said", "state", "again"),
    [({"webhook_gone": True}, "GivenUp", None), ({"webhook_retry_after": 600}, "Pending", 609)],
    ids=["gone", "retry-after"],
)
def test_nothing_is_sent_against_what_the_worker_was_told(
    said: dict[str, Any], state: str, again: int | None
) -> None:
    """Acceptance 61: from the pod's message to the plan."""
    message = completed_report().model_copy(update=said).encode().decode()
    plan = plan_of(seen(running(), jobs=(job(),), pods=(ended_pod(0, message),)), 9)
    assert plan.status
    assert plan.status.webhook
    assert (plan.status.phase, plan.status.webhook.state) == ("Completed", state)
    assert Deliver() not in plan.after
    assert again is None or plan.requeue_at == after(again)


def test_what_the_worker_did_not_get_delivered_is_sent_at_once() -> None:
    assert told().next_attempt_at == NOW


def test_a_worker_cannot_put_a_delivery_off_for_more_than_a_day() -> None:
    said = '{"outcome":"completed","webhook_retry_after":%d}'
    assert WorkerReport.decode(said % 86400) is not None
    assert WorkerReport.decode(said % 86401) is None
    assert WorkerReport.decode(said % -1) is None


def test_a_time_that_a_clock_wrote_which_was_ahead_is_not_waited_for() -> None:
    waiting = opened()
    for seconds, is_due in ((0, True), (1, False), (outbox.MAX_RETRY_AFTER, False)):
        waiting.next_attempt_at = after(seconds)
        assert outbox.due(waiting, NOW) is is_due
    waiting.next_attempt_at = after(365 * 86400)
    assert outbox.due(waiting, NOW)


def test_redelivery_on_request_keeps_the_id() -> None:
    hook = outbox.redeliver_on_request(opened().model_copy(update={"attempts": 10}), 2, NOW)
    assert (hook.attempts, hook.redeliveries, hook.next_attempt_at) == (0, 2, NOW)
    assert hook.event_id == f"evt-{UID}-completed"
