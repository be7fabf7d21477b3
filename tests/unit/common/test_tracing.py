"""Places in traces, and when a process tells spans at all."""

import subprocess
import sys

import pytest

from splitjob.tracing import TraceContext
from splitjob_io.tracing import traces_wanted

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
COLLECTOR = "http://collector:4318"
PROGRAMS = ("splitjob_api.app", "splitjob_operator.runtime.kopf_app", "splitjob_worker.run")


@pytest.mark.parametrize(
    ("traceparent", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f" 00-{TRACE}-{SPAN}-00 ", False),
        (f"00-{TRACE}-{SPAN}-03", True),
        (f"cc-{TRACE}-{SPAN}-01-what-comes-later", True),
    ],
)
def test_a_place_is_read_as_w3c_writes_it(traceparent: str, sampled: bool) -> None:
    assert TraceContext.parse(traceparent) == TraceContext(TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "traceparent",
    [
        None,
        "",
        "nonsense",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-01\n00-{TRACE}-{SPAN}-01",
    ],
)
def test_what_is_no_place_is_none(traceparent: str | None) -> None:
    assert TraceContext.parse(traceparent) is None


@pytest.mark.parametrize("sampled", [True, False])
def test_a_place_is_written_as_it_is_read(sampled: bool) -> None:
    place = TraceContext(TRACE, SPAN, sampled)
    assert TraceContext.parse(place.traceparent) == place


def test_places_of_one_subject_are_one_and_those_of_none_are_not() -> None:
    above = TraceContext(TRACE, SPAN, sampled=False)
    assert above.child("attempt 1") == above.child("attempt 1") != above.child("attempt 2")
    assert above.child() != above.child()
    assert above.child("a").trace_id == TRACE
    assert not above.child("a").sampled
    assert TraceContext.new("uid") == TraceContext.new("uid") != TraceContext.new("other")
    assert TraceContext.new("").trace_id != TraceContext.new("").trace_id
    assert TraceContext.parse(TraceContext.new("uid").traceparent) == TraceContext.new("uid")


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "any"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": COLLECTOR}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": COLLECTOR}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": COLLECTOR}, False),
        ({"OTEL_SDK_DISABLED": "True", "OTEL_EXPORTER_OTLP_ENDPOINT": COLLECTOR}, False),
    ],
)
def test_spans_are_told_where_the_standard_variables_say_so(
    variables: dict[str, str], wanted: bool
) -> None:
    assert traces_wanted(variables) is wanted


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_that_tells_none_loads_nothing_of_opentelemetry(program: str) -> None:
    told = (
        f"import sys, {program}, splitjob_io.tracing as t; print(t.open_spans('x'), *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, check=True, env={})
    first, *modules = done.stdout.decode().split()
    assert first == "None"
    assert not {one for one in modules if one.startswith(("opentelemetry.sdk", "google."))}
