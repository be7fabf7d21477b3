"""Spans on their way to a collector: OpenTelemetry's SDK, and OTLP over HTTP.

The one module that imports OpenTelemetry; `splitjob_io.tracing` says when.
"""

import logging
import os
import threading
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from socket import gethostname

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from splitjob.tracing import Span, TraceContext

__all__ = ["OtlpSpans"]

log = logging.getLogger(__name__)

PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL = "http/protobuf"
NAME = "track-tree-audio"
CLOSE_SECONDS = 3.0  # a worker has its GPU for as long
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _GivenIds(RandomIdGenerator):
    """Gives a span the ids that it has, where any other would get new ones."""

    def __init__(self) -> None:
        self._of_thread = threading.local()

    def give(self, place: TraceContext) -> None:
        """Have the next span of this thread get these ids."""
        self._of_thread.place = place

    def generate_trace_id(self) -> int:
        place: TraceContext = self._of_thread.place
        return int(place.trace_id, 16)

    def generate_span_id(self) -> int:
        place: TraceContext = self._of_thread.place
        return int(place.span_id, 16)

    def is_trace_id_random(self) -> bool:
        return False


class OtlpSpans:
    """Tells spans in batches, by a thread of its own; see `splitjob.tracing.SpanSink`.

    Where to, with which headers, how often and which traces are kept say OpenTelemetry's variables.

    Args:
        part: `api`, `operator` or `worker`.
    """

    def __init__(self, part: str) -> None:
        _warn_of_protocol()
        self._ids = _GivenIds()
        self._provider = TracerProvider(
            resource=_resource(part), id_generator=self._ids, shutdown_on_exit=False
        )
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer(NAME, version(NAME))

    def enter(self, parent: TraceContext | None, subject: str = "") -> TraceContext:
        """Return the place of the first span here; see `splitjob.tracing.SpanSink.enter`."""
        place = parent.child(subject) if parent else TraceContext.new(subject)
        asked = self._provider.sampler.should_sample(
            _context(parent), int(place.trace_id, 16), subject or NAME
        )
        return TraceContext(
            place.trace_id, place.span_id, asked.decision is Decision.RECORD_AND_SAMPLE
        )

    def tell(self, span: Span) -> None:
        """Take a span; see `splitjob.tracing.SpanSink.tell`."""
        if not span.context.sampled:
            return
        self._ids.give(span.context)
        told = self._tracer.start_span(
            span.name,
            _context(span.parent),
            SpanKind[span.kind.upper()],
            {"error.type": span.error, **span.attributes} if span.error else span.attributes,
            start_time=_nanoseconds(span.began),
        )
        if span.error:
            told.set_status(StatusCode.ERROR)
        told.end(_nanoseconds(max(span.began, span.ended)))

    def close(self) -> None:
        """Send what has not been sent; what nobody takes within some seconds is dropped."""
        closing = threading.Thread(target=self._provider.shutdown, name="close spans", daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)


def _resource(part: str) -> Resource:
    """Return what the process says of itself; `OTEL_RESOURCE_ATTRIBUTES` may say more."""
    own = {
        "service.name": os.environ.get("OTEL_SERVICE_NAME") or f"{NAME}-{part}",
        "service.version": version(NAME),
        "service.instance.id": os.environ.get("POD_NAME") or gethostname(),
    }
    return Resource.create(own)


def _warn_of_protocol() -> None:
    wanted = next((value for name in PROTOCOLS if (value := os.environ.get(name))), PROTOCOL)
    if wanted != PROTOCOL:
        log.warning("Traces are sent by %s: there is no %s", PROTOCOL, wanted)


def _context(place: TraceContext | None) -> Context:
    """Return a context of OpenTelemetry's with a span at a place; None: one without."""
    if place is None:
        return Context()
    flags = TraceFlags(TraceFlags.SAMPLED if place.sampled else TraceFlags.DEFAULT)
    span = SpanContext(int(place.trace_id, 16), int(place.span_id, 16), True, flags)
    return set_span_in_context(NonRecordingSpan(span), Context())


def _nanoseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000
