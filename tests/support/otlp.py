"""A collector of spans: a real HTTP server that reads what OTLP's exporters send."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message
from tests.support.web import Request, answer, web_server

from splitjob.tracing import TraceContext
from splitjob_local.cluster.pki import KeyPair

PATH = "/v1/traces"


@dataclass(frozen=True)
class Collected:
    """A span as it came in.

    Attributes:
        program: its `service.name`, without what all have.
        parent: the id of the span above it; blank: none.
        kind: as OTLP numbers it.
        failed: whether its status is an error.
    """

    program: str
    name: str
    trace_id: str
    span_id: str
    parent: str
    kind: int
    began: int
    ended: int
    failed: bool
    attributes: dict[str, str | int]


@dataclass
class Collector:
    """Keeps the spans that are sent to `url`, and how: headers by lower-case name."""

    url: str = ""
    spans: list[Collected] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)

    def take(self, request: Request) -> None:
        """Keep what a request brings, and thank for it."""
        assert request.path == PATH
        self.raw.append(request.body)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        for group in ExportTraceServiceRequest.FromString(request.body).resource_spans:
            service = _attributes(group.resource.attributes)["service.name"]
            program = str(service).removeprefix("track-tree-audio-")
            for scope in group.scope_spans:
                self.spans += [_collected(program, one) for one in scope.spans]
        answer(200)(request)

    def of(self, trace_id: str) -> list[Collected]:
        """Return the spans of one trace, from its beginning on."""
        return sorted(
            (one for one in self.spans if one.trace_id == trace_id), key=lambda one: one.began
        )


@contextmanager
def collecting(host: str = "127.0.0.1", identity: KeyPair | None = None) -> Iterator[Collector]:
    """Run a collector until the block ends, at an address, with TLS where it has an identity."""
    collector = Collector()
    with web_server(host, identity, collector.take) as web:
        collector.url = web.url
        yield collector


def place_of(one: Collected) -> TraceContext:
    """Return where a span is."""
    return TraceContext(one.trace_id, one.span_id)


def _collected(program: str, span: Message) -> Collected:
    return Collected(
        program=program,
        name=span.name,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        kind=span.kind,
        began=span.start_time_unix_nano,
        ended=span.end_time_unix_nano,
        failed=span.status.code == span.status.STATUS_CODE_ERROR,
        attributes=_attributes(span.attributes),
    )


def _attributes(pairs: "list[KeyValue]") -> dict[str, str | int]:
    return {pair.key: getattr(pair.value, str(pair.value.WhichOneof("value"))) for pair in pairs}
