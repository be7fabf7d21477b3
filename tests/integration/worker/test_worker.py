"""Whole workers, as the pod runs them: a real source, a real bucket, a real receiver."""

import hashlib
import json
import resource
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.flaky_storage import Flaky
from tests.support.waiting import patience
from tests.support.web import QUERY, answer, endless_body
from tests.support.worker import TOKEN, Run, Worker

from bench.audio_files import tones, write_audio
from splitjob.errors import ErrorCode
from splitjob.inputs import Inputs
from splitjob.presigned import expiry
from splitjob.result import (
    EXIT_BAD_INPUT,
    EXIT_DEFECT,
    EXIT_DONE,
    EXIT_TERMINATED,
    EXIT_TRANSIENT,
    Manifest,
    ProgressLine,
)
from splitjob.signing import Signer
from splitjob.upload_policy import encode_headers
from splitjob_io.storage import S3Service
from splitjob_worker.spool import CHANNELS

SIGNALLING = """
import os, signal, sys
os.kill(os.getpid(), signal.SIGTERM)
sys.path.remove(os.path.dirname(__file__))
del sys.modules["pydantic"]
import pydantic
"""
WANTED = {"stems": ["vocals"], "remainder": True}


STEMS = ["drums", "bass", "other", "vocals"]


def received(worker: Worker) -> list[tuple[dict[str, str], dict[str, Any], bytes]]:
    """The webhooks that arrived: headers, body, raw body."""
    return [
        (headers, json.loads(body), body)
        for what, headers, body in worker.web.requests
        if what == "POST /hooks"
    ]


def failed(run: Run, code: ErrorCode, status: int) -> None:
    """A worker that failed cleanly: told why, told no secret, left nothing."""
    assert run.report is not None, run.log
    assert (run.report.outcome, run.report.code) == ("failed", code), run.report.message
    assert run.status == status
    assert list(run.scratch.iterdir()) == []
    for text in (run.log, run.report.message, json.dumps(run.lines)):
        assert "do-not-tell" not in text
        assert TOKEN not in text


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


def test_running_twice_writes_once_and_speaks_once(
    worker: Worker, storage: S3Service, song: bytes
) -> None:
    """Acceptance 47: a second worker of the same job finds it settled."""
    request = {"source": worker.source(worker.web.give("/song.wav", song)), **WANTED}
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
    request = {"source": worker.source(worker.web.give("/song.wav", song)), **WANTED}
    one = worker.environment(request)
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
    environment = worker.environment(
        {"source": worker.source(worker.web.give("/song.wav", song)), **WANTED}
    )
    prefix = f"version-1/{environment['JOB_ID']}"
    storage.put_if_absent(f"{prefix}/vocals.wav", b"half of a crash")
    run = worker.finish(worker.start(environment), environment)
    assert run.status == EXIT_DONE, run.log
    assert storage.get_object_metadata(f"{prefix}/vocals.wav")["size"] > 500_000
    assert (storage.get_json(f"{prefix}/manifest.json") or {})["jobUid"] == run.job_uid


def test_a_worker_left_over_clears_nothing(worker: Worker, storage: S3Service, song: bytes) -> None:
    """The manifest of the next job of this name stays: its stems are proven by it."""
    environment = worker.environment(
        {"source": worker.source(worker.web.give("/song.wav", song)), **WANTED}
    )
    key = f"version-1/{environment['JOB_ID']}/manifest.json"
    storage.put_if_absent(key, b'{"jobUid": "next", "status": "completed"}')
    run = worker.finish(worker.start(environment), environment)
    assert run.status == EXIT_TERMINATED, run.log
    assert storage.get_json(key) == {"jobUid": "next", "status": "completed"}


