"""Where in a trace a request belongs; the SplitJob that it makes goes on from there."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from splitjob.resource import ANNOTATION_TRACEPARENT
from splitjob.tracing import TraceContext

__all__ = ["trace_annotations", "tracing"]

_place: ContextVar[TraceContext | None] = ContextVar("place_in_trace", default=None)


@contextmanager
def tracing(place: TraceContext) -> Iterator[None]:
    """Have what is done meanwhile, in this task, belong to a span."""
    token = _place.set(place)
    try:
        yield
    finally:
        _place.reset(token)


def trace_annotations() -> dict[str, str]:
    """Return the annotations of a SplitJob that is made now; none where nothing is traced."""
    place = _place.get()
    return {ANNOTATION_TRACEPARENT: place.traceparent} if place else {}
