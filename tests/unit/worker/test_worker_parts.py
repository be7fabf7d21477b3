"""The worker's small parts: settings, progress, report, stopping, spool."""

import io
import json
import os
import signal
import sys
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st

from splitjob.errors import ErrorCode, Failure
from splitjob.resource import Location
from splitjob.result import ProgressLine, WorkerReport
from splitjob_worker import run as entry
from splitjob_worker import settings
from splitjob_worker.reporting import report
from splitjob_worker.reporting.progress import STARTS, Progress
from splitjob_worker.scratch import Scratch, check_room
from splitjob_worker.spool import BLOCK_FRAMES, Blocks, Samples, SpoolWriter
from splitjob_worker.stopping import Stop, Stopped, in_thread

REQUEST = {
    "versionId": "v",
    "model": "demo",
    "source": {"url": "https://example.com/song", "secretKey": "source"},
    "webhook": {"url": "https://example.com/hook"},
}
ENVIRONMENT = {
    "JOB_ID": "job",
    "JOB_UID": "uid",
    "SPLIT_REQUEST": json.dumps(REQUEST),
    "SCRATCH_DIR": "/scratch",
    "DEMUCSSVC_TOKEN": "do-not-tell",
    "ENVIRONMENT": "prod",
}


def test_settings_are_read_from_their_names() -> None:
    loaded = settings.load(
        {**ENVIRONMENT, "SOURCE_ALLOWED_NETWORKS": "10.0.0.0/8, ::1/128", "MAX_AUDIO_SECONDS": ""}
    )
    assert loaded.request.webhook.events == ["completed", "failed", "canceled"]
    assert len(loaded.allowed_networks) == 2
    assert loaded.max_audio_seconds == 3600
    assert not loaded.local
    assert "do-not-tell" not in repr(loaded)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SPLIT_REQUEST", "{"),
        ("SPLIT_REQUEST", '{"versionId": "../x"}'),
        ("DEVICE", "tpu"),
        ("ATTEMPT", "first"),
        ("SOURCE_ALLOWED_NETWORKS", "10.0.0.300"),
        ("JOB_ID", ""),
    ],
)
def test_settings_that_are_wrong_are_named_but_not_shown(name: str, value: str) -> None:
    with pytest.raises(Failure, match=name) as caught:
        settings.load({**ENVIRONMENT, name: value})
    assert caught.value.code is ErrorCode.WORKER_CONFIG
    assert not value or value not in caught.value.message


def test_a_url_comes_whole_from_the_secret(tmp_path: Path) -> None:
    loaded = settings.load({**ENVIRONMENT, "REQUEST_SECRET_DIR": str(tmp_path)})
    (tmp_path / "source").write_text("https://example.com/song?sig=1\n")
    assert loaded.url_of(loaded.request.source) == "https://example.com/song?sig=1"
    assert loaded.url_of(loaded.request.webhook) == "https://example.com/hook"
    with pytest.raises(Failure, match="'other'"):
        loaded.url_of(Location(url="https://example.com/x", secret_key="other"))


@given(st.lists(st.tuples(st.sampled_from(list(STARTS)), st.lists(st.floats(-1, 2))), max_size=8))
def test_progress_never_falls_and_is_always_readable(
    stages: list[tuple[str, list[float]]],
) -> None:
    out = io.StringIO()
    progress = Progress(out)
    for name, shares in stages:
        with progress.stage(name) as say:
            for share in shares:
                say(share)
    lines = [ProgressLine.model_validate_json(line) for line in out.getvalue().splitlines()]
    figures = [line.percent for line in lines]
    assert figures == sorted(figures)
    assert len(lines) <= len(stages) + 50
    assert set(progress.timings) == {name for name, _ in stages}


def test_a_line_for_every_two_per_cent() -> None:
    out = io.StringIO()
    progress = Progress(out)
    with progress.stage("separate") as say:
        for share in range(1001):
            say(share / 1000)
    figures = [json.loads(line)["percent"] for line in out.getvalue().splitlines()]
    assert figures == list(range(8, 90, 2))


def test_the_report_is_written_over_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "message"
    path.write_text("x" * 4000)
    report.write(WorkerReport(outcome="terminated", message="told to stop"), path)
    found = WorkerReport.decode(path.read_text())
    assert found is not None
    assert found.outcome == "terminated"
    report.write(WorkerReport(outcome="failed"), tmp_path / "no" / "folder")  # no more than logged
    report.write(WorkerReport(outcome="failed"), None)


def test_sigterm_is_seen_between_steps() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    stop = Stop()
    try:
        stop.listen()
        stop.check()
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Stopped):
            stop.wait(5)
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGINT, before[1])


