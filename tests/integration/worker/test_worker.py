"""Whole workers, as the pod runs them: a real source, a real bucket, a real receiver."""

import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.support.flaky_storage import Flaky
from tests.support.worker import TOKEN, WANTED, Run, Worker, failed, received

from bench.audio_files import tones, write_audio
from splitjob.errors import ErrorCode
from splitjob.result import EXIT_BAD_INPUT, EXIT_DONE, Manifest, ProgressLine
from splitjob.signing import Signer
from splitjob_io.storage import S3Service

STEMS = ["drums", "bass", "other", "vocals"]


def test_from_the_source_to_the_webhook(worker: Worker, storage: S3Service, song: bytes) -> None:
    request = {
        "source": worker.source(worker.web.give("/song.wav", song)),
        "webhook": {
            "url": f"{worker.web.url}/hooks",
            "events": ["started", "progress", "completed"],
        },
        "metadata": {"album": "one"},
        "correlationId": "corr-1",
        "waveforms": True,
        "submissionId": "5" * 32,
    }
    environment = worker.environment(
        request, STORAGE_PREFIX="stems/", ATTEMPT="3", EARLIER_SECONDS="61"
    )
    run = worker.finish(worker.execute(environment), environment)
    assert run.status == EXIT_DONE, run.log
    report = run.report
    assert report is not None
    assert report.outcome == "completed"
    assert report.webhook_delivered
    assert list(run.scratch.iterdir()) == []

    prefix = f"stems/version-1/{run.job_id}"
    manifest = Manifest.model_validate(storage.get_json(f"{prefix}/manifest.json"))
    assert (manifest.status, manifest.job_uid) == ("completed", run.job_uid)
    assert (manifest.submission_id, manifest.attempt) == ("5" * 32, 3)
    files_are_those_of(manifest, storage, prefix)
    waveforms_are_those_of(manifest, storage, prefix)
    song_is_that_of(manifest)
    final_event_is_that_of(manifest, run, received(worker))
    log_says_how_far_it_was(run)


def files_are_those_of(manifest: Manifest, storage: S3Service, prefix: str) -> None:
    keys = {one["key"].removeprefix(prefix + "/") for one in storage.list_objects(prefix)}
    waveforms = [f"{name}.waveform.json" for name in [*STEMS, "mixture"]]
    assert keys == {*(f"{name}.wav" for name in STEMS), *waveforms, "manifest.json"}
    assert manifest.result is not None
    for stem in manifest.result.stems:
        content = storage.get_object(f"{prefix}/{stem.type}.wav")
        assert stem.checksum == f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert (stem.size, stem.frames, stem.sample_rate) == (len(content), 132300, 44100)
        assert stem.url == f"s3://{storage.bucket}/{prefix}/{stem.type}.wav"
        assert stem.waveform == f"s3://{storage.bucket}/{prefix}/{stem.type}.waveform.json"


def waveforms_are_those_of(manifest: Manifest, storage: S3Service, prefix: str) -> None:
    assert [one.type for one in manifest.waveforms or []] == [*STEMS, "mixture"]
    for one in manifest.waveforms or []:
        key = f"{prefix}/{one.type}.waveform.json"
        content = storage.get_object(key)
        assert (one.url, one.size) == (f"s3://{storage.bucket}/{key}", len(content))
        assert one.checksum == f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert storage.get_object_metadata(key)["content_type"] == "application/json"
        assert json.loads(content)["length"] == 300


def song_is_that_of(manifest: Manifest) -> None:
    assert manifest.result is not None
    assert manifest.result.residual_dbfs is not None
    assert manifest.result.audio is not None
    assert (manifest.result.audio.frames, manifest.result.audio.channels) == (132300, 2)
    assert set(manifest.result.timings) >= {"fetch", "decode", "load", "separate", "encode"}


def final_event_is_that_of(manifest: Manifest, run: Run, hooks: list[Any]) -> None:
    assert hooks[0][1]["event"] == "started"
    assert hooks[-1][1]["event"] == "completed"
    sequences = [body["sequence"] for _, body, _ in hooks[:-1]]
    assert sequences == sorted(set(sequences))
    headers, body, raw = hooks[-1]
    assert headers["webhook-id"] == f"evt-{run.job_id}-{manifest.submission_id}-completed"
    Signer([TOKEN]).verify(
        raw, headers["X-Timestamp"], headers["X-Signature"], now=int(time.time())
    )
    assert body["metadata"] == {"album": "one"}
    assert body["correlationId"] == "corr-1"
    assert body["attempts"] == manifest.attempt
    assert manifest.gpu_seconds is not None
    assert body["gpuSeconds"] == float(manifest.gpu_seconds)
    assert body["gpuSeconds"] == pytest.approx(61 + body["processingTimeMs"] / 1000)
    assert manifest.result is not None
    told = [(stem["type"], stem["waveform"]) for stem in body["stems"]]
    assert told == [(stem.type, stem.waveform) for stem in manifest.result.stems]
    assert [stem for stem, _ in told] == STEMS
    mixture = (manifest.waveforms or [])[-1]
    assert body["audio"]["waveform"] == mixture.url


