"""The spans that the status of a job tells."""

from typing import Any

from tests.support.operator_samples import NAME, NOW, after, raw_splitjob

from splitjob.resource import ANNOTATION_TRACEPARENT
from splitjob.status import Attempt, FailureStatus, SplitJobStatus, WebhookStatus
from splitjob.tracing import Span, TraceContext
from splitjob_operator.core.job_spans import JobSpans
from splitjob_operator.core.observed import SplitJob
from splitjob_operator.core.status_json import dump_status

REQUEST = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
JOB = REQUEST.child("the job")
RETRIED = {"reason": "WorkerOom", "finished_at": after(40)}


def attempt(number: int, created: float, **more: Any) -> Attempt:
    name = f"{NAME}-{number}"
    return Attempt(number=number, job_name=name, created_at=after(created), **more)


def ended(code: str = "", **more: Any) -> SplitJobStatus:
    failure = FailureStatus(code=code, message="a sentence") if code else None
    event = WebhookStatus(event_id="e", event="failed" if code else "completed", state="Pending")
    return SplitJobStatus(finished_at=after(90), failure=failure, webhook=event, **more)


def told(before: SplitJobStatus, now: SplitJobStatus) -> dict[str, Span]:
    """Return the spans of a change by name."""
    raw = raw_splitjob(status=dump_status(before))
    raw["metadata"]["annotations"] = {ANNOTATION_TRACEPARENT: REQUEST.traceparent}
    spans = list(JobSpans(SplitJob.of(raw), JOB).told_by(now))
    assert len({span.name for span in spans}) == len(spans)
    return {span.name: span for span in spans}


def test_a_wait_is_over_when_an_attempt_is_decided() -> None:
    spans = told(SplitJobStatus(), SplitJobStatus(attempts=[attempt(1, 20)]))
    assert spans.keys() == {"wait"}
    wait = spans["wait"]
    assert (wait.began, wait.ended, wait.parent, wait.error) == (NOW, after(20), JOB, "")
    assert wait.attributes == {"splitjob.name": NAME}


def test_an_attempt_is_told_once_it_is_settled_with_its_start() -> None:
    begun = SplitJobStatus(attempts=[attempt(1, 20)])
    settled = attempt(1, 20, started_at=after(25), node_name="node-1", **RETRIED)
    spans = told(begun, SplitJobStatus(attempts=[settled]))
    assert spans.keys() == {"attempt", "start"}
    one, start = spans["attempt"], spans["start"]
    assert (one.began, one.ended, one.parent, one.error) == (
        after(20),
        after(40),
        JOB,
        "worker_oom",
    )
    assert one.attributes["k8s.node.name"] == "node-1"
    assert (start.began, start.ended, start.parent) == (after(20), after(25), one.context)
    assert one.context == JobSpans(SplitJob.of(raw_splitjob()), JOB).attempt(1)


def test_a_wait_for_a_retry_begins_where_the_attempt_before_ended() -> None:
    first = attempt(1, 20, **RETRIED)
    wait = told(SplitJobStatus(attempts=[first]), SplitJobStatus(attempts=[first, attempt(2, 70)]))[
        "wait"
    ]
    assert (wait.began, wait.ended) == (after(40), after(70))
    assert wait.context != told(SplitJobStatus(), SplitJobStatus(attempts=[first]))["wait"].context


def test_the_whole_is_told_with_the_verdict_below_the_request() -> None:
    done = attempt(1, 20, reason="Completed", finished_at=after(90))
    spans = told(SplitJobStatus(attempts=[attempt(1, 20)]), ended(attempts=[done]))
    assert spans.keys() == {"attempt", "splitjob"}
    whole = spans["splitjob"]
    assert (whole.context, whole.parent) == (JOB, REQUEST)
    assert (whole.began, whole.ended, whole.error) == (NOW, after(90), "")
    assert whole.attributes["splitjob.event"] == "completed"
    assert not spans["attempt"].error


def test_a_job_that_ends_while_it_waits_has_waited() -> None:
    spans = told(SplitJobStatus(), ended("canceled"))
    assert spans.keys() == {"wait", "splitjob"}
    assert (spans["wait"].ended, spans["splitjob"].error) == (after(90), "canceled")


def test_nothing_is_told_twice() -> None:
    done = ended(attempts=[attempt(1, 20, started_at=after(25), **RETRIED)])
    assert told(done, done) == {}


def test_no_span_tells_anything_of_the_callers() -> None:
    spans = told(SplitJobStatus(), ended("source_not_found", attempts=[attempt(1, 1, **RETRIED)]))
    assert "example.com" not in str(spans)
