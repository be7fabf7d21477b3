"""Waveforms and manifests through the API: who gets them, who is told why not."""

import logging
from typing import Any

import anyio
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send
from tests.support.fake_cluster import RESULT, STEM, Answer, FakeCluster, refused, served, submitted
from tests.support.stored_content import StoredContents

from splitjob_api import stored_files
from splitjob_api.caller import Caller, remember_caller
from splitjob_api.problems import ApiError
from splitjob_api.settings import Settings
from splitjob_api.storage_links import StorageLinks, StorageLinksError
from splitjob_api.stored_files import StoredFiles
from splitjob_io.storage import Patience

DRAWN = b'{"version":2,"data":[' + b"1," * 100_000 + b"1]}"
STORAGE = {
    "ENVIRONMENT": "prod",
    "S3_ENDPOINT": "https://stems.example.com",
    "S3_BUCKET": "stems",
    "S3_ACCESS_KEY_ID": "reader",
    "S3_SECRET_ACCESS_KEY": "a-secret",
}
FILES = ("drums", "bass", "other", "vocals", "manifest")


@pytest.fixture
def stored() -> StoredContents:
    return StoredContents(
        {
            "song-1/a-job/vocals.waveform.json": DRAWN,
            "song-1/a-job/mixture.waveform.json": b"{}",
            "song-1/a-job/manifest.json": b'{"status": "completed"}',
        }
    )


@pytest.fixture
def api(
    cluster: FakeCluster, stored: StoredContents, monkeypatch: pytest.MonkeyPatch
) -> TestClient:
    links = StorageLinks("stems", 300, 300)
    monkeypatch.setattr(links, "open", stored)
    return served(cluster, links)


def completed(api: TestClient, cluster: FakeCluster, **result: Any) -> str:
    job_id = submitted(api)
    cluster.finish(job_id, "Completed", result={**RESULT, **result})
    return job_id


def read(api: TestClient, job_id: str, what: str = "waveforms/vocals", **headers: str) -> Answer:
    return api.get(f"/jobs/{job_id}/{what}", headers=headers)


@pytest.mark.parametrize(
    ("what", "content"),
    [
        ("waveforms/vocals", DRAWN),
        ("waveforms/mixture", b"{}"),
        ("manifest", b'{"status": "completed"}'),
    ],
)
def test_a_file_comes_as_it_lies_in_the_bucket(
    api: TestClient, cluster: FakeCluster, stored: StoredContents, what: str, content: bytes
) -> None:
    answer = read(api, completed(api, cluster), what)
    assert (answer.status_code, answer.text) == (200, content.decode())
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Content-Length"] == str(len(content))
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert [one.closed for one in stored.opened] == [True]


@pytest.mark.parametrize("known", ['"0123"', '"other", W/"0123"', "*"])
def test_what_the_caller_has_is_not_sent_again(
    api: TestClient, cluster: FakeCluster, stored: StoredContents, known: str
) -> None:
    job_id = completed(api, cluster)
    etag = read(api, job_id).headers["ETag"]
    answer = read(api, job_id, **{"If-None-Match": known})
    assert (answer.status_code, answer.text, answer.headers["ETag"]) == (304, "", etag)
    assert read(api, job_id, **{"If-None-Match": '"other"'}).status_code == 200
    assert all(one.closed for one in stored.opened)


def test_a_job_without_such_a_file_says_why(api: TestClient, cluster: FakeCluster) -> None:
    for what in ("waveforms/vocals", "manifest"):
        refused(read(api, "nonesuch", what), 404, "job_not_found")
        job_id = submitted(api)
        refused(read(api, job_id, what), 409, "not_completed")
        cluster.finish(job_id, "GpuError")
        refused(read(api, job_id, what), 409, "not_completed")
        done = completed(api, cluster)
        cluster.splitjobs[done]["spec"]["erase"] = True
        refused(read(api, done, what), 410, "erased")
        del cluster.splitjobs[done]
    done = completed(api, cluster)
    known = refused(read(api, done, "waveforms/kazoo"), 404, "stem_not_found")
    assert "it has: vocals, mixture" in known


