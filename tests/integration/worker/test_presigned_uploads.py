"""Stems that go to URLs of the caller: signed headers, expired ones, refusals."""

import hashlib
import time
from datetime import UTC, datetime
from typing import Any

from tests.support.web import endless_body
from tests.support.worker import WANTED, Worker, failed, received

from splitjob.errors import ErrorCode
from splitjob.presigned import expiry
from splitjob.result import EXIT_BAD_INPUT, EXIT_DONE
from splitjob.upload_policy import encode_headers
from splitjob_io.storage import S3Service


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
    request = worker.request(song)
    run = worker.run(request, S3_SECRET_ACCESS_KEY="not-the-secret")
    failed(run, ErrorCode.UPLOAD_FAILED, EXIT_BAD_INPUT)
    assert "403" in run.report.message if run.report else False
