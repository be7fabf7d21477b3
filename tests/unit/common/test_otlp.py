"""Spans as a collector gets them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.otlp import Collector, collecting

from splitjob.tracing import Span, TraceContext
from splitjob_io.otlp import OtlpSpans
from splitjob_io.tracing import open_spans

BEGAN = datetime(2026, 11, 22, 20, 0, 0, 5, tzinfo=UTC)
CALLER = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
UNSAMPLED = TraceContext(CALLER.trace_id, CALLER.span_id, sampled=False)


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=of-the-collector")
        yield collector


def opened() -> OtlpSpans:
    spans = open_spans("api")
    assert spans
    return spans


def span(context: TraceContext, parent: TraceContext | None = None, error: str = "") -> Span:
    return Span(
        name="POST /split",
        context=context,
        parent=parent,
        began=BEGAN,
        ended=BEGAN + timedelta(seconds=1.5),
        kind="server",
        error=error,
        attributes={"splitjob.name": "a", "splitjob.attempt": 2},
    )


def test_a_span_comes_as_it_was_told(collector: Collector) -> None:
    spans = opened()
    place = spans.enter(CALLER)
    spans.tell(span(place, CALLER))
    spans.tell(span(place.child(), place, error="worker_oom"))
    spans.close()
    first, second = collector.spans
    assert (first.program, first.name, first.kind) == ("api", "POST /split", 2)
    assert (first.trace_id, first.span_id) == (CALLER.trace_id, place.span_id)
    assert (first.parent, second.parent) == (CALLER.span_id, place.span_id)
    assert first.began == 1795377600_000005_000
    assert first.ended - first.began == 1_500_000_000
    assert first.attributes == {"splitjob.name": "a", "splitjob.attempt": 2}
    assert (first.failed, second.failed) == (False, True)
    assert second.attributes["error.type"] == "worker_oom"
    assert {one["x-key"] for one in collector.headers} == {"of-the-collector"}


def test_a_trace_begins_where_the_caller_names_none(collector: Collector) -> None:
    spans = opened()
    place = spans.enter(None, "uid")
    assert place == spans.enter(None, "uid") != spans.enter(None)
    spans.tell(span(place))
    spans.close()
    (told,) = collector.spans
    assert (told.trace_id, told.span_id, told.parent) == (place.trace_id, place.span_id, "")


def test_a_trace_that_its_caller_does_not_keep_is_not_told(collector: Collector) -> None:
    spans = opened()
    place = spans.enter(UNSAMPLED)
    assert not place.sampled
    spans.tell(span(place, UNSAMPLED))
    spans.close()
    assert collector.raw == []


def test_the_sampler_of_the_variables_decides(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
    spans = opened()
    assert not spans.enter(None).sampled
    assert spans.enter(CALLER).sampled
    spans.close()


def test_a_collector_that_is_away_costs_spans_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with collecting() as gone:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", gone.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    spans = opened()
    spans.tell(span(spans.enter(None)))
    spans.close()
