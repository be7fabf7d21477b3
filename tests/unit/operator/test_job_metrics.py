"""What a status that was written adds to the metrics."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

import pytest
from prometheus_client import REGISTRY
from tests.support.operator_samples import after, splitjob

from splitjob.status import (
    Attempt,
    FailureStatus,
    Queue,
    Result,
    SplitJobStatus,
    WebhookStatus,
)
from splitjob_operator.core.observed import SplitJob
from splitjob_operator.runtime.job_metrics import TOLD_AT_MOST, JobMetrics

END = after(53)
JOB = splitjob()
HTDEMUCS = splitjob(model="htdemucs")


def attempt(
    number: int = 1,
    reason: str = "",
    started: float | None = 10,
    ended: float | None = None,
    settled: float | None = None,
) -> Attempt:
    return Attempt(
        number=number,
        job_name=f"one-{number}",
        created_at=after(4),
        started_at=None if started is None else after(started),
        ended_at=None if ended is None else after(ended),
        finished_at=None if settled is None else after(settled),
        reason=reason,
    )


def completed(ended: float | None = 52, **timings: int) -> SplitJobStatus:
    return SplitJobStatus(
        attempts=[attempt(1, "Completed", ended=ended, settled=53)],
        result=Result(model="demo", timings=timings, processing_time_ms=40_000),
        started_at=after(10),
        finished_at=after(53),
        webhook=WebhookStatus(event_id="e", event="completed", state="Pending"),
    )


def failed(code: str, reason: str) -> SplitJobStatus:
    return SplitJobStatus(
        attempts=[attempt(1, reason, ended=30, settled=31)],
        failure=FailureStatus(code=code, message="It failed."),
        started_at=after(10),
        finished_at=after(31),
        webhook=WebhookStatus(event_id="e", event="failed", state="Pending"),
    )


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


@contextmanager
def adds(value: float, name: str, **labels: str) -> Iterator[None]:
    before = sample(name, **labels)
    yield
    assert sample(name, **labels) - before == pytest.approx(value), (name, labels)


def observe(
    status: SplitJobStatus,
    before: SplitJobStatus | None = None,
    of: SplitJob = JOB,
    by: JobMetrics | None = None,
    now: datetime = END,
) -> None:
    metrics = by or JobMetrics({"demo"})
    metrics.observe(replace(of, status=before or SplitJobStatus()), status, now)


def test_an_attempt_counts_once_it_is_decided() -> None:
    with adds(1, "splitjob_attempts_total"):
        observe(SplitJobStatus(attempts=[attempt(started=None)]))


def test_a_start_tells_how_long_the_job_waited_and_how_long_its_pod_took() -> None:
    decided = SplitJobStatus(attempts=[attempt(started=None)])
    running = SplitJobStatus(attempts=[attempt()], started_at=after(10))
    with adds(10, "splitjob_wait_seconds_sum"), adds(6, "splitjob_start_seconds_sum"):
        observe(running, decided)
    with adds(0, "splitjob_wait_seconds_count"), adds(0, "splitjob_start_seconds_count"):
        observe(running, running)


def test_a_completed_job_tells_its_times_and_its_verdict() -> None:
    with (
        adds(53, "splitjob_end_to_end_seconds_sum", event="completed"),
        adds(43, "splitjob_run_seconds_sum", model="demo"),
        adds(1, "splitjob_finished_total", event="completed", code=""),
    ):
        observe(completed(separate=30_000))


def test_a_completed_job_used_its_gpu_for_separating_and_held_it_for_the_rest() -> None:
    with (
        adds(30, "splitjob_gpu_seconds_total", model="demo", use="used"),
        adds(12, "splitjob_gpu_seconds_total", model="demo", use="idle"),
    ):
        observe(completed(separate=30_000))


def test_where_no_pod_was_seen_to_end_the_workers_own_time_counts() -> None:
    with adds(43, "splitjob_gpu_seconds_total", model="demo", use="idle"):
        observe(completed(ended=None))


@pytest.mark.parametrize(
    ("code", "reason", "use"),
    [
        ("source_not_found", "SourceNotFound", "failed"),
        ("internal_error", "NobodyKnows", "failed"),
        ("worker_disrupted", "WorkerDisrupted", "preempted"),
        ("worker_lost", "WorkerLost", "preempted"),
        ("canceled", "Canceled", "canceled"),
    ],
)
def test_an_attempt_without_stems_has_its_gpu_time_lost(code: str, reason: str, use: str) -> None:
    with adds(20, "splitjob_gpu_seconds_total", model="demo", use=use):
        observe(failed(code, reason))


def test_what_kueue_evicted_counts_as_preempted_beside_the_last_run() -> None:
    status = failed("source_not_found", "SourceNotFound")
    status.attempts[0].evicted_seconds = 3000
    with (
        adds(3000, "splitjob_gpu_seconds_total", model="demo", use="preempted"),
        adds(20, "splitjob_gpu_seconds_total", model="demo", use="failed"),
    ):
        observe(status)
        observe(status, status)


def test_an_attempt_that_is_followed_by_another_one_is_a_retry_and_no_verdict() -> None:
    lost = SplitJobStatus(attempts=[attempt(1, "WorkerLost", ended=30, settled=31)])
    with (
        adds(1, "splitjob_retries_total", code="worker_lost"),
        adds(20, "splitjob_gpu_seconds_total", model="demo", use="preempted"),
        adds(0, "splitjob_finished_total", event="failed", code="worker_lost"),
    ):
        observe(lost)
        observe(lost, lost)


def test_a_last_failure_is_no_retry() -> None:
    with (
        adds(0, "splitjob_retries_total", code="worker_lost"),
        adds(1, "splitjob_finished_total", event="failed", code="worker_lost"),
    ):
        observe(failed("worker_lost", "WorkerLost"))


def test_names_that_anybody_could_make_up_share_one_label() -> None:
    with (
        adds(20, "splitjob_gpu_seconds_total", model="other", use="failed"),
        adds(1, "splitjob_finished_total", event="failed", code="other"),
    ):
        observe(failed("made_up", "MadeUp"), of=HTDEMUCS)


@pytest.mark.parametrize(("eta", "direction"), [(40, "late"), (80, "early")])
def test_the_first_expected_time_that_was_told_is_held_against_the_truth(
    eta: int, direction: str
) -> None:
    told, moved = (SplitJobStatus(queue=Queue(eta_seconds=seconds)) for seconds in (eta, 500))
    metrics = JobMetrics({"demo"})
    off = abs(53 - eta)
    with (
        adds(off, "splitjob_eta_error_seconds_sum", direction=direction),
        adds(eta, "splitjob_eta_told_seconds_sum"),
        adds(53, "splitjob_eta_true_seconds_sum"),
    ):
        observe(told, by=metrics, now=after(0))
        observe(moved, told, by=metrics, now=after(20))
        observe(completed(), moved, by=metrics)


def test_of_a_job_that_failed_no_expected_time_is_held_against_it() -> None:
    metrics = JobMetrics({"demo"})
    with adds(0, "splitjob_eta_told_seconds_count"):
        observe(SplitJobStatus(queue=Queue(eta_seconds=9)), by=metrics, now=after(0))
        observe(failed("source_not_found", "SourceNotFound"), by=metrics)
        observe(completed(), by=metrics)


def test_expected_times_are_kept_of_so_many_jobs_and_no_more() -> None:
    metrics = JobMetrics({"demo"})
    for number in range(TOLD_AT_MOST + 5):
        status = SplitJobStatus(queue=Queue(eta_seconds=number))
        metrics.note_eta(str(number), status, after(0))
    assert metrics.told == TOLD_AT_MOST


def test_a_delivery_tells_how_long_after_the_verdict_it_came_and_from_whom() -> None:
    pending = SplitJobStatus(
        webhook=WebhookStatus(event_id="e", event="failed", state="Pending", created_at=after(0))
    )
    assert pending.webhook
    update = {"state": "Delivered", "delivered_by": "operator", "delivered_at": after(7)}
    delivered = SplitJobStatus(webhook=pending.webhook.model_copy(update=update))
    with adds(7, "splitjob_webhook_delay_seconds_sum", by="operator"):
        observe(delivered, pending)
        observe(delivered, delivered)
    assert delivered.webhook
    again = SplitJobStatus(webhook=delivered.webhook.model_copy(update={"redeliveries": 1}))
    with adds(0, "splitjob_webhook_delay_seconds_count", by="operator"):
        observe(again, pending)


def test_an_event_that_is_given_up_counts_once() -> None:
    hook = WebhookStatus(event_id="e", event="failed", state="GivenUp", created_at=after(0))
    given_up = SplitJobStatus(webhook=hook)
    with adds(1, "splitjob_webhooks_given_up_total"):
        observe(given_up)
        observe(given_up, given_up)
