"""The spans of a job, as its status tells them: the whole, each wait, each attempt and its start.

Their ids derive from the job, so that what hangs below an attempt has its place before that is
over, and that a span which is told twice, as after a crash, is the same one.
Pure; `splitjob_operator.runtime.job_traces` tells them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from splitjob.conditions import Reason
from splitjob.errors import REASONS
from splitjob.status import Attempt, SplitJobStatus
from splitjob.tracing import Span, TraceContext
from splitjob_operator.core.observed import SplitJob

__all__ = ["JobSpans"]


@dataclass(frozen=True, slots=True)
class JobSpans:
    """The spans of one SplitJob.

    Attributes:
        splitjob: as it was before what is told of it.
        job: the place of the whole.
    """

    splitjob: SplitJob
    job: TraceContext

    def attempt(self, number: int) -> TraceContext:
        """Return the place of an attempt, below which its worker tells spans of its own."""
        return self.job.child(f"{self.splitjob.uid} attempt {number}")

    def told_by(self, status: SplitJobStatus) -> Iterator[Span]:
        """Yield the spans that are over with a status that was just written."""
        before = self.splitjob.status
        yield from self._wait(status)
        settled = {one.number for one in before.attempts if one.finished_at}
        for attempt in status.attempts:
            if attempt.finished_at and attempt.number not in settled:
                yield from self._attempt(attempt)
        if status.finished_at and not before.finished_at:
            yield self._whole(status, status.finished_at)

    def _wait(self, status: SplitJobStatus) -> Iterator[Span]:
        """Yield the time in which no attempt was under way, where that is over now."""
        before = self.splitjob.status
        ends = [one.finished_at for one in before.attempts if one.finished_at]
        if before.finished_at or len(ends) < len(before.attempts):
            return
        number = len(before.attempts) + 1
        started = next((one for one in status.attempts if one.number == number), None)
        ended = started.created_at if started else status.finished_at
        if ended:
            began = max(ends, default=self.splitjob.created_at)
            yield self._part(f"wait {number}", "wait", began, ended)

    def _attempt(self, attempt: Attempt) -> Iterator[Span]:
        ended = attempt.finished_at
        began = attempt.created_at or attempt.started_at or ended
        if not (began and ended):
            return
        place = self.attempt(attempt.number)
        code = REASONS.get(attempt.reason)
        about: dict[str, str | int | None] = {
            "splitjob.attempt": attempt.number,
            "k8s.job.name": attempt.job_name,
            "k8s.pod.name": attempt.pod_name,
            "k8s.node.name": attempt.node_name,
        }
        yield Span(
            name="attempt",
            context=place,
            parent=self.job,
            began=began,
            ended=ended,
            error="" if attempt.reason == Reason.COMPLETED else str(code or "other"),
            attributes=self._named(about),
        )
        if attempt.started_at:
            started = attempt.started_at
            yield self._part(f"start {attempt.number}", "start", began, started, place)

    def _whole(self, status: SplitJobStatus, ended: datetime) -> Span:
        spec = self.splitjob.spec
        about = {
            "splitjob.model": spec.request.model if spec else None,
            "splitjob.event": status.webhook.event if status.webhook else None,
            "splitjob.attempts": len(status.attempts),
        }
        return Span(
            name="splitjob",
            context=self.job,
            parent=self.splitjob.trace,
            began=self.splitjob.created_at,
            ended=ended,
            error=status.failure.code if status.failure else "",
            attributes=self._named(about),
        )

    def _part(
        self,
        subject: str,
        name: str,
        began: datetime,
        ended: datetime,
        parent: TraceContext | None = None,
    ) -> Span:
        return Span(
            name=name,
            context=self.job.child(f"{self.splitjob.uid} {subject}"),
            parent=parent or self.job,
            began=began,
            ended=ended,
            attributes=self._named({}),
        )

    def _named(self, about: Mapping[str, str | int | None]) -> dict[str, str | int]:
        known = {name: value for name, value in about.items() if value is not None}
        return {"splitjob.name": self.splitjob.name, **known}
