"""A worker that is told to stop (SIGTERM), at each stage."""

import signal
import time
from typing import Any

from tests.support.waiting import patience
from tests.support.web import answer
from tests.support.worker import Worker, received

from bench.audio_files import tones, write_audio
from splitjob.result import EXIT_DONE, EXIT_TERMINATED
from splitjob_io.storage import S3Service

SIGNALLING = """
import os, signal, sys
os.kill(os.getpid(), signal.SIGTERM)
sys.path.remove(os.path.dirname(__file__))
del sys.modules["pydantic"]
import pydantic
"""


def test_told_to_stop_in_its_first_moments(worker: Worker, song: bytes) -> None:
    """Acceptance 38: here the signal comes while the worker is still being imported."""
    library = worker.folder / "first"
    library.mkdir()
    (library / "pydantic.py").write_text(SIGNALLING)
    source = worker.source(worker.web.give("/song.wav", song))
    environment = worker.environment({"source": source}, PYTHONPATH=str(library))
    run = worker.finish(worker.execute(environment), environment)
    assert run.status == EXIT_TERMINATED, run.log
    assert run.report is not None
    assert run.report.outcome == "terminated"
    assert worker.web.requests == []


def test_told_to_stop_it_stops(worker: Worker, storage: S3Service, tmp_path: Any) -> None:
    """Acceptance 38, the worker's part: no manifest, no webhook, an empty disk, soon."""
    file = write_audio(tmp_path / "long.wav", tones(44100, 60.0, 2))
    url = worker.web.give("/song.wav", file.read_bytes())
    environment = worker.environment({"source": worker.source(url)})
    process = worker.start(environment)
    while '"separate"' not in (line := process.stdout.readline()):
        assert line, "it ended early"
    time.sleep(1)
    began = time.monotonic()
    process.program.send_signal(signal.SIGTERM)
    run = worker.finish(process, environment)
    assert time.monotonic() - began < patience(10)
    assert run.status == EXIT_TERMINATED
    assert run.report is not None
    assert run.report.outcome == "terminated"
    assert list(run.scratch.iterdir()) == []
    assert not storage.file_exists(f"version-1/{run.job_id}/manifest.json")
    assert received(worker) == []


def test_told_to_stop_while_the_source_says_nothing(worker: Worker) -> None:
    """Acceptance 38: a silent source does not hold it for its 30 s."""
    url = worker.web.serve("/song.wav", lambda _request: time.sleep(60))
    environment = worker.environment({"source": worker.source(url)})
    process = worker.start(environment)
    assert '"fetch"' in process.stdout.readline()
    time.sleep(0.5)
    began = time.monotonic()
    process.program.send_signal(signal.SIGTERM)
    run = worker.finish(process, environment)
    assert time.monotonic() - began < patience(5)
    assert run.status == EXIT_TERMINATED
    assert list(run.scratch.iterdir()) == []


def test_told_to_stop_while_it_notifies(worker: Worker, storage: S3Service, song: bytes) -> None:
    """Acceptance 46a: the manifest is written, so it is completed; the operator delivers."""
    worker.web.serve("/hooks", answer(500))
    environment = worker.environment(worker.request(song))
    process = worker.start(environment)
    while '"notify"' not in (line := process.stdout.readline()):
        assert line, "it ended early"
    time.sleep(0.5)
    process.program.send_signal(signal.SIGTERM)
    run = worker.finish(process, environment)
    assert run.status == EXIT_DONE
    assert run.report is not None
    assert (run.report.outcome, run.report.webhook_delivered) == ("completed", False)
    assert storage.file_exists(f"version-1/{run.job_id}/manifest.json")
