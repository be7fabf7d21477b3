"""POST /uploads: what is given, what is refused, and which addresses POST /split takes then."""

from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient
from tests.support.fake_cluster import (
    FakeCluster,
    failed,
    let_watch_begin,
    refused,
    request_body,
    served,
    submitted,
)

from splitjob.presigned import signed_headers
from splitjob_api.settings import Settings
from splitjob_api.storage_links import StorageLinks

KEYS = {
    "ENVIRONMENT": "prod",
    "S3_ENDPOINT": "https://s3.example.com",
    "S3_BUCKET": "stems",
    "S3_ACCESS_KEY_ID": "writer",
    "S3_SECRET_ACCESS_KEY": "a-secret-of-the-writer",
}
TAKES_FILES: dict[str, Any] = {
    "s3_bucket": "stems",
    "storage_prefix": "prod",
    "uploads_enabled": True,
    "upload_url_seconds": 120,
    "max_source_bytes": 1000,
}
FILES = ("drums", "bass", "other", "vocals", "manifest")


@pytest.fixture
def links(monkeypatch: pytest.MonkeyPatch) -> StorageLinks:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    found = StorageLinks.from_settings(Settings(**TAKES_FILES))
    assert found
    return found


@pytest.fixture
def api(cluster: FakeCluster, links: StorageLinks) -> TestClient:
    return served(cluster, links, **TAKES_FILES)


def sent(api: TestClient, file_name: str = "song.wav") -> str:
    answer = api.post("/uploads", json={"filename": file_name, "size": 10})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["audioUrl"])


def test_a_file_gets_a_url_for_one_put_of_its_size(api: TestClient) -> None:
    answer = api.post("/uploads", json={"filename": "My song.wav", "size": 1000})
    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    given = answer.json()
    assert set(given) == {"url", "headers", "audioUrl", "expiresAt"}
    assert given["headers"] == {"Content-Length": "1000", "If-None-Match": "*"}
    url = httpx.URL(given["url"])
    key = given["audioUrl"].removeprefix("s3://stems/")
    assert key.startswith("prod/_inputs/")
    assert key.endswith("/My-song.wav")
    assert (url.host, url.path) == ("s3.example.com", f"/stems/{key}")
    assert url.params["X-Amz-Expires"] == "120"
    signed = signed_headers({name.lower(): value for name, value in url.params.items()})
    assert set(signed) == {"content-length", "if-none-match"}
    assert "a-secret-of-the-writer" not in answer.text


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"filename": "song.wav"},
        {"size": 1},
        {"filename": "", "size": 1},
        {"filename": "x" * 1025, "size": 1},
        {"filename": 7, "size": 1},
        {"filename": "song.wav", "size": 0},
        {"filename": "song.wav", "size": -1},
        {"filename": "song.wav", "size": "10"},
        {"filename": "song.wav", "size": 1.5},
        {"filename": "song.wav", "size": True},
        {"filename": "song.wav", "size": 1001},
        {"filename": "song.wav", "size": 10**400},
        {"filename": "song.wav", "size": 1, "contentType": "audio/wav"},
    ],
)
def test_a_body_that_is_wrong_is_named_by_its_field(api: TestClient, body: dict[str, Any]) -> None:
    """Acceptance 28a."""
    refused(api.post("/uploads", json=body), 422, "request_invalid")


@pytest.mark.parametrize("name", ["\x00\x1f\x7f", "../../etc", "💿.wav", "a/b\\c", "\u202egnos"])
def test_any_name_is_taken_and_none_leads_elsewhere(api: TestClient, name: str) -> None:
    audio_url = sent(api, name)
    assert audio_url.startswith("s3://stems/prod/_inputs/")
    assert submitted(api, audioUrl=audio_url)


def test_a_body_that_is_not_json_is_a_400(api: TestClient) -> None:
    for body in (b"", b"[1]", b'{"filename": "\\ud800", "size": 1}', b'{"size": 1, "size": 2}'):
        refused(api.post("/uploads", content=body), 400, "json_invalid")


