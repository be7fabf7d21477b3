"""A request as a part of its caller's trace."""

from starlette.testclient import TestClient
from tests.support.fake_cluster import FakeCluster, request_body, submitted

from splitjob.resource import ANNOTATION_TRACEPARENT
from splitjob.tracing import Span, TraceContext
from splitjob_api.middleware.access_log import AccessLogMiddleware
from splitjob_api.middleware.trace import TraceMiddleware

CALLER = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")


class KeptSpans:
    """Keeps every trace, and the spans."""

    def __init__(self) -> None:
        self.told: list[Span] = []

    def enter(self, parent: TraceContext | None, subject: str = "") -> TraceContext:
        return parent.child(subject) if parent else TraceContext.new(subject)

    def tell(self, span: Span) -> None:
        self.told.append(span)


def traced(api: TestClient) -> tuple[TestClient, KeptSpans]:
    """Have an API tell spans."""
    spans = KeptSpans()
    api.app.add_middleware(TraceMiddleware, spans=spans)  # type: ignore[attr-defined]
    metrics = api.app.state.services.metrics  # type: ignore[attr-defined]
    api.app.add_middleware(AccessLogMiddleware, metrics=metrics)  # type: ignore[attr-defined]
    return api, spans


def annotation_of(cluster: FakeCluster, name: str) -> str | None:
    annotations = cluster.splitjobs[name]["metadata"]["annotations"]
    found: str | None = annotations.get(ANNOTATION_TRACEPARENT)
    return found


def test_a_job_goes_on_where_its_request_is(api: TestClient, cluster: FakeCluster) -> None:
    api, spans = traced(api)
    answer = api.post("/split", json=request_body(), headers={"Traceparent": CALLER.traceparent})
    name = answer.json()["jobId"]
    (span,) = spans.told
    assert (span.name, span.kind, span.parent, span.error) == ("POST /split", "server", CALLER, "")
    assert span.context.trace_id == CALLER.trace_id
    assert annotation_of(cluster, name) == span.context.traceparent
    assert span.attributes == {
        "http.request.method": "POST",
        "http.route": "/split",
        "http.response.status_code": 202,
        "splitjob.name": name,
    }


def test_a_caller_without_a_trace_gets_one(api: TestClient, cluster: FakeCluster) -> None:
    api, spans = traced(api)
    name = submitted(api)
    assert spans.told[0].parent is None
    assert annotation_of(cluster, name) == spans.told[0].context.traceparent


def test_two_requests_of_one_intent_are_one_job_in_two_traces(
    api: TestClient, cluster: FakeCluster
) -> None:
    api, spans = traced(api)
    assert submitted(api) == api.post("/split", json=request_body()).json()["jobId"]
    first, second = spans.told
    assert first.context.trace_id != second.context.trace_id
    assert first.attributes["splitjob.name"] == second.attributes["splitjob.name"]


def test_reading_is_not_traced_and_a_refusal_is_no_error(api: TestClient) -> None:
    api, spans = traced(api)
    api.get("/queue/status")
    api.post("/split", json={})
    (span,) = spans.told
    assert (span.attributes["http.response.status_code"], span.error) == (422, "")


def test_a_defect_is_an_error_without_its_text(api: TestClient, cluster: FakeCluster) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("https://audio.example.com/song.wav?secret")

    api, spans = traced(api)
    cluster.get = cluster.create = fail  # type: ignore[method-assign]
    api.post("/split", json=request_body())
    assert spans.told[0].error == "500"
    assert "example.com" not in str(spans.told)


def test_without_traces_a_job_has_no_annotation(api: TestClient, cluster: FakeCluster) -> None:
    assert annotation_of(cluster, submitted(api)) is None