def test_waveforms_that_were_not_asked_for_are_not_there(
    api: TestClient, cluster: FakeCluster
) -> None:
    done = completed(api, cluster, stems=[{**STEM, "waveform": ""}], audio=None)
    for name in ("vocals", "mixture"):
        why = refused(read(api, done, f"waveforms/{name}"), 404, "stem_not_found")
        assert "did not ask for" in why


def test_files_that_went_to_the_callers_urls_are_theirs(
    api: TestClient, cluster: FakeCluster
) -> None:
    uploads = {name: f"https://put.example.com/{name}" for name in FILES}
    job_id = submitted(api, uploads=uploads)
    cluster.finish(job_id, "Completed", result=RESULT)
    refused(read(api, job_id), 409, "stems_elsewhere")
    former = "s3://former/song-1/manifest.json"
    refused(
        read(api, completed(api, cluster, manifestUrl=former), "manifest"), 409, "stems_elsewhere"
    )


def test_a_bucket_may_be_named_by_the_arn_of_an_access_point(
    cluster: FakeCluster, stored: StoredContents, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has a slash in it."""
    links = StorageLinks("arn:aws:s3:eu-west-1:123456789012:accesspoint/music", 300, 300)
    monkeypatch.setattr(links, "open", stored)
    api = served(cluster, links)
    url = f"s3://{links.bucket}/song-1/a-job/manifest.json"
    assert read(api, completed(api, cluster, manifestUrl=url), "manifest").status_code == 200


def test_what_somebody_took_out_of_the_bucket_is_not_found(
    api: TestClient, cluster: FakeCluster, stored: StoredContents
) -> None:
    stored.contents.clear()
    refused(read(api, completed(api, cluster)), 404, "file_not_found")


def test_a_bucket_that_cannot_be_read_is_a_503(
    api: TestClient, cluster: FakeCluster, stored: StoredContents
) -> None:
    stored.error = StorageLinksError("the storage answered 403 AccessDenied")
    answer = read(api, completed(api, cluster))
    assert "AccessDenied" in refused(answer, 503, "storage_unavailable")
    assert int(answer.headers["Retry-After"]) > 0


def test_an_api_without_a_bucket_says_what_it_needs(cluster: FakeCluster) -> None:
    api = served(cluster)
    answer = read(api, completed(api, cluster), "manifest")
    assert "api.storage.enabled" in refused(answer, 501, "storage_not_configured")


def test_what_is_too_large_for_a_file_of_ours_is_not_read(
    api: TestClient, cluster: FakeCluster, stored: StoredContents
) -> None:
    stored.how = {"size": stored_files.MAX_BYTES + 1}
    refused(read(api, completed(api, cluster)), 404, "file_not_found")
    assert [one.closed for one in stored.opened] == [True]


def test_each_place_is_given_back_however_an_answer_ends(
    api: TestClient,
    cluster: FakeCluster,
    stored: StoredContents,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Acceptance 82."""
    monkeypatch.setattr(stored_files, "PATIENCE_SECONDS", 0.01)
    job_id = completed(api, cluster)
    caplog.set_level(logging.WARNING)
    for _ in range(stored_files.AT_ONCE + 1):
        assert read(api, job_id).status_code == 200
        assert read(api, job_id, **{"If-None-Match": "*"}).status_code == 304
        stored.how = {"breaks_after": 65_536}
        assert read(api, job_id).text != DRAWN.decode()
        stored.how = {}
        stored.error = StorageLinksError("away")
        refused(read(api, job_id), 503, "storage_unavailable")
        stored.error = None
    assert "broke off: the storage broke off" in caplog.text
    assert all(one.closed for one in stored.opened)


def test_more_than_there_are_places_for_are_told_to_come_again(
    api: TestClient, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_files, "PATIENCE_SECONDS", 0.01)
    files = api.app.state.services.stored_files  # type: ignore[attr-defined]
    files._limit._limit._free._value = 0
    answer = read(api, completed(api, cluster))
    assert "too many" in refused(answer, 503, "storage_unavailable")
    assert int(answer.headers["Retry-After"]) > 0


def test_one_caller_who_takes_nothing_leaves_places_for_another(
    api: TestClient, stored: StoredContents, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many files the one asks for; and afterwards nothing is kept of either."""
    monkeypatch.setattr(stored_files, "PATIENCE_SECONDS", 0.2)
    files: StoredFiles = api.app.state.services.stored_files  # type: ignore[attr-defined]

    async def answered(name: str) -> Response:
        scope: Scope = {"type": "http", "method": "GET", "headers": []}
        remember_caller(scope, Caller("kubernetes", name))
        return await files.answer(Request(scope), lambda: stored("song-1/a-job/manifest.json"))

    async def stay() -> Message:
        await anyio.sleep_forever()
        return {}

    async def hang_up(_message: Message) -> None:
        raise ConnectionError

    async def ask() -> None:
        slow = [await answered("slow") for _ in range(stored_files.AT_ONCE_OF_ONE_CALLER)]
        for _ in range(2):
            with pytest.raises(ApiError) as told:
                await answered("slow")
            assert (told.value.status, told.value.code) == (429, "rate_limited")
        quick = [await answered("quick") for _ in range(2)]
        for one in (*slow, *quick):
            with pytest.raises(ConnectionError):
                await one({"type": "http"}, stay, hang_up)

    anyio.run(ask)
    assert all(one.closed for one in stored.opened)
    assert not files._limit._shares


def test_who_takes_a_file_too_slowly_keeps_nobody_else_from_a_place(
    api: TestClient,
    cluster: FakeCluster,
    stored: StoredContents,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(stored_files, "GRACE_SECONDS", 0.01)
    monkeypatch.setattr(stored_files, "SLOWEST_BYTES_PER_SECOND", 1 << 30)
    files: StoredFiles = api.app.state.services.stored_files  # type: ignore[attr-defined]
    key = "song-1/a-job/vocals.waveform.json"

    async def ask(scope: Scope, receive: Receive, send: Send) -> None:
        answer = await files.answer(Request(scope, receive), lambda: stored(key))
        await answer(scope, receive, send)

    async def take_nothing(_message: Message) -> None:
        await anyio.sleep_forever()

    async def stay() -> Message:
        await anyio.sleep_forever()
        return {}

    scope = {"type": "http", "method": "GET", "headers": []}
    for _ in range(stored_files.AT_ONCE + 1):
        anyio.run(ask, scope, stay, take_nothing)
    assert "was not taken in" in caplog.text
    assert all(one.closed for one in stored.opened)


def test_a_bucket_that_hangs_is_not_waited_for_as_long_as_by_a_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in STORAGE.items():
        monkeypatch.setenv(name, value)
    for read_endpoint in ("", "http://127.0.0.1:1"):
        links = StorageLinks("stems", 300, 300, read_endpoint)
        config = links._reading_service().client.meta.config
        longest = config.retries["total_max_attempts"] * (
            config.connect_timeout + config.read_timeout
        )
        assert longest <= 30


def test_files_are_read_where_the_bucket_is_and_links_signed_for_where_callers_find_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in STORAGE.items():
        monkeypatch.setenv(name, value)
    inside = "http://127.0.0.1:1"
    links = StorageLinks.from_settings(Settings(s3_bucket="stems", s3_read_endpoint=inside))
    assert links
    assert links.download("a", "a").url.startswith("https://stems.example.com/")
    monkeypatch.setattr("splitjob_io.storage.BRIEF", Patience(1, 1))
    with pytest.raises(StorageLinksError, match="EndpointConnectionError"):
        links.open("a")
