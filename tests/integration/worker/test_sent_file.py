"""A file that the caller has sent, read from the bucket."""

from io import BytesIO
from typing import Any

from tests.support.worker import WANTED, Worker, failed

from splitjob.errors import ErrorCode
from splitjob.inputs import Inputs
from splitjob.result import EXIT_BAD_INPUT, EXIT_DONE
from splitjob_io.storage import S3Service


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