def test_a_place_reserved_for_the_job_takes_its_manifest(
    worker: Worker, storage: S3Service, song: bytes
) -> None:
    """What a former job of the name left there has been written over by the operator."""
    environment = worker.environment(
        {"source": worker.source(worker.web.give("/song.wav", song)), **WANTED}
    )
    key = f"version-1/{environment['JOB_ID']}/manifest.json"
    reserved = Manifest(
        job_id=environment["JOB_ID"],
        job_uid=environment["JOB_UID"],
        version_id="version-1",
        status="reserved",
    )
    assert storage.put_if_absent(key, reserved.model_dump_json(by_alias=True).encode())
    run = worker.finish(worker.start(environment), environment)
    assert run.status == EXIT_DONE, run.log
    assert (storage.get_json(key) or {})["status"] == "completed"


def test_a_tombstone_stands(worker: Worker, storage: S3Service, tmp_path: Any) -> None:
    """Acceptance 46b: the verdict was given while this worker was cut off."""
    file = write_audio(tmp_path / "long.wav", tones(44100, 60.0, 2))  # not done before it is given
    url = worker.web.give("/song.wav", file.read_bytes())
    environment = worker.environment({"source": worker.source(url), **WANTED})
    key = f"version-1/{environment['JOB_ID']}/manifest.json"
    process = worker.start(environment)
    lines = []
    while "separate" not in (line := process.stdout.readline()):
        lines.append(line)
        assert line, "it ended early"
    tombstone = Manifest(
        job_id=environment["JOB_ID"],
        job_uid=environment["JOB_UID"],
        version_id="version-1",
        status="canceled",
    )
    assert storage.put_if_absent(key, tombstone.model_dump_json(by_alias=True).encode())
    run = worker.finish(process, environment)
    assert run.status == EXIT_TERMINATED
    assert (storage.get_json(key) or {})["status"] == "canceled"
    assert received(worker) == []


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


def test_the_job_begins_before_anything_heavy_is_imported() -> None:
    program = "import sys, splitjob_worker.run, splitjob_worker.job; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert not {"av", "boto3", "lameenc", "numpy", "torch"} & set(done.stdout.decode().split())


def test_what_only_some_formats_need_is_not_imported_for_all() -> None:
    program = "import sys, splitjob_worker.pipeline; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert "torch" in (modules := done.stdout.decode().split())
    assert "av" not in modules


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
    environment = worker.environment(
        {"source": worker.source(worker.web.give("/song.wav", song)), **WANTED}
    )
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


