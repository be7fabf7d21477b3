"""How a worker's process ends: its exit status, and what a defect tells of itself."""

import os

import pytest

from splitjob.errors import ErrorCode, Failure
from splitjob.result import WorkerReport
from splitjob_worker import run as entry
from splitjob_worker import settings
from splitjob_worker.cancellation import CancelToken
from splitjob_worker.cgroups import MemoryUse
from splitjob_worker.reporting.tracing import RunTrace


@pytest.mark.parametrize(
    ("finished", "status"),
    [
        (WorkerReport(outcome="completed"), 0),
        (WorkerReport(outcome="terminated"), 12),
        (WorkerReport(outcome="failed", code=ErrorCode.AUDIO_UNREADABLE), 10),
        (WorkerReport(outcome="failed", code=ErrorCode.GPU_ERROR, retryable=True), 11),
        (WorkerReport(outcome="failed", code=ErrorCode.INTERNAL_ERROR, retryable=True), 1),
    ],
)
def test_the_exit_status_says_how_it_ended(finished: WorkerReport, status: int) -> None:
    assert entry.exit_status_of(finished) == status


def test_a_defect_tells_its_place_and_not_its_text() -> None:
    with pytest.raises(KeyError) as caught:
        os.environ["SECRET?X-AMZ-SIGNATURE=SECRET"]
    failure = entry.failure_of(caught.value)
    assert failure.code is ErrorCode.INTERNAL_ERROR
    assert failure.message.startswith("a defect of this service: KeyError at ")
    assert "SECRET" not in failure.message


@pytest.mark.parametrize("number", [28, 122, 27, 5, 30])
def test_a_full_or_broken_disk_is_no_defect(number: int) -> None:
    """Acceptance 50."""
    failure = entry.failure_of(OSError(number, "x"))
    assert failure.code is ErrorCode.WORKER_STORAGE


def test_too_little_memory_is_told_in_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Acceptance 36: where the worker itself lives to say so."""

    def load() -> None:
        raise Failure(ErrorCode.WORKER_OOM, "the decoder was killed")

    monkeypatch.setattr(settings, "load", load)
    monkeypatch.setattr(entry, "memory_use", lambda: MemoryUse(6 << 30, 0, 6 << 30))
    told = entry._run(CancelToken(), 0, RunTrace({})).message
    assert told == "the decoder was killed (6.00 GiB allowed, 6.00 GiB used at most)"
