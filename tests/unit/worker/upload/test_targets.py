"""Where a job's stems go: by the request's upload URLs, else into the installation's bucket."""

import json

import pytest

from splitjob.egress import DIRECT
from splitjob.errors import ErrorCode, Failure
from splitjob_worker import settings
from splitjob_worker.cancellation import CancelToken
from splitjob_worker.settings import WorkerSettings
from splitjob_worker.upload.targets import (
    Bucket,
    PresignedPut,
    PresignedUrls,
    UploadTarget,
    open_target,
)


def loaded(**request: object) -> WorkerSettings:
    usual = {
        "versionId": "v",
        "model": "demo",
        "source": {"url": "https://example.com/song"},
        "webhook": {"url": "https://example.com/hook"},
    }
    return settings.load(
        {
            "JOB_ID": "job",
            "JOB_UID": "uid",
            "SCRATCH_DIR": "/scratch",
            "ENVIRONMENT": "prod",
            "SPLIT_REQUEST": json.dumps({**usual, **request}),
        }
    )


def opened(found: WorkerSettings) -> UploadTarget:
    return open_target(found, "v/job", CancelToken())


@pytest.fixture(autouse=True)
def _no_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("S3_BUCKET", "S3_ENDPOINT", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)


def test_upload_urls_of_the_request_are_taken_without_a_bucket() -> None:
    uploads = {"vocals": {"url": "https://example.com/vocals"}}
    target = opened(loaded(uploads=uploads))
    assert isinstance(target, PresignedUrls)
    assert target.bucket == ""


def test_without_upload_urls_the_stems_go_into_the_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_BUCKET", "stems")
    monkeypatch.setenv("S3_ENDPOINT", "https://s3.example.com")
    target = opened(loaded())
    assert isinstance(target, Bucket)
    assert target.bucket == "stems"


def test_a_bucket_that_is_not_configured_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_ENDPOINT", "no URL")
    with pytest.raises(Failure, match="the bucket is not configured: ") as caught:
        opened(loaded())
    assert caught.value.code is ErrorCode.WORKER_CONFIG
    assert "\n" not in caught.value.message


def test_an_upload_url_that_has_expired_is_known_before_any_work() -> None:
    """Acceptance 24."""
    whole = "https://example.com/{}?X-Amz-Date={}T000000Z&X-Amz-Expires=60&X-Amz-Signature=hush"
    puts = {
        "vocals": PresignedPut(whole.format("vocals", "29990101")),
        "manifest": PresignedPut(whole.format("manifest", "20260101")),
    }
    with pytest.raises(Failure, match=r"manifest.* expired at 2026-01-01T00:01:00Z") as caught:
        PresignedUrls(puts, DIRECT, CancelToken()).check_before_work()
    assert caught.value.code is ErrorCode.UPLOAD_FAILED
    assert not caught.value.retryable
    assert "hush" not in caught.value.message
    del puts["manifest"]
    PresignedUrls(puts, DIRECT, CancelToken()).check_before_work()


def test_what_a_put_sends_shows_in_no_text() -> None:
    assert "hush" not in repr(PresignedPut("https://example.com/?hush", {"x-key": "hush"}))
