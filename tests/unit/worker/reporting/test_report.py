"""The report that a worker leaves in its termination message."""

from pathlib import Path

from splitjob.result import WorkerReport
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
