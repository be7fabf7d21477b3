"""The spans of a worker's run."""

import pytest
from tests.support.otlp import collecting, place_of

from splitjob.errors import ErrorCode, Failure
from splitjob.result import WorkerReport
from splitjob.tracing import TraceContext
from splitjob_worker.reporting.progress import Progress
from splitjob_worker.reporting.tracing import RunTrace

ATTEMPT = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")
VARIABLES = {"TRACEPARENT": ATTEMPT.traceparent, "JOB_ID": "split-a", "ATTEMPT": "2"}
FAILED = WorkerReport(outcome="failed", code=ErrorCode.AUDIO_UNREADABLE, message="no audio")


def fail(trace: RunTrace) -> None:
    """Run one stage well, and fail in the next one."""
    progress = Progress(trace=trace)
    with progress.stage("fetch"):
        pass
    with pytest.raises(Failure), progress.stage("decode"):
        raise Failure(ErrorCode.AUDIO_UNREADABLE, "https://audio.example.com/song.wav is none")


def test_a_run_hangs_below_its_attempt_and_its_stages_below_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        trace = RunTrace({"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, **VARIABLES})
        fail(trace)
        with trace.span("webhook", "client") as webhook:
            pass
        trace.tell(FAILED)
    spans = {one.name: one for one in collector.spans}
    assert spans.keys() == {"fetch", "decode", "webhook", "worker"}
    run = spans.pop("worker")
    assert (run.program, run.trace_id, run.parent) == (
        "worker",
        ATTEMPT.trace_id,
        ATTEMPT.span_id,
    )
    assert {one.parent for one in spans.values()} == {run.span_id}
    assert all(run.began <= one.began <= one.ended <= run.ended for one in spans.values())
    assert place_of(spans["webhook"]).traceparent == webhook.traceparent
    assert run.attributes == {
        "splitjob.name": "split-a",
        "splitjob.attempt": 2,
        "error.type": "audio_unreadable",
    }
    assert (run.failed, spans["fetch"].failed, spans["decode"].failed) == (True, False, True)
    assert b"example.com" not in b"".join(collector.raw)


@pytest.mark.parametrize(
    "variables",
    [
        VARIABLES,
        {**VARIABLES, "TRACEPARENT": "", "OTEL_TRACES_EXPORTER": "otlp"},
        {**VARIABLES, "TRACEPARENT": "nonsense", "OTEL_TRACES_EXPORTER": "otlp"},
    ],
    ids=["no collector", "no place", "no valid place"],
)
def test_nothing_is_told_by_whom_nobody_asked(variables: dict[str, str]) -> None:
    trace = RunTrace(variables)
    fail(trace)
    trace.tell(FAILED)
    assert trace.run.traceparent == ""