def log_says_how_far_it_was(run: Run) -> None:
    lines = [ProgressLine.model_validate(line) for line in run.lines]
    assert [line.percent for line in lines] == sorted(line.percent for line in lines)
    stages = list(dict.fromkeys(line.stage for line in lines))
    assert stages == ["fetch", "decode", "separate", "encode", "upload", "notify"]
    assert '"jobId"' in run.log
    assert '"correlationId": "corr-1"' in run.log
    assert "do-not-tell" not in run.log + json.dumps(run.lines)


def test_stems_go_up_while_they_are_made(
    worker: Worker, flaky: tuple[Flaky, S3Service], storage: S3Service, tmp_path: Path
) -> None:
    """Of each large file, later parts are in the bucket before its beginning is known."""
    front, _ = flaky
    song = write_audio(tmp_path / "song.wav", tones(44100, 60.0, 2)).read_bytes()
    source = worker.source(worker.web.give("/song.wav", song))
    request = {**WANTED, "source": source, "bitDepth": 32}
    run = worker.run(request, S3_ENDPOINT=front.url)
    assert run.status == EXIT_DONE, run.log
    prefix = f"version-1/{run.job_id}"
    manifest = Manifest.model_validate(storage.get_json(f"{prefix}/manifest.json"))
    assert manifest.result is not None
    for stem in manifest.result.stems:
        content = storage.get_object(f"{prefix}/{stem.type}.wav")
        assert stem.checksum == f"sha256:{hashlib.sha256(content).hexdigest()}"
        asked = [one for one in front.asked if f"/{stem.type}.wav?" in one]
        order = [int(one.partition("partNumber=")[2].split("&")[0]) for one in asked[1:-1]]
        assert order == [2, 3, 1]


def test_the_job_begins_before_anything_heavy_is_imported() -> None:
    program = "import sys, splitjob_worker.run, splitjob_worker.job; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert not {"av", "boto3", "lameenc", "numpy", "torch"} & set(done.stdout.decode().split())


def test_what_only_some_formats_need_is_not_imported_for_all() -> None:
    modules = "splitjob_worker.pipeline, splitjob_worker.engine.separator"
    program = f"import sys, {modules}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert "torch" in (imported := done.stdout.decode().split())
    assert "av" not in imported


def test_what_a_song_has_lost_is_in_report_manifest_and_webhook(
    worker: Worker, storage: S3Service, song: bytes
) -> None:
    """Acceptance 75: the last tenth of its three seconds is not there."""
    source = worker.source(worker.web.give("/cut.wav", song[: len(song) * 9 // 10]))
    request = {"source": source, **WANTED}
    failed(worker.run(request), ErrorCode.AUDIO_UNREADABLE, EXIT_BAD_INPUT)
    run = worker.run(request, MAX_LOST_PERCENT="11")
    assert run.status == EXIT_DONE, run.log
    assert run.report is not None
    assert run.report.audio is not None
    missing = float(run.report.audio.missing_seconds or 0)
    assert missing == pytest.approx(0.3, abs=0.01)
    manifest = json.loads(storage.get_object(f"version-1/{run.job_id}/manifest.json"))
    assert manifest["result"]["audio"]["missingSeconds"] == run.report.audio.missing_seconds
    [(_, event, _)] = received(worker)
    assert event["audio"]["missingSeconds"] == missing
    assert "damagedSeconds" not in event["audio"]


def test_every_format_arrives_with_the_tags_of_the_source(
    worker: Worker, storage: S3Service
) -> None:
    file = write_audio(
        worker.folder / "song.flac", tones(44100, 3.0, 2), codec="flac", tags={"title": "Song"}
    )
    source = worker.source(worker.web.give("/song.flac", file.read_bytes()))
    asked = {"source": source, "stems": ["vocals"]}
    run = worker.run({**asked, "format": "mp3", "bitrateKbps": 128, "clipMode": "shared"})
    assert run.status == EXIT_DONE, run.log
    found = storage.get_object_metadata(f"version-1/{run.job_id}/vocals.mp3")
    assert found["content_type"] == "audio/mpeg"
    assert found["size"] == pytest.approx(3.05 * 16000, rel=0.02)
    content = storage.get_object(f"version-1/{run.job_id}/vocals.mp3")
    assert content[:3] == b"ID3"
    assert b"Song (vocals)" in content[:50]
