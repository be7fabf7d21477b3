"""What the worker did when, as spans that are told at its end.

So no download waits for OpenTelemetry's imports. A worker that is killed tells none; the operator
tells the attempt that it was.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

from splitjob.errors import Failure
from splitjob.result import WorkerReport
from splitjob.tracing import Span, SpanKind, TraceContext
from splitjob.workload import ENV_ATTEMPT, ENV_JOB_ID, ENV_TRACEPARENT
from splitjob_io.tracing import open_spans, traces_wanted

__all__ = ["OpenSpan", "RunTrace"]


class OpenSpan:
    """A span under way.

    Args:
        place: its place in the trace; None: nothing is traced.

    Attributes:
        traceparent: its place, for whom it asks; blank: it has none.
        error: set where it does not go well, as `splitjob.tracing.Span` has it.
    """

    def __init__(self, place: TraceContext | None) -> None:
        self.place = place
        self.traceparent = place.traceparent if place else ""
        self.error = ""


class RunTrace:
    """The spans of one run; may be used from several threads.

    Args:
        environment: the process's variables: whether it tells spans, and where it belongs.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        wanted = traces_wanted(environment)
        self._parent = TraceContext.parse(environment.get(ENV_TRACEPARENT)) if wanted else None
        self.run = OpenSpan(self._parent.child() if self._parent else None)
        self._about: dict[str, str | int] = {
            "splitjob.name": environment.get(ENV_JOB_ID, ""),
            "splitjob.attempt": int(environment.get(ENV_ATTEMPT) or 1),
        }
        self._began = datetime.now(UTC)
        self._spans: list[Span] = []

    @contextmanager
    def span(self, name: str, kind: SpanKind = "internal") -> Iterator[OpenSpan]:
        """Trace what is done meanwhile, as a part of the run."""
        one = OpenSpan(self.run.place.child() if self.run.place else None)
        began = datetime.now(UTC)
        try:
            yield one
        except Exception as error:
            one.error = _name_of(error)
            raise
        finally:
            self._note(name, one, self.run.place, began, kind)

    def tell(self, finished: WorkerReport) -> None:
        """Tell all spans, for some seconds at most.

        Args:
            finished: how the run has ended.
        """
        if self.run.place is None or not self.run.place.sampled:
            return
        if finished.outcome != "completed":
            self.run.error = finished.code.value if finished.code else finished.outcome
        self._note("worker", self.run, self._parent, self._began)
        spans = open_spans("worker")
        if spans is None:
            return
        for span in self._spans:
            spans.tell(span)
        spans.close()

    def _note(
        self,
        name: str,
        one: OpenSpan,
        parent: TraceContext | None,
        began: datetime,
        kind: SpanKind = "internal",
    ) -> None:
        if one.place is None:
            return
        span = Span(
            name=name,
            context=one.place,
            parent=parent,
            began=began,
            ended=datetime.now(UTC),
            kind=kind,
            error=one.error,
            attributes=self._about,
        )
        self._spans.append(span)


def _name_of(error: Exception) -> str:
    """Return what an error is called, without its text, which may hold a secret."""
    return error.code.value if isinstance(error, Failure) else type(error).__name__
