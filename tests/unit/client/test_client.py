"""`Client` and `AsyncClient` alike, against a real HTTP server."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.fake_service import (
    JOB_ID,
    TOKEN,
    FakeService,
    event,
    fake_service,
    gives,
    hangs_up,
    job,
    problem,
    sends,
    stem,
    streams,
)
from tests.support.ports import free_port

from splitjob_client import (
    AnswerError,
    AsyncClient,
    BusyError,
    Client,
    ClientError,
    ConflictError,
    Credentials,
    DownloadError,
    ForbiddenError,
    GoneError,
    InvalidRequestError,
    JobDeletedError,
    KubernetesToken,
    NotCompletedError,
    NotFoundError,
    RetryPolicy,
    SettingsError,
    StemNotFoundError,
    UnauthorizedError,
    UnavailableError,
    UnexpectedAnswerError,
    UnreachableError,
    UploadError,
)

QUICK = RetryPolicy(attempts=3, first_pause_seconds=0.001)
SONG: dict[str, Any] = {
    "version_id": "song-42",
    "audio_url": "https://example.com/song.wav?secret=1",
    "ai_model": "demo",
    "webhook": "https://hooks.example.com/stems",
}


@dataclass
class Caller:
    """Calls either client, and waits for what it gives."""

    kind: type[Client] | type[AsyncClient]

    def ask(
        self,
        url: str,
        method: str,
        *words: Any,
        first: int | None = None,
        credentials: Credentials | str = TOKEN,
        **fields: Any,
    ) -> Any:
        """Return what a method gives; of an iterator, the first so many things it gives."""
        if self.kind is Client:
            with Client(url, credentials, retry=QUICK) as client:
                given = getattr(client, method)(*words, **fields)
                return list(islice(given, first)) if isinstance(given, Iterator) else given
        return asyncio.run(self._ask(url, method, words, fields, first, credentials))

    async def _ask(
        self,
        url: str,
        method: str,
        words: Any,
        fields: Any,
        first: int | None,
        credentials: Credentials | str,
    ) -> Any:
        async with AsyncClient(url, credentials, retry=QUICK) as client:
            given = getattr(client, method)(*words, **fields)
            if not isinstance(given, AsyncIterator):
                return await given
            found: list[Any] = []
            async for one in given:
                found.append(one)
                if len(found) == first:
                    break
            return found


@pytest.fixture(params=[Client, AsyncClient], ids=["sync", "async"])
def caller(request: pytest.FixtureRequest) -> Caller:
    return Caller(request.param)


@pytest.fixture
def service() -> Iterator[FakeService]:
    with fake_service() as running:
        yield running


def test_a_song_is_submitted_in_the_words_of_the_api(caller: Caller, service: FakeService) -> None:
    service.on("POST /split", gives({"jobId": JOB_ID, "warnings": ["late"]}, 202))
    answer = caller.ask(
        service.url,
        "submit",
        **SONG,
        bit_depth=24,
        seed=None,
        metadata={"my_key": "x"},
        uploads={"vocals": {"url": "https://b/v", "headers": {"x-ms-blob-type": "BlockBlob"}}},
    )
    assert (answer.job_id, answer.created, answer.warnings) == (JOB_ID, True, ["late"])
    assert json.loads(service.heard[0][2]) == {
        "versionId": "song-42",
        "audioUrl": "https://example.com/song.wav?secret=1",
        "aiModel": "demo",
        "webhook": "https://hooks.example.com/stems",
        "bitDepth": 24,
        "metadata": {"my_key": "x"},
        "uploads": {"vocals": {"url": "https://b/v", "headers": {"x-ms-blob-type": "BlockBlob"}}},
    }


def test_the_same_request_again_is_told_apart(caller: Caller, service: FakeService) -> None:
    service.on("POST /split", gives({"jobId": JOB_ID}, 200))
    assert not caller.ask(service.url, "submit", **SONG).created


def test_a_job_is_read_with_fields_of_a_later_release(caller: Caller, service: FakeService) -> None:
    told = job("dreaming", 40, moonPhase="new", queue={"reason": "Queued", "etaSeconds": 7})
    service.on(f"GET /jobs/{JOB_ID}", gives(told))
    found = caller.ask(service.url, "job", JOB_ID)
    assert (found.state, found.progress.percent, found.queue.eta_seconds) == ("dreaming", 40, 7)
    assert found.model_extra == {"moonPhase": "new"}
    assert not found.finished


def test_an_id_cannot_lead_to_another_call(caller: Caller, service: FakeService) -> None:
    for job_id in ("../models?x=1", "..", "\udcff"):
        with pytest.raises(NotFoundError):
            caller.ask(service.url, "redeliver", job_id)
    assert service.targets() == [
        "POST /jobs/..%2Fmodels%3Fx%3D1/redeliver",
        "POST /jobs/%2E%2E/redeliver",
        "POST /jobs/%3F/redeliver",
    ]


def test_pages_follow_one_another_with_the_same_filter(
    caller: Caller, service: FakeService
) -> None:
    service.on(
        "GET /jobs",
        gives({"jobs": [job()], "nextCursor": "a=b&c"}),
        gives({"jobs": [job("failed")], "nextCursor": None}),
    )
    since = datetime(2026, 1, 1, 1, tzinfo=UTC)
    found = caller.ask(
        service.url, "all_jobs", status=["queued", "failed"], version_id="song 42", since=since
    )
    assert [one.state for one in found] == ["running", "failed"]
    query = "status=queued&status=failed&versionId=song%2042&since=2026-01-01T01%3A00%3A00Z"
    assert service.targets() == [f"GET /jobs?{query}", f"GET /jobs?{query}&cursor=a%3Db%26c"]


@pytest.mark.parametrize(
    ("method", "target", "answer"),
    [
        ("cancel", f"DELETE /jobs/{JOB_ID}", job("canceled")),
        ("redeliver", f"POST /jobs/{JOB_ID}/redeliver", job("completed")),
        ("retry", f"POST /jobs/{JOB_ID}/retry", {"jobId": "split-2"}),
        (
            "erase",
            f"DELETE /jobs/{JOB_ID}/data",
            job("failed", erased={"at": "2026-01-01T00:00:00Z", "objects": 5}),
        ),
    ],
)
def test_what_can_be_done_to_a_job(
    caller: Caller, service: FakeService, method: str, target: str, answer: dict[str, Any]
) -> None:
    service.on(target, gives(answer))
    given = caller.ask(service.url, method, JOB_ID)
    assert given.model_dump(mode="json", by_alias=True).items() >= answer.items()
    assert service.targets() == [target]


def test_models_and_queue(caller: Caller, service: FakeService) -> None:
    model = {"name": "demo", "stems": ["drums"], "sampleRate": 44100, "licenseNote": "MIT"}
    service.on("GET /models", gives({"models": [model]}))
    counts = {"queue_depth": 3, "active_workers": 1, "completed_jobs": 9, "failed_jobs": 2}
    service.on("GET /queue/status", gives(counts))
    assert [one.name for one in caller.ask(service.url, "models")] == ["demo"]
    assert caller.ask(service.url, "queue_status").queue_depth == 3


def test_a_token_of_the_cluster_is_the_other_way_in(caller: Caller, service: FakeService) -> None:
    service.on(f"GET /jobs/{JOB_ID}", gives(job()))
    tokens = iter(["of-the-cluster", "of-the-cluster\n"])
    caller.ask(service.url, "job", JOB_ID, credentials=KubernetesToken(lambda: next(tokens)))
    [(_, headers, _)] = service.heard
    assert headers["authorization"] == "Bearer of-the-cluster"
    assert "x-signature" not in headers


def test_what_a_gateway_strips_is_not_signed(caller: Caller) -> None:
    with fake_service(prefix="/audio/v1") as service:
        service.on("GET /jobs", gives({"jobs": []}))
        assert caller.ask(service.url + "/", "jobs", limit=5).jobs == []


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequestError),
        (401, UnauthorizedError),
        (403, ForbiddenError),
        (404, NotFoundError),
        (409, ConflictError),
        (410, GoneError),
        (413, InvalidRequestError),
        (422, InvalidRequestError),
        (429, BusyError),
        (503, UnavailableError),
        (500, AnswerError),
    ],
)
def test_each_problem_is_an_error_of_its_own(
    caller: Caller, service: FakeService, status: int, kind: type[AnswerError]
) -> None:
    errors = [{"field": "uploads.vocals", "code": "invalid", "message": "no such stem"}]
    service.on("POST /split", problem(status, "some_code", errors=errors, jobId="split-1"))
    with pytest.raises(kind) as raised:
        caller.ask(service.url, "submit", **SONG)
    error = raised.value
    assert (error.status, error.code, error.job_id) == (status, "some_code", "split-1")
    assert error.errors[0].field == "uploads.vocals"
    assert error.request_id == "request-1"
    assert str(error) == (f"uploads.vocals: no such stem ({status} some_code)")


@pytest.mark.parametrize("page", [b"<html>Bad gateway</html>", b"", b"[]", b"\xff", b"[" * 99999])
def test_an_error_that_something_in_between_writes(
    caller: Caller, service: FakeService, page: bytes
) -> None:
    service.on("GET /models", sends(page, 502, "text/html"))
    with pytest.raises(UnavailableError, match="HTTP 502"):
        caller.ask(service.url, "models")


@pytest.mark.parametrize("page", [b"<html>Welcome</html>", b"{}", b'{"models": [1]}', b""])
def test_an_answer_that_is_none_of_the_service(
    caller: Caller, service: FakeService, page: bytes
) -> None:
    service.on("GET /models", sends(page, 200, "text/html"))
    with pytest.raises(UnexpectedAnswerError):
        caller.ask(service.url, "models")


def test_a_redirect_is_not_followed(caller: Caller, service: FakeService) -> None:
    """A signature and a token are for this address alone."""
    service.on("GET /models", sends(b"", 307, "text/plain", Location=f"{service.url}/elsewhere"))
    with pytest.raises(UnexpectedAnswerError, match="307"):
        caller.ask(service.url, "models")
    assert service.targets() == ["GET /models"]


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_what_may_pass_is_tried_again(caller: Caller, service: FakeService, status: int) -> None:
    passing = problem(status, "busy", retry_after=0)
    service.on("POST /split", passing, hangs_up, gives({"jobId": JOB_ID}, 202))
    assert caller.ask(service.url, "submit", **SONG).job_id == JOB_ID
    assert len(service.heard) == 3
    assert len({body for _, _, body in service.heard}) == 1


def test_it_is_tried_so_often_and_no_more(caller: Caller, service: FakeService) -> None:
    service.on("GET /models", problem(503, "not_ready", retry_after=0))
    with pytest.raises(UnavailableError):
        caller.ask(service.url, "models")
    assert len(service.heard) == QUICK.attempts


def test_a_wait_that_is_too_long_is_told_instead(caller: Caller, service: FakeService) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    date = f"{later:%a, %d %b %Y %H:%M:%S GMT}"
    service.on("GET /models", problem(429, "queue_full", retry_after=date))
    with pytest.raises(BusyError) as raised:
        caller.ask(service.url, "models")
    assert raised.value.retry_after_seconds == pytest.approx(3600, abs=30)
    assert len(service.heard) == 1


def test_an_error_that_stays_is_not_tried_again(caller: Caller, service: FakeService) -> None:
    service.on("GET /models", problem(422, "request_invalid"))
    with pytest.raises(InvalidRequestError):
        caller.ask(service.url, "models")
    assert len(service.heard) == 1


def test_nobody_there(caller: Caller) -> None:
    with pytest.raises(UnreachableError, match="the service cannot be reached"):
        caller.ask(f"http://127.0.0.1:{free_port()}", "models")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "stems.example.com",
        "ftp://a",
        "https://",
        "https://u:p@a",
        "https://a?b=c",
        "http://[::1",
    ],
)
def test_an_address_that_is_none(caller: Caller, url: str) -> None:
    with pytest.raises(SettingsError, match="address"):
        caller.ask(url, "models")


@pytest.mark.parametrize("credentials", ["", " ", "a,,b", "whsec_%"])
def test_a_token_that_is_none(caller: Caller, credentials: str) -> None:
    with pytest.raises(SettingsError, match=r"(?i)token"):
        caller.ask("https://a", "models", credentials=credentials)


@pytest.mark.parametrize("token", ["", "two\nlines", "Größe", "two words"])
def test_a_token_of_the_cluster_that_is_none(token: str) -> None:
    with pytest.raises(SettingsError, match="Kubernetes token"):
        KubernetesToken(token)


def test_the_environment_says_where_and_who(
    caller: Caller, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("API_URL", "DEMUCSSVC_TOKEN", "KUBERNETES_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SettingsError, match="API_URL"):
        caller.kind.from_environment()
    monkeypatch.setenv("API_URL", service.url)
    with pytest.raises(SettingsError, match="DEMUCSSVC_TOKEN"):
        caller.kind.from_environment()
    monkeypatch.setenv("KUBERNETES_TOKEN", "of-the-cluster")
    caller.kind.from_environment()
    monkeypatch.setenv("DEMUCSSVC_TOKEN", TOKEN)
    assert TOKEN not in repr(vars(caller.kind.from_environment()))


# Watching


def test_a_watch_tells_each_change_and_ends_with_the_job(
    caller: Caller, service: FakeService
) -> None:
    first = job("queued", observedAt="2026-01-01T00:00:00Z")
    again = job("queued", observedAt="2026-01-01T00:00:09Z")
    told = [first, again, job("running", 50), job("completed"), job("failed")]
    service.on(
        f"GET /jobs/{JOB_ID}/events",
        streams(": hello\n\n", *(event(one, number) for number, one in enumerate(told))),
    )
    found = caller.ask(service.url, "watch", JOB_ID)
    assert [one.state for one in found] == ["queued", "running", "completed"]


def test_a_stream_that_breaks_is_resumed_after_the_last_event(
    caller: Caller, service: FakeService
) -> None:
    service.on(
        f"GET /jobs/{JOB_ID}/events",
        streams(event(job("running", 10), 41), event({"jobId": JOB_ID}, 42, "resume")),
        hangs_up,
        problem(503, "not_ready", retry_after=0),
        streams(event(job("running", 10), 42), event(job("completed"), 43)),
    )
    found = caller.ask(service.url, "watch", JOB_ID)
    assert [one.state for one in found] == ["running", "completed"]
    resumed = [headers.get("last-event-id") for _, headers, _ in service.heard]
    assert resumed == [None, "42", "42", "42"]


@pytest.mark.parametrize(
    "refusal",
    [
        problem(404, "not_found"),
        problem(503, "too_many_streams", retry_after=5),
        problem(429, "too_many_own_streams", retry_after=5),
    ],
)
def test_without_a_stream_the_job_is_asked_for_again_and_again(
    caller: Caller, service: FakeService, refusal: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("splitjob_client.watching._FIRST_LOOK", 0.001)
    service.on(f"GET /jobs/{JOB_ID}/events", refusal)
    service.on(
        f"GET /jobs/{JOB_ID}", *map(gives, [job("running", 1), job("running", 1), job("canceled")])
    )
    found = caller.ask(service.url, "watch", JOB_ID)
    assert [one.state for one in found] == ["running", "canceled"]


def test_a_stream_that_has_nothing_more_to_tell_is_not_opened_again(
    caller: Caller, service: FakeService
) -> None:
    opened = streams(event(job("running", 90), 7))
    service.on(f"GET /jobs/{JOB_ID}/events", opened, sends(b"", 204, "text/plain"))
    found = caller.ask(service.url, "watch", JOB_ID)
    assert [one.state for one in found] == ["running"]
    assert len(service.heard) == 2


def test_a_job_that_is_not_there_cannot_be_watched(caller: Caller, service: FakeService) -> None:
    service.on(f"GET /jobs/{JOB_ID}/events", problem(404, "job_not_found"))
    with pytest.raises(NotFoundError):
        caller.ask(service.url, "watch", JOB_ID)
    assert len(service.heard) == 1


def test_a_job_that_is_deleted_while_it_is_watched(caller: Caller, service: FakeService) -> None:
    gone = event({"jobId": JOB_ID}, 2, "deleted")
    service.on(f"GET /jobs/{JOB_ID}/events", streams(event(job("queued"), 1), gone))
    with pytest.raises(JobDeletedError):
        caller.ask(service.url, "watch", JOB_ID)


@pytest.mark.parametrize(
    "answer",
    [sends(b"<html>", 200, "text/html"), streams("event: job\ndata: {}\n\n")],
    ids=["no stream", "no job"],
)
def test_a_stream_that_is_none_of_the_service(
    caller: Caller, service: FakeService, answer: Any
) -> None:
    service.on(f"GET /jobs/{JOB_ID}/events", answer)
    with pytest.raises(UnexpectedAnswerError):
        caller.ask(service.url, "watch", JOB_ID)


def test_all_events_are_told_and_begin_where_one_says(caller: Caller, service: FakeService) -> None:
    gone = event({"jobId": "split-2"}, 8, "deleted")
    service.on("GET /events", streams(event(job("queued"), 7), gone))
    found = caller.ask(service.url, "events", "6", first=2, model="demo")
    assert [(one.event_id, one.job_id) for one in found] == [("7", JOB_ID), ("8", "split-2")]
    assert [one.kind for one in found] == ["job", "deleted"]
    assert found[0].job.state == "queued"
    target, headers, _ = service.heard[0]
    assert (target, headers["last-event-id"]) == ("GET /events?model=demo", "6")


# Files


CONTENT = b"RIFF" + bytes(300_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def with_stem(service: FakeService, digest: str = DIGEST) -> None:
    done = job("completed", result={"model": "demo", "stems": [stem("vocals", digest, 3)]})
    service.on(f"GET /jobs/{JOB_ID}", gives(done))
    url = {
        "url": f"{service.url}/bucket/vocals.wav?sig=secret",
        "expiresAt": "2026-01-01T00:00:00Z",
    }
    service.on(f"GET /jobs/{JOB_ID}/stems/vocals", gives(url))


def test_a_stem_is_fetched_whole_or_not_at_all(
    caller: Caller, service: FakeService, tmp_path: Path
) -> None:
    with_stem(service)

    def cut(request: Any) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(CONTENT)))
        request.end_headers()
        request.wfile.write(CONTENT[:1000])
        request.close_connection = True

    whole = sends(CONTENT, 200, "audio/wav")
    service.on("GET /bucket/vocals.wav", problem(503, "SlowDown", retry_after=0), cut, whole)
    path = caller.ask(service.url, "download", JOB_ID, "vocals", tmp_path / "new")
    assert path == tmp_path / "new" / "vocals.wav"
    assert path.read_bytes() == CONTENT
    assert [one.name for one in path.parent.iterdir()] == ["vocals.wav"]
    fetched = [headers for target, headers, _ in service.heard if "/bucket/" in target]
    assert len(fetched) == 3
    assert not any("x-signature" in headers for headers in fetched)


def test_a_stem_that_is_not_what_was_promised_is_not_kept(
    caller: Caller, service: FakeService, tmp_path: Path
) -> None:
    with_stem(service, digest="0" * 64)
    service.on("GET /bucket/vocals.wav", sends(CONTENT, 200, "audio/wav"))
    with pytest.raises(DownloadError, match="checksum"):
        caller.ask(service.url, "download", JOB_ID, "vocals", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_stem_that_cannot_be_had(caller: Caller, service: FakeService, tmp_path: Path) -> None:
    with_stem(service)
    with pytest.raises(StemNotFoundError, match="has no stem drums; it has: vocals"):
        caller.ask(service.url, "download", JOB_ID, "drums", tmp_path)
    service.on("GET /bucket/vocals.wav", problem(404, "NoSuchKey"))
    with pytest.raises(StemNotFoundError, match="does not hold the file any more"):
        caller.ask(service.url, "download", JOB_ID, "vocals", tmp_path)
    service.on("GET /bucket/vocals.wav", problem(403, "AccessDenied"))
    with pytest.raises(DownloadError, match="HTTP 403") as raised:
        caller.ask(service.url, "download", JOB_ID, "vocals", tmp_path)
    assert "secret" not in str(raised.value)
    (tmp_path / "file").touch()
    service.on("GET /bucket/vocals.wav", sends(CONTENT, 200, "audio/wav"))
    with pytest.raises(DownloadError, match="cannot be written"):
        caller.ask(service.url, "download", JOB_ID, "vocals", tmp_path / "file")
    service.on(f"GET /jobs/{JOB_ID}", gives(job("failed")))
    with pytest.raises(NotCompletedError, match="no stems: it is failed"):
        caller.ask(service.url, "download", JOB_ID, "vocals", tmp_path)


@pytest.mark.parametrize("name", ["../vocals", "a/b", ""])
def test_a_stem_cannot_be_written_elsewhere(
    caller: Caller, service: FakeService, tmp_path: Path, name: str
) -> None:
    done = job("completed", result={"stems": [{**stem("vocals", DIGEST, 3), "type": name}]})
    service.on(f"GET /jobs/{JOB_ID}", gives(done))
    with pytest.raises(DownloadError, match="cannot be a file's name"):
        caller.ask(service.url, "download", JOB_ID, name, tmp_path)


def test_a_waveform_is_fetched_and_cannot_be_written_elsewhere(
    caller: Caller, service: FakeService, tmp_path: Path
) -> None:
    path = f"GET /jobs/{JOB_ID}/waveforms/mixture"
    service.on(path, problem(503, "storage_unavailable", retry_after=0), gives({"version": 2}))
    file = caller.ask(service.url, "download_waveform", JOB_ID, "mixture", tmp_path)
    assert file == tmp_path / "mixture.waveform.json"
    assert file.read_bytes() == caller.ask(service.url, "waveform", JOB_ID, "mixture")
    service.on(f"GET /jobs/{JOB_ID}/waveforms/..%2Fx", gives({}))
    with pytest.raises(DownloadError, match="cannot be that of a file"):
        caller.ask(service.url, "download_waveform", JOB_ID, "../x", tmp_path)
    service.on(f"GET /jobs/{JOB_ID}/manifest", gives({"status": "completed"}))
    manifest = caller.ask(service.url, "manifest", JOB_ID)
    assert json.loads(manifest) == {"status": "completed"}


def test_a_file_is_sent_with_the_headers_that_its_url_asks_for(
    caller: Caller, service: FakeService, tmp_path: Path
) -> None:
    song = tmp_path / "my song.wav"
    song.write_bytes(CONTENT)
    ticket = {
        "url": f"{service.url}/bucket/in.wav?sig=secret",
        "headers": {"X-Amz-Storage-Class": "STANDARD", "Content-Length": "1"},
        "audioUrl": "s3://in.wav",
        "expiresAt": "2026-01-01T00:00:00Z",
    }
    service.on("POST /uploads", gives(ticket, 201))
    service.on("PUT /bucket/in.wav", problem(500, "InternalError"), gives({}))
    with pytest.raises(UploadError, match="HTTP 500"):
        caller.ask(service.url, "upload", song)
    service.on("PUT /bucket/in.wav", problem(503, "SlowDown"), hangs_up, gives({}))
    assert caller.ask(service.url, "upload", song) == "s3://in.wav"
    asked = next(body for target, _, body in service.heard if target == "POST /uploads")
    assert json.loads(asked) == {"filename": "my song.wav", "size": len(CONTENT)}
    _, headers, body = service.heard[-1]
    assert body == CONTENT
    assert headers["x-amz-storage-class"] == "STANDARD"
    assert headers["content-length"] == str(len(CONTENT))
    assert "transfer-encoding" not in headers
    assert "x-signature" not in headers


def test_a_file_whose_answer_was_lost_is_there_already(
    caller: Caller, service: FakeService, tmp_path: Path
) -> None:
    """It is not to be replaced, so the second try is told that it is there."""
    song = tmp_path / "song.wav"
    song.write_bytes(CONTENT * 3)
    ticket = {
        "url": f"{service.url}/bucket/in.wav?sig=secret",
        "headers": {"If-None-Match": "*"},
        "audioUrl": "s3://in.wav",
    }
    service.on("POST /uploads", gives(ticket, 201))
    service.on("PUT /bucket/in.wav", hangs_up, problem(412, "PreconditionFailed"))
    told: list[int] = []
    assert caller.ask(service.url, "upload", song, told.append) == "s3://in.wav"
    assert service.heard[-1][1]["if-none-match"] == "*"
    assert told[-1] == song.stat().st_size
    assert told.count(told[-1]) == 2, "it was told of both tries"


@pytest.mark.parametrize("name", ["missing.wav", "empty.wav", "folder"])
def test_a_file_that_cannot_be_sent(
    caller: Caller, service: FakeService, tmp_path: Path, name: str
) -> None:
    (tmp_path / "empty.wav").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(UploadError):
        caller.ask(service.url, "upload", tmp_path / name)
    assert service.heard == []


def test_both_clients_have_the_same_methods() -> None:
    def public(kind: type[object]) -> set[str]:
        return {name for name in vars(kind) if not name.startswith("_")} - {"close", "aclose"}

    assert public(Client) == public(AsyncClient)


def test_every_error_is_a_client_error() -> None:
    assert issubclass(SettingsError, ClientError)
    assert not issubclass(ClientError, httpx.HTTPError)
