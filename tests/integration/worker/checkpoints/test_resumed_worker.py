"""Acceptance 77: a worker that was preempted is gone on from, with the same stems."""

import signal
from pathlib import Path
from typing import Any

import pytest
from tests.support.waiting import eventually
from tests.support.worker import Process, Worker

from bench.audio_files import tones, write_audio
from splitjob.result import EXIT_DONE, EXIT_TERMINATED, Manifest
from splitjob_io.storage import S3Service

SECONDS = 40.0


@pytest.fixture
def request_of(worker: Worker, tmp_path: Path) -> dict[str, Any]:
    """A song of more than a few ranges; nothing of it is spooled."""
    song = write_audio(tmp_path / "song.wav", tones(44100, SECONDS, 2)).read_bytes()
    source = worker.source(worker.web.give("/song.wav", song))
    return {"source": source, "clipMode": "clamp", "seed": 1}


def checksums(storage: S3Service, environment: dict[str, str]) -> dict[str, str]:
    found = storage.get_json(f"version-1/{environment['JOB_ID']}/manifest.json")
    manifest = Manifest.model_validate(found)
    assert manifest.result is not None
    return {stem.type: stem.checksum for stem in manifest.result.stems}


def kept(storage: S3Service, environment: dict[str, str]) -> list[str]:
    """The keys of what is kept of a job."""
    folder = f"version-1/{environment['JOB_ID']}/checkpoint/"
    return [one["key"].removeprefix(folder) for one in storage.list_objects(folder)]


def wait_for_index(storage: S3Service, environment: dict[str, str], attempt: int) -> None:
    eventually(
        lambda: any(
            key.startswith(f"{attempt}/") and key.endswith("index.json")
            for key in kept(storage, environment)
        )
    )


def stop(worker: Worker, process: Process, environment: dict[str, str], how: int) -> str:
    process.program.send_signal(how)
    run = worker.finish(process, environment)
    assert run.status == (EXIT_TERMINATED if how == signal.SIGTERM else -signal.SIGKILL), run.log
    return run.log


def test_killed_and_told_to_stop_the_stems_are_the_same(
    worker: Worker, storage: S3Service, request_of: dict[str, Any]
) -> None:
    whole = worker.environment(request_of)  # too short a song: nothing is kept
    run = worker.finish(worker.start(whole), whole)
    assert run.status == EXIT_DONE, run.log
    assert "checkpoint" not in run.log

    one = worker.environment(request_of, CHECKPOINT_MIN_SECONDS="10")
    process = worker.start(one)
    wait_for_index(storage, one, 1)
    stop(worker, process, one, signal.SIGKILL)

    two = {**one, "ATTEMPT": "2"}
    process = worker.start(two)
    wait_for_index(storage, two, 2)
    log = stop(worker, process, two, signal.SIGTERM)
    assert "goes on from a checkpoint" in log
    assert "another attempt can go on from a checkpoint" in log

    three = {**one, "ATTEMPT": "3"}
    run = worker.finish(worker.start(three), three)
    assert run.status == EXIT_DONE, run.log
    assert "goes on from a checkpoint" in run.log
    assert checksums(storage, three) == checksums(storage, whole)
    assert kept(storage, three) == []


def test_with_uploads_of_the_callers_own_nothing_is_kept(
    worker: Worker, storage: S3Service, request_of: dict[str, Any]
) -> None:
    """There are no keys to the bucket."""
    urls = {"vocals": storage.generate_presigned_put_url("mine/kept/vocals")}
    for name, url in urls.items():
        (worker.folder / "secret" / f"upload.{name}").write_text(url)
    uploads = {
        name: {"url": url.partition("?")[0], "secretKey": f"upload.{name}"}
        for name, url in urls.items()
    }
    environment = worker.environment(
        {**request_of, "stems": ["vocals"], "uploads": uploads}, CHECKPOINT_MIN_SECONDS="1"
    )
    run = worker.finish(worker.start(environment), environment)
    assert run.status == EXIT_DONE, run.log
    assert kept(storage, environment) == []
    assert "checkpoint" not in run.log
