"""Attempts of one job, one after the other and at once: who writes, who speaks."""

import hashlib
from typing import Any, Literal

from tests.support.worker import Worker, received

from bench.audio_files import tones, write_audio
from splitjob.result import EXIT_DONE, EXIT_TERMINATED, Manifest
from splitjob_io.storage import S3Service


def manifest_of(environment: dict[str, str], status: Literal["canceled", "reserved"]) -> bytes:
    """Return a manifest that says of a worker's job how it stands, and no more."""
    manifest = Manifest(
        job_id=environment["JOB_ID"],
        job_uid=environment["JOB_UID"],
        version_id="version-1",
        status=status,
    )
    return manifest.model_dump_json(by_alias=True).encode()


def test_running_twice_writes_once_and_speaks_once(
    worker: Worker, storage: S3Service, song: bytes
) -> None:
    """Acceptance 47: a second worker of the same job finds it settled."""
    request = worker.request(song)
    first = worker.run(request)
    assert first.status == EXIT_DONE, first.log
    key = f"version-1/{first.job_id}/manifest.json"
    before = storage.get_object(key)
    again = worker.run(request, JOB_ID=first.job_id, JOB_UID=first.job_uid, ATTEMPT="2")
    assert again.status == EXIT_TERMINATED
    assert again.report is not None
    assert again.report.outcome == "terminated"
    assert storage.get_object(key) == before
    assert len(received(worker)) == 1


def test_of_two_attempts_at_once_the_first_manifest_wins(
    worker: Worker, storage: S3Service, song: bytes
) -> None:
    """Acceptance 47: the same keys, one manifest, one webhook id."""
    one = worker.environment(worker.request(song))
    two = {**one, "TERMINATION_MESSAGE_PATH": one["TERMINATION_MESSAGE_PATH"] + "2"}
    started = [worker.start(environment) for environment in (one, two)]
    runs = [
        worker.finish(process, environment)
        for process, environment in zip(started, (one, two), strict=True)
    ]
    assert sorted(run.status for run in runs) == [EXIT_DONE, EXIT_TERMINATED]
    assert [headers["webhook-id"] for headers, _, _ in received(worker)] == [
        f"evt-{one['JOB_UID']}-completed"
    ]
    prefix = f"version-1/{one['JOB_ID']}"
    manifest = Manifest.model_validate(storage.get_json(f"{prefix}/manifest.json"))
    assert manifest.result is not None
    for stem in manifest.result.stems:  # both wrote the same bytes
        content = storage.get_object(f"{prefix}/{stem.type}.wav")
        assert stem.checksum == f"sha256:{hashlib.sha256(content).hexdigest()}"


def test_stems_of_a_crashed_attempt_are_overwritten(
    worker: Worker, storage: S3Service, song: bytes
) -> None:
    """Acceptance 48."""
    environment = worker.environment(worker.request(song))
    prefix = f"version-1/{environment['JOB_ID']}"
    storage.put_if_absent(f"{prefix}/vocals.wav", b"half of a crash")
    run = worker.finish(worker.start(environment), environment)
    assert run.status == EXIT_DONE, run.log
    assert storage.get_object_metadata(f"{prefix}/vocals.wav")["size"] > 500_000
    assert (storage.get_json(f"{prefix}/manifest.json") or {})["jobUid"] == run.job_uid


def test_a_worker_left_over_clears_nothing(worker: Worker, storage: S3Service, song: bytes) -> None:
    """The manifest of the next job of this name stays: its stems are proven by it."""
    environment = worker.environment(worker.request(song))
    key = f"version-1/{environment['JOB_ID']}/manifest.json"
    storage.put_if_absent(key, b'{"jobUid": "next", "status": "completed"}')
    run = worker.finish(worker.start(environment), environment)
    assert run.status == EXIT_TERMINATED, run.log
    assert storage.get_json(key) == {"jobUid": "next", "status": "completed"}


def test_a_place_reserved_for_the_job_takes_its_manifest(
    worker: Worker, storage: S3Service, song: bytes
) -> None:
    """What a former job of the name left there has been written over by the operator."""
    environment = worker.environment(worker.request(song))
    key = f"version-1/{environment['JOB_ID']}/manifest.json"
    assert storage.put_if_absent(key, manifest_of(environment, "reserved"))
    run = worker.finish(worker.start(environment), environment)
    assert run.status == EXIT_DONE, run.log
    assert (storage.get_json(key) or {})["status"] == "completed"


def test_a_tombstone_stands(worker: Worker, storage: S3Service, tmp_path: Any) -> None:
    """Acceptance 46b: the verdict was given while this worker was cut off."""
    file = write_audio(tmp_path / "long.wav", tones(44100, 60.0, 2))  # not done before it is given
    environment = worker.environment(worker.request(file.read_bytes()))
    key = f"version-1/{environment['JOB_ID']}/manifest.json"
    process = worker.start(environment)
    lines = []
    while "separate" not in (line := process.stdout.readline()):
        lines.append(line)
        assert line, "it ended early"
    assert storage.put_if_absent(key, manifest_of(environment, "canceled"))
    run = worker.finish(process, environment)
    assert run.status == EXIT_TERMINATED
    assert (storage.get_json(key) or {})["status"] == "canceled"
    assert received(worker) == []
