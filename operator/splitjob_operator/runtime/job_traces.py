"""Tells the spans of jobs, and names a job's place in its trace to worker and receiver."""

from dataclasses import replace
from datetime import datetime

from splitjob.status import SplitJobStatus, WebhookStatus
from splitjob.tracing import Span, SpanSink, TraceContext
from splitjob.webhook import DeliveryOutcome
from splitjob_operator.core.job_spans import JobSpans
from splitjob_operator.core.observed import SplitJob

__all__ = ["JobTraces"]


class JobTraces:
    """What traces show of jobs. May be called from several threads.

    Args:
        spans: where spans go; None: nobody is told any, and no place is named.
    """

    def __init__(self, spans: SpanSink | None = None) -> None:
        self._spans = spans

    def observe(self, splitjob: SplitJob, status: SplitJobStatus) -> None:
        """Tell what is over with a status that was just written.

        Args:
            splitjob: as it was before.
            status: what was written.
        """
        if self._spans is None:
            return
        for span in _spans_of(splitjob, self._spans).told_by(status):
            self._spans.tell(span)

    def of_worker(self, splitjob: SplitJob, attempt: int) -> str:
        """Return the `traceparent` of an attempt's worker; blank: it has none."""
        if self._spans is None:
            return ""
        return _spans_of(splitjob, self._spans).attempt(attempt).traceparent

    def of_delivery(self, splitjob: SplitJob) -> TraceContext | None:
        """Return a place for an attempt to deliver the final event; None: it has none."""
        return _spans_of(splitjob, self._spans).job.child() if self._spans else None

    def delivered(
        self,
        splitjob: SplitJob,
        hook: WebhookStatus,
        place: TraceContext | None,
        began: datetime,
        ended: datetime,
        outcome: DeliveryOutcome,
    ) -> None:
        """Tell of an attempt to deliver the final event.

        Args:
            splitjob: whose event it is.
            hook: its outbox, as it was before.
            place: as `of_delivery` gave it.
            began: when the attempt began.
            ended: when it was over.
            outcome: what came of it.
        """
        if self._spans is None or place is None:
            return
        span = Span(
            name="webhook",
            context=place,
            parent=_spans_of(splitjob, self._spans).job,
            began=began,
            ended=ended,
            kind="client",
            error="" if outcome.delivered else str(outcome.status or "not_delivered"),
            attributes={
                "splitjob.name": splitjob.name,
                "splitjob.event": hook.event,
                "http.request.method": "POST",
                "http.request.resend_count": hook.attempts,
            },
        )
        status = {"http.response.status_code": outcome.status} if outcome.status else {}
        self._spans.tell(replace(span, attributes={**span.attributes, **status}))


def _spans_of(splitjob: SplitJob, spans: SpanSink) -> JobSpans:
    return JobSpans(splitjob, spans.enter(splitjob.trace, splitjob.uid))