def test_an_installation_that_takes_no_files_says_what_it_needs(
    cluster: FakeCluster, links: StorageLinks
) -> None:
    for settings in ({}, {"s3_bucket": "stems"}):
        api = served(cluster, links, **settings)
        answer = api.post("/uploads", json={"filename": "song.wav", "size": 1})
        said = refused(answer, 501, "storage_not_configured")
        assert "api.storage.uploads.enabled" in said
        asked = request_body(audioUrl=f"s3://stems/_inputs/{'0' * 32}/song.wav")
        answer = api.post("/split", json=asked)
        refused(answer, 422, "request_invalid")
        assert "api.storage.uploads.enabled" in answer.json()["errors"][0]["message"]


def test_a_job_reads_the_file_by_an_address_without_a_secret(
    api: TestClient, cluster: FakeCluster
) -> None:
    audio_url = sent(api)
    job_id = submitted(api, audioUrl=audio_url)
    request = cluster.splitjobs[job_id]["spec"]["request"]
    assert request["source"] == {"url": audio_url}
    assert cluster.secrets == {}
    again = api.post("/split", json=request_body(audioUrl=audio_url))
    assert (again.status_code, again.json()["jobId"]) == (200, job_id), "the same intent"
    assert submitted(api, audioUrl=sent(api)) != job_id, "another file, whatever it holds"


@pytest.mark.parametrize(
    "audio_url",
    [
        "s3://stems/prod/song-1/split-a/vocals.wav",
        "s3://stems/prod/_inputs/",
        f"s3://stems/_inputs/{'0' * 32}/song.wav",
        f"s3://former/prod/_inputs/{'0' * 32}/song.wav",
        f"s3://stems/prod/_inputs/{'0' * 32}/../song-1",
        f"s3://stems/prod/_inputs/{'0' * 32}/song.wav?versionId=1",
        f"s3://stems/prod/_inputs/{'0' * 32}/song.wav#",
        f"s3://stems/prod/_inputs/{'0' * 32}/%2e%2e",
        f"S3://stems/prod/_inputs/{'0' * 32}/song.wav",
        "s3://stems",
        "s3://",
        "s3:///prod",
    ],
)
def test_no_other_object_of_the_bucket_can_be_named(
    api: TestClient, cluster: FakeCluster, audio_url: str
) -> None:
    """Acceptance 28b."""
    answer = api.post("/split", json=request_body(audioUrl=audio_url))
    refused(answer, 422, "request_invalid")
    assert [error["field"] for error in answer.json()["errors"]] == ["audioUrl"]
    assert cluster.splitjobs == {}


def test_the_bucket_is_no_address_of_a_webhook_or_an_upload(api: TestClient) -> None:
    stored = f"s3://stems/prod/_inputs/{'0' * 32}/song.wav"
    refused(api.post("/split", json=request_body(webhook=stored)), 422, "request_invalid")
    uploads = dict.fromkeys(FILES, stored)
    refused(api.post("/split", json=request_body(uploads=uploads)), 422, "request_invalid")


def test_a_file_in_the_bucket_and_stems_outside_it_do_not_go_together(api: TestClient) -> None:
    """With `uploads` a worker has no storage credentials, so it could not read the file."""
    uploads = {name: f"https://put.example.com/{name}" for name in FILES}
    answer = api.post("/split", json=request_body(audioUrl=sent(api), uploads=uploads))
    refused(answer, 422, "request_invalid")
    [error] = answer.json()["errors"]
    assert (error["field"], error["code"]) == ("audioUrl", "unsupported")


def test_a_retry_is_told_that_the_file_is_gone(api: TestClient, cluster: FakeCluster) -> None:
    """Acceptance 28c."""
    audio_url = sent(api)
    kept = failed(api, cluster, audioUrl=audio_url)
    again = api.post(f"/jobs/{kept}/retry")
    assert again.status_code == 202, "the file is not deleted yet, and kept from now on"
    cluster.set_status(kept, inputDeletedAt="2026-01-02T00:00:00Z")
    assert api.post(f"/jobs/{kept}/retry").json() == again.json(), "that job serves it"
    cluster.finish(again.json()["jobId"], "GpuError", inputDeletedAt="2026-01-02T00:00:00Z")
    let_watch_begin(api, cluster)
    answer = api.post(f"/jobs/{kept}/retry")
    assert "2026-01-02" in refused(answer, 410, "input_deleted")
    assert len(cluster.splitjobs) == 2
