"""The calls of `Client` and `AsyncClient` alike, against a real HTTP server."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support.client_caller import SONG, Caller
from tests.support.fake_service import (
    JOB_ID,
    TOKEN,
    FakeService,
    fake_service,
    gives,
    job,
)

from splitjob_client import (
    AsyncClient,
    Client,
    KubernetesToken,
    NotFoundError,
    SettingsError,
)


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
    queue = {"reason": "Retrying", "etaSeconds": 7, "retryAt": "2026-01-01T00:00:00Z"}
    told = job("dreaming", 40, moonPhase="new", queue=queue)
    service.on(f"GET /jobs/{JOB_ID}", gives(told))
    found = caller.ask(service.url, "job", JOB_ID)
    assert (found.state, found.progress.percent, found.queue.eta_seconds) == ("dreaming", 40, 7)
    assert found.queue.retry_at == datetime(2026, 1, 1, tzinfo=UTC)
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
            job("failed", erased={"at": "2026-01-01T00:00:00Z", "objects": 1, "files": ["a.wav"]}),
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
    capacity = {"max_active_jobs": 2, "max_queued_jobs": None, "paused": False}
    service.on("GET /queue/capacity", gives(capacity))
    assert caller.ask(service.url, "queue_capacity").model_dump() == capacity


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


def test_both_clients_have_the_same_methods() -> None:
    def public(kind: type[object]) -> set[str]:
        return {name for name in vars(kind) if not name.startswith("_")} - {"close", "aclose"}

    assert public(Client) == public(AsyncClient)
