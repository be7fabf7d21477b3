"""The report that a worker leaves in its termination message."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from splitjob.result import StemReport, WaveformReport, WorkerReport
from splitjob.spec import Request, Source, Upload, Webhook
from splitjob.status import Audio
from splitjob_worker.reporting import report


def test_the_report_is_written_over_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "message"
    path.write_text("x" * 4000)
    report.write(WorkerReport(outcome="terminated", message="told to stop"), path)
    found = WorkerReport.decode(path.read_text())
    assert found is not None
    assert found.outcome == "terminated"
    report.write(WorkerReport(outcome="failed"), tmp_path / "no" / "folder")  # no more than logged
    report.write(WorkerReport(outcome="failed"), None)


def a_request(*, uploads: dict[str, Upload] | None = None, waveforms: bool = True) -> Request:
    return Request(
        version_id="v1",
        model="demo",
        source=Source(url="https://example.com/song.wav"),
        webhook=Webhook(url="https://example.com/hook"),
        waveforms=waveforms,
        uploads=uploads,
    )


def a_report() -> WorkerReport:
    return WorkerReport(
        outcome="completed",
        stems=[StemReport(name="drums", sha256="0" * 64, size=1, frames=1, peak=1, gain=1)],
        waveforms=[WaveformReport("drums", "1" * 64, 10), WaveformReport("mixture", "2" * 64, 20)],
        sample_rate=44100,
        audio=Audio(frames=1, sample_rate=44100, channels=2),
    )


def test_waveforms_are_no_burden_on_the_message_and_known_from_the_request() -> None:
    """The operator, which has the message alone, says the same of them as the worker."""
    sent = a_report()
    assert b"1111" not in sent.encode()
    received = WorkerReport.decode(sent.encode().decode())
    assert received is not None
    result = received.result(a_request(), "bucket", "p")
    assert result == sent.result(a_request(), "bucket", "p")
    assert result.stems[0].waveform == "s3://bucket/p/drums.waveform.json"
    assert result.audio is not None
    assert result.audio.waveform == "s3://bucket/p/mixture.waveform.json"


@given(peak=st.floats(0, 64, width=32), gain=st.floats(1e-4, 64))
def test_numbers_are_the_same_by_the_message_as_in_manifest_and_event(
    peak: float, gain: float
) -> None:
    stem = StemReport(name="drums", sha256="0" * 64, size=1, frames=1, peak=peak, gain=gain)
    sent = a_report().model_copy(update={"stems": [stem]})
    received = WorkerReport.decode(sent.encode().decode())
    assert received is not None
    assert received.result(a_request(), "bucket", "p") == sent.result(a_request(), "bucket", "p")


def test_the_manifest_lists_waveforms_with_their_checksums() -> None:
    listed = a_report().manifest_waveforms(a_request(), "bucket", "p") or []
    assert [(one.type, one.size) for one in listed] == [("drums", 10), ("mixture", 20)]
    assert listed[1].url == "s3://bucket/p/mixture.waveform.json"
    assert listed[1].checksum == "sha256:" + "2" * 64


def test_unasked_there_is_nothing_to_say_of_waveforms() -> None:
    request = a_request(waveforms=False)
    result = a_report().result(request, "bucket", "p")
    assert (result.stems[0].waveform, result.audio and result.audio.waveform) == ("", "")
    assert a_report().manifest_waveforms(request, "bucket", "p") is None


def test_waveforms_at_urls_of_the_callers_own_are_said_to_be_there() -> None:
    uploads = {
        name: Upload(url=f"https://example.com/{name}")
        for name in ("drums", "manifest", "drums.waveform", "mixture.waveform")
    }
    result = a_report().result(a_request(uploads=uploads), "", "p")
    assert result.stems[0].waveform == "https://example.com/drums.waveform"
    assert result.audio is not None
    assert result.audio.waveform == "https://example.com/mixture.waveform"