def test_a_signal_may_come_at_any_moment_of_a_wait() -> None:
    """Its handler runs in the very thread that waits, between any two steps of that."""

    def signalled_at(moment: int) -> bool:
        """Return whether the wait came that far."""
        stop, steps = Stop(), 0

        def step(_frame: FrameType, _event: str, _argument: object) -> Any:
            nonlocal steps
            steps += 1
            if steps == moment:
                stop.set()
            return step

        sys.settrace(step)
        try:
            with suppress(Stopped):
                stop.wait(0.001)
        finally:
            sys.settrace(None)
        return steps >= moment

    def all_moments() -> int:
        return next(moment for moment in range(1, 1000) if not signalled_at(moment))

    assert in_thread(all_moments).result(timeout=60) > 5


def test_work_that_ends_while_it_is_asked_for_is_no_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class JustDone(Future[str]):
        """Ends right after the time to wait for it is over."""

        def result(self, timeout: float | None = None) -> str:
            found = super().result(5)
            if timeout is not None:
                raise TimeoutError
            return found

    monkeypatch.setattr("splitjob_worker.stopping.Future", JustDone)
    assert Stop().during(lambda: "done") == "done"


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
def test_exit_statuses(finished: WorkerReport, status: int) -> None:
    assert entry._exit_status(finished) == status


def test_a_defect_tells_its_place_and_not_its_text() -> None:
    with pytest.raises(KeyError) as caught:
        os.environ["SECRET?X-AMZ-SIGNATURE=SECRET"]
    failure = entry._failure_of(caught.value)
    assert failure.code is ErrorCode.INTERNAL_ERROR
    assert failure.message.startswith("a defect of this service: KeyError at ")
    assert "SECRET" not in failure.message


@pytest.mark.parametrize("number", [28, 122, 27, 5, 30])
def test_a_full_or_broken_disk_is_no_defect(number: int) -> None:
    """Acceptance 50."""
    failure = entry._failure_of(OSError(number, "x"))
    assert failure.code is ErrorCode.WORKER_STORAGE


def test_a_spool_gives_back_what_was_written(tmp_path: Path) -> None:
    samples = np.arange(2000, dtype=np.float32).reshape(-1, 2)
    with SpoolWriter(tmp_path / "x") as writer:
        writer.append(samples[:300])
        writer.append(samples[300:])
        spool = writer.close()
    with spool.reader() as reader:
        assert np.array_equal(reader.read(0, spool.frames), samples)
        assert np.array_equal(reader.read(299, 302), samples[299:302])
    assert np.array_equal(np.concatenate(list(spool.blocks(37))), samples)


@given(st.lists(st.integers(0, 2 * BLOCK_FRAMES), max_size=5))
@settings_of_hypothesis(max_examples=20, deadline=None)
def test_blocks_do_not_depend_on_the_pieces(pieces: list[int]) -> None:
    samples = np.arange(2 * sum(pieces), dtype=np.float32).reshape(-1, 2)
    found: list[Samples] = []
    blocks = Blocks(lambda block: found.append(block.copy()))
    for piece in np.split(samples, np.cumsum(pieces)[:-1]) if pieces else []:
        blocks.add(piece)
    assert blocks.taken == len(samples)
    blocks.finish()
    blocks.finish()
    assert all(len(block) == BLOCK_FRAMES for block in found[:-1])
    assert np.array_equal(np.concatenate([np.empty((0, 2)), *found]), samples)


def test_what_is_left_of_a_limit(tmp_path: Path) -> None:
    (tmp_path / "song").mkdir()
    (tmp_path / "mixture").write_bytes(bytes(100_000))
    without = Scratch(tmp_path / "song").left()
    assert without > 1_000_000
    assert 0 < Scratch(tmp_path / "song", limit=1_000_000).left() <= 900_000
    assert Scratch(tmp_path / "song", limit=50_000).left() == 0


def test_files_on_the_disk_of_the_scratch_count_with_it(tmp_path: Path) -> None:
    """Acceptance 50."""
    scratch = Scratch(tmp_path, limit=None)
    check_room(scratch, 1000, tmp_path, 1000)
    with pytest.raises(Failure, match="scratch space for stems and files") as caught:
        check_room(scratch, scratch.left(), tmp_path, 10**15)
    assert caught.value.code is ErrorCode.WORKER_STORAGE
    assert caught.value.retryable, "the disk of another node may have room"


def test_a_song_that_exceeds_the_limit_of_the_scratch_disk_is_not_tried_again(
    tmp_path: Path,
) -> None:
    """Acceptance 50: the limit is the same in the next attempt."""
    with pytest.raises(Failure, match="raise its size limit") as caught:
        check_room(Scratch(tmp_path, limit=1_000), 600, tmp_path, 600)
    assert caught.value.code is ErrorCode.WORKER_STORAGE
    assert not caught.value.retryable
