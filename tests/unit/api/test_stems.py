"""Downloads: who gets a URL, who is told why there is none."""

from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient
from tests.support.fake_cluster import RESULT, STEM, Answer, FakeCluster, refused, served, submitted

from splitjob_api.settings import Settings
from splitjob_api.storage_links import StorageLinks

KEYS = {
    "ENVIRONMENT": "prod",
    "S3_ENDPOINT": "https://s3.example.com",
    "S3_BUCKET": "stems",
    "S3_ACCESS_KEY_ID": "reader",
    "S3_SECRET_ACCESS_KEY": "a-secret-of-the-reader",
}
NO_CREDENTIALS = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/nowhere",
    "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
}
FILES = ("drums", "bass", "other", "vocals", "manifest")


@pytest.fixture
def links(monkeypatch: pytest.MonkeyPatch) -> StorageLinks:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    settings = Settings(s3_bucket="stems", download_url_seconds=300)
    found = StorageLinks.from_settings(settings)
    assert found
    return found


@pytest.fixture
def api(cluster: FakeCluster, links: StorageLinks) -> TestClient:
    return served(cluster, links)


def completed(api: TestClient, cluster: FakeCluster, **result: Any) -> str:
    job_id = submitted(api)
    cluster.finish(job_id, "Completed", result={**RESULT, **result})
    return job_id


def download(api: TestClient, job_id: str, stem: str = "vocals", accept: str = "") -> Answer:
    headers = {"Accept": accept} if accept else {}
    return api.get(f"/jobs/{job_id}/stems/{stem}", headers=headers, follow_redirects=False)


@pytest.mark.parametrize("accept", ["", "*/*", "text/html,*/*;q=0.8", "application/json;q=0"])
def test_a_browser_is_led_to_the_file(api: TestClient, cluster: FakeCluster, accept: str) -> None:
    answer = download(api, completed(api, cluster), accept=accept)
    assert answer.status_code == 307
    url = httpx.URL(answer.headers["Location"])
    assert (url.host, url.path) == ("s3.example.com", "/stems/song-1/a-job/vocals.flac")
    assert url.params["X-Amz-Expires"] == "300"
    assert "song-1-vocals.flac" in url.params["response-content-disposition"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Vary"] == "Accept"


@pytest.mark.parametrize("accept", ["application/json", "text/html;q=0.5, Application/JSON; q=1"])
def test_a_program_gets_the_url_and_its_end(
    api: TestClient, cluster: FakeCluster, accept: str
) -> None:
    answer = download(api, completed(api, cluster), accept=accept)
    assert answer.status_code == 200
    assert set(answer.json()) == {"url", "expiresAt"}
    assert answer.json()["url"].startswith("https://s3.example.com/stems/song-1/")
    assert answer.headers["Cache-Control"] == "no-store"
    assert "a-secret-of-the-reader" not in answer.text


def test_a_job_without_stems_says_why(api: TestClient, cluster: FakeCluster) -> None:
    refused(download(api, "nonesuch"), 404, "job_not_found")
    job_id = submitted(api)
    refused(download(api, job_id), 409, "not_completed")
    cluster.finish(job_id, "GpuError")
    refused(download(api, job_id), 409, "not_completed")
    done = completed(api, cluster)
    assert "vocals" in refused(download(api, done, "kazoo"), 404, "stem_not_found")
    cluster.splitjobs[done]["spec"]["erase"] = True
    refused(download(api, done), 410, "erased")


def test_stems_that_went_to_the_callers_urls_are_theirs(
    api: TestClient, cluster: FakeCluster
) -> None:
    uploads = {name: f"https://put.example.com/{name}" for name in FILES}
    job_id = submitted(api, uploads=uploads)
    cluster.finish(job_id, "Completed", result=RESULT)
    refused(download(api, job_id), 409, "stems_elsewhere")


def test_stems_in_a_bucket_of_former_settings_are_not_signed_for(
    api: TestClient, cluster: FakeCluster
) -> None:
    job_id = completed(api, cluster, stems=[{**STEM, "url": "s3://former/song-1/vocals.flac"}])
    assert "former" in refused(download(api, job_id), 409, "stems_elsewhere")


def test_an_api_without_a_bucket_says_what_it_needs(cluster: FakeCluster) -> None:
    assert StorageLinks.from_settings(Settings()) is None
    api = served(cluster)
    answer = download(api, completed(api, cluster))
    assert "api.storage.enabled" in refused(answer, 501, "storage_not_configured")
    assert "Retry-After" not in answer.headers, "it does not pass by itself"


def test_an_api_without_credentials_says_so(
    cluster: FakeCluster, links: StorageLinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name, value in NO_CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    api = served(cluster, links)
    answer = download(api, completed(api, cluster))
    assert "NoCredentials" in refused(answer, 503, "storage_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
