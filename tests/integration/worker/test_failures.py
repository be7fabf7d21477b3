"""What fails a worker: its code, its exit status, nothing left behind and no secret told."""

import resource
import time

import numpy as np
import pytest
from tests.support.web import QUERY, answer
from tests.support.worker import WANTED, Worker, failed, received

from bench.audio_files import tones, write_audio
from splitjob.errors import ErrorCode
from splitjob.result import EXIT_BAD_INPUT, EXIT_DEFECT, EXIT_DONE, EXIT_TRANSIENT
from splitjob_io.storage import S3Service
from splitjob_worker.spool import CHANNELS


def test_storage_that_is_down(worker: Worker, song: bytes) -> None:
    """Acceptance 49."""
    request = worker.request(song)
    run = worker.run(request, S3_ENDPOINT="http://127.0.0.1:1")
    failed(run, ErrorCode.UPLOAD_FAILED, EXIT_TRANSIENT)
    assert run.report is not None
    assert run.report.retryable


def test_a_receiver_that_is_down_fails_nothing(
    worker: Worker, storage: S3Service, song: bytes
) -> None:
    worker.web.serve("/hooks", answer(500))
    request = worker.request(song)
    run = worker.run(request)
    assert run.status == EXIT_DONE
    assert run.report is not None
    assert not run.report.webhook_delivered
    ids = {headers["webhook-id"] for headers, _, _ in received(worker)}
    assert ids == {f"evt-{run.job_uid}-completed"}
    assert len(received(worker)) == 4
    assert storage.file_exists(f"version-1/{run.job_id}/manifest.json")


def test_a_receiver_out_of_bounds_is_not_dialled(worker: Worker, song: bytes) -> None:
    request = worker.request(song)
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


def test_a_private_source_is_forbidden(worker: Worker, song: bytes) -> None:
    """Acceptance 22."""
    request = {"source": worker.source(worker.web.give("/song.wav", song))}
    failed(
        worker.run(request, SOURCE_ALLOWED_NETWORKS=""), ErrorCode.SOURCE_FORBIDDEN, EXIT_BAD_INPUT
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
    environment = worker.environment(worker.request(song))
    limit = (1_000_000, 1_000_000)
    process = worker.execute(
        environment, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    )
    run = worker.finish(process, environment)
    failed(run, ErrorCode.WORKER_STORAGE, EXIT_TRANSIENT)


def test_scratch_that_will_be_too_small(worker: Worker, song: bytes) -> None:
    """Acceptance 50: foreseen, with the numbers, before the model begins."""
    request = worker.request(song)
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