def test_presigned_uploads_need_no_keys(worker: Worker, storage: S3Service, song: bytes) -> None:
    headers = {"content-type": "audio/x-wav", "x-amz-storage-class": "STANDARD"}
    uploads = {
        "vocals": keep_upload(worker, presigned(storage, "mine/vocals", headers), headers),
        "no_vocals": keep_upload(worker, presigned(storage, "mine/no_vocals", {})),
        "manifest": keep_upload(worker, presigned(storage, "mine/manifest", {})),
    }
    as_json = {"content-type": "application/json"}
    for name in ("vocals.waveform", "no_vocals.waveform", "mixture.waveform"):
        url = presigned(storage, f"mine/{name}", as_json)
        uploads[name] = keep_upload(worker, url, as_json)
    request = {
        "source": worker.source(worker.web.give("/song.wav", song)),
        "uploads": uploads,
        "waveforms": True,
        **WANTED,
    }
    environment = worker.environment(request)
    for name in [name for name in environment if name.startswith("S3_")]:
        del environment[name]
    run = worker.finish(worker.start(environment), environment)
    assert run.status == EXIT_DONE, run.log
    assert run.report is not None
    assert not run.report.webhook_delivered
    assert received(worker) == []
    for stem in run.report.stems:
        content = storage.get_object(f"mine/{stem.name}")
        assert hashlib.sha256(content).hexdigest() == stem.sha256
    manifest = storage.get_json("mine/manifest") or {}
    assert manifest["result"]["stems"][0]["url"].endswith("mine/vocals")
    assert manifest["result"]["audio"]["waveform"].endswith("mine/mixture.waveform")
    for one in manifest["waveforms"]:
        content = storage.get_object(f"mine/{one['type']}.waveform")
        assert one["url"].endswith(f"mine/{one['type']}.waveform")
        assert one["checksum"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert "X-Amz-Signature" not in storage.get_object("mine/manifest").decode()
    assert storage.get_object_metadata("mine/vocals")["content_type"] == "audio/x-wav"
    assert "audio/x-wav" not in run.log


def presigned(storage: S3Service, key: str, headers: dict[str, str]) -> str:
    """Return a URL for a PUT with these headers, as a caller's own SDK makes it."""
    parameters = {"content-type": "ContentType", "x-amz-storage-class": "StorageClass"}
    signed = {parameters[name]: value for name, value in headers.items()}
    url: str = storage.client.generate_presigned_url(
        "put_object", Params={"Bucket": storage.bucket, "Key": key, **signed}, ExpiresIn=300
    )
    assert all(name in url for name in headers)
    return url


def keep_upload(worker: Worker, url: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
    """Put a URL and its headers into the Secret; return the upload as the request has it."""
    folder = worker.folder / "secret"
    folder.mkdir(exist_ok=True)
    name = url.partition("?")[0].rpartition("/")[2]
    (folder / f"upload.{name}").write_text(url)
    (folder / f"headers.{name}").write_text(encode_headers(headers or {}))
    upload = {"url": url.partition("?")[0], "secretKey": f"upload.{name}"}
    return {**upload, "headers": list(headers)} if headers else upload


def test_an_upload_url_that_expired_fails_before_the_song_is_fetched_whole(
    worker: Worker, storage: S3Service
) -> None:
    """Acceptance 24: also where the operator's look was a moment too early."""
    url = storage.generate_presigned_put_url("mine/manifest", 1)
    uploads = {"manifest": keep_upload(worker, url)}
    endless = worker.source(worker.web.serve("/endless.wav", endless_body))
    while (end := expiry(url)) and end > datetime.now(UTC):
        time.sleep(0.1)
    run = worker.run({"source": endless, "uploads": uploads, **WANTED})
    failed(run, ErrorCode.UPLOAD_FAILED, EXIT_BAD_INPUT)
    assert "the URL expired at" in run.report.message if run.report else False


def test_an_upload_that_is_refused(worker: Worker, song: bytes) -> None:
    """Acceptance 49."""
    request = {"source": worker.source(worker.web.give("/song.wav", song)), **WANTED}
    run = worker.run(request, S3_SECRET_ACCESS_KEY="not-the-secret")
    failed(run, ErrorCode.UPLOAD_FAILED, EXIT_BAD_INPUT)
    assert "403" in run.report.message if run.report else False


def test_storage_that_is_down(worker: Worker, song: bytes) -> None:
    """Acceptance 49."""
    request = {"source": worker.source(worker.web.give("/song.wav", song)), **WANTED}
    run = worker.run(request, S3_ENDPOINT="http://127.0.0.1:1")
    failed(run, ErrorCode.UPLOAD_FAILED, EXIT_TRANSIENT)
    assert run.report is not None
    assert run.report.retryable


def test_a_receiver_that_is_down_fails_nothing(
    worker: Worker, storage: S3Service, song: bytes
) -> None:
    worker.web.serve("/hooks", answer(500))
    request = {"source": worker.source(worker.web.give("/song.wav", song)), **WANTED}
    run = worker.run(request)
    assert run.status == EXIT_DONE
    assert run.report is not None
    assert not run.report.webhook_delivered
    ids = {headers["webhook-id"] for headers, _, _ in received(worker)}
    assert ids == {f"evt-{run.job_uid}-completed"}
    assert len(received(worker)) == 4
    assert storage.file_exists(f"version-1/{run.job_id}/manifest.json")


def test_a_receiver_out_of_bounds_is_not_dialled(worker: Worker, song: bytes) -> None:
    request = {"source": worker.source(worker.web.give("/song.wav", song)), **WANTED}
    run = worker.run(request, API_WEBHOOK_URL_ALLOWLIST="https://elsewhere.example/hooks")
    assert run.status == EXIT_DONE
    assert received(worker) == []


@pytest.mark.parametrize(
    ("path", "code", "status"),
    [
        ("/missing", ErrorCode.SOURCE_NOT_FOUND, EXIT_BAD_INPUT),
        ("/html", ErrorCode.AUDIO_UNREADABLE, EXIT_BAD_INPUT),
        ("/short", ErrorCode.AUDIO_TOO_SHORT, EXIT_BAD_INPUT),
        ("/song.wav", ErrorCode.AUDIO_TOO_LONG, EXIT_BAD_INPUT),
        ("/large", ErrorCode.SOURCE_TOO_LARGE, EXIT_BAD_INPUT),
    ],
)
def test_each_bad_source_is_reported_with_its_code(
    worker: Worker, song: bytes, path: str, code: ErrorCode, status: int
) -> None:
    """Acceptance 25, 26, 29, 30, 31, as a whole worker reports them."""
    worker.web.give("/html", b"<html>" + bytes(1000))
    short = write_audio(worker.folder / "short.wav", tones(44100, 0.1, 2))
    worker.web.give("/short", short.read_bytes())
    worker.web.give("/song.wav", song)
    worker.web.give("/large", bytes(2_000_000))
    request = {"source": worker.source(f"{worker.web.url}{path}?{QUERY}")}
    run = worker.run(request, MAX_AUDIO_SECONDS="2", MAX_SOURCE_BYTES="1000000")
    failed(run, code, status)


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


def sent_file(storage: S3Service, content: bytes, prefix: str = "") -> dict[str, Any]:
    """Put a file where POST /uploads has callers put theirs; return the request's `source`."""
    inputs = Inputs(storage.bucket, prefix)
    key = inputs.new_key("song.wav")
    storage.upload_fileobj(BytesIO(content), key)
    return {"url": inputs.url_of(key)}


def test_a_file_that_was_sent_is_read_from_the_bucket(
    worker: Worker, storage: S3Service, song: bytes
) -> None:
    """No network is open to it but the bucket's: the address rules are those of URLs."""
    request = {"source": sent_file(storage, song, "prod"), **WANTED}
    run = worker.run(request, STORAGE_PREFIX="prod", SOURCE_ALLOWED_NETWORKS="")
    assert run.status == EXIT_DONE, run.log
    assert storage.file_exists(f"prod/version-1/{run.job_id}/manifest.json")
    assert {"fetch", "separate"} <= {line["stage"] for line in run.lines}


def test_a_file_that_cannot_be_read_is_reported_with_its_code(
    worker: Worker, storage: S3Service
) -> None:
    gone = Inputs(storage.bucket, "")
    sources: dict[str, tuple[dict[str, Any], ErrorCode]] = {
        "deleted": ({"url": gone.url_of(gone.new_key("x"))}, ErrorCode.SOURCE_NOT_FOUND),
        "large": (sent_file(storage, bytes(1001)), ErrorCode.SOURCE_TOO_LARGE),
        "of another prefix": (sent_file(storage, b"x", "prod"), ErrorCode.SOURCE_FORBIDDEN),
        "no input": (
            {"url": storage.url("version-1/a-job/vocals.wav")},
            ErrorCode.SOURCE_FORBIDDEN,
        ),
    }
    for which, (source, code) in sources.items():
        run = worker.run({"source": source}, MAX_SOURCE_BYTES="1000")
        failed(run, code, EXIT_BAD_INPUT)
        assert run.report
        assert ("POST /uploads" in run.report.message) == (which != "large"), which


def test_a_private_source_is_forbidden(worker: Worker, song: bytes) -> None:
    """Acceptance 22."""
    request = {"source": worker.source(worker.web.give("/song.wav", song))}
    failed(
        worker.run(request, SOURCE_ALLOWED_NETWORKS=""),
        ErrorCode.SOURCE_FORBIDDEN,
        EXIT_BAD_INPUT,
    )


def test_models_that_are_not_there(worker: Worker, song: bytes) -> None:
    source = {"source": worker.source(worker.web.give("/song.wav", song))}
    for model in ("unheard-of", "elsewhere"):
        run = worker.run({**source, "model": model})
        failed(run, ErrorCode.MODEL_UNAVAILABLE, EXIT_BAD_INPUT)


def test_a_missing_model_does_not_wait_for_a_source_that_says_nothing(worker: Worker) -> None:
    url = worker.web.serve("/song.wav", lambda _request: time.sleep(120))
    run = worker.run({"source": worker.source(url), "model": "elsewhere"})
    failed(run, ErrorCode.MODEL_UNAVAILABLE, EXIT_BAD_INPUT)


def test_without_the_gpu_asked_for_it_says_so(worker: Worker, song: bytes) -> None:
    request = {"source": worker.source(worker.web.give("/song.wav", song))}
    run = worker.run(request, DEVICE="cuda", CUDA_VISIBLE_DEVICES="")
    failed(run, ErrorCode.GPU_ERROR, EXIT_TRANSIENT)


def test_scratch_that_is_full(worker: Worker, song: bytes) -> None:
    """Acceptance 50: here the disk takes files of 1 MB at most."""
    environment = worker.environment(
        {"source": worker.source(worker.web.give("/song.wav", song)), **WANTED}
    )
    limit = (1_000_000, 1_000_000)
    process = worker.execute(
        environment, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    )
    run = worker.finish(process, environment)
    failed(run, ErrorCode.WORKER_STORAGE, EXIT_TRANSIENT)


def test_scratch_that_will_be_too_small(worker: Worker, song: bytes) -> None:
    """Acceptance 50: foreseen, with the numbers, before the model begins."""
    request = {"source": worker.source(worker.web.give("/song.wav", song)), **WANTED}
    run = worker.run(request, SCRATCH_BYTES="3000000")  # the mixture alone takes 1 MB
    failed(run, ErrorCode.WORKER_STORAGE, EXIT_BAD_INPUT)
    assert run.report is not None
    assert "needs up to 3 MB" in run.report.message
    assert "only 2 MB are left" in run.report.message
    assert "separate" not in {line["stage"] for line in run.lines}


def test_scratch_whose_limit_the_mixture_passes(worker: Worker) -> None:
    """Acceptance 50: a small file of much audio is not decoded until the kubelet evicts the pod."""
    silence = np.zeros((CHANNELS, 300 * 44100), np.float32)
    file = write_audio(worker.folder / "silence.flac", silence, codec="flac")
    request = {"source": worker.source(worker.web.give("/song.flac", file.read_bytes())), **WANTED}
    run = worker.run(request, SCRATCH_BYTES="4000000")
    failed(run, ErrorCode.WORKER_STORAGE, EXIT_BAD_INPUT)
    assert run.report is not None
    assert "more than the 4 MB that scratch space may take" in run.report.message


def test_settings_that_are_missing_are_named(worker: Worker) -> None:
    environment = worker.environment({"source": {"url": "https://example.com/x"}})
    del environment["JOB_UID"]
    environment["MAX_AUDIO_SECONDS"] = "many"
    run_environment = {**environment, "JOB_UID": ""}
    process = worker.start(run_environment)
    run = worker.finish(process, run_environment)
    assert run.report is not None
    assert run.report.code is ErrorCode.WORKER_CONFIG
    assert "JOB_UID" in run.report.message
    assert "MAX_AUDIO_SECONDS" in run.report.message
    assert run.status == EXIT_TRANSIENT


def test_a_defect_says_where_and_no_more(worker: Worker, song: bytes) -> None:
    """A folder where the registry should be a file: nobody handles that."""
    request = {"source": worker.source(worker.web.give("/song.wav", song))}
    run = worker.run(request, SCRATCH_DIR="/proc/nowhere")
    assert run.report is not None
    assert run.report.code is ErrorCode.INTERNAL_ERROR
    assert run.status == EXIT_DEFECT
    assert (
        run.report.message
        == "a defect of this service: FileNotFoundError at job.py:"
        + (run.report.message.rpartition(":")[2])
    )


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
