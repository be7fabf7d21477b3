"""The one Kubernetes client: what answers amount to, pages, watches, tokens that are replaced."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.scripted_api_server import Answer, ScriptedApiServer, scripted_api_server

from splitjob_kube import credentials
from splitjob_kube.client import ClientPolicy, KubernetesClient
from splitjob_kube.errors import (
    AlreadyExistsError,
    ConflictError,
    ExpiredError,
    ForbiddenError,
    InvalidError,
    KubernetesError,
    NotFoundError,
    UnauthorizedError,
    UnconfiguredError,
    UnreachableError,
)
from splitjob_kube.paths import PODS

POLICY = ClientPolicy(connect_seconds=5, read_seconds=5, tries_again=False)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ScriptedApiServer]:
    """A server that KUBECONFIG leads to, with a token in a file beside it."""
    with scripted_api_server() as found:
        (tmp_path / "token").write_text("first")
        path = found.kubeconfig(tmp_path, {"tokenFile": str(tmp_path / "token")})
        monkeypatch.setenv("KUBECONFIG", str(path))
        yield found


def read_pod(client: KubernetesClient) -> dict[str, object]:
    return client.read("read pod a", PODS.path(client.namespace, "a"))


def create_pod(client: KubernetesClient) -> dict[str, object]:
    pod = {"metadata": {"name": "a", "labels": {"song": "Ærø"}}}
    return client.create("create pod a", PODS.path("music"), pod)


def list_pods(client: KubernetesClient) -> list[dict[str, object]]:
    return list(client.items("list pods", PODS.path("music")))


def test_the_answer_is_the_servers_own_json(server: ScriptedApiServer) -> None:
    server.answers = [Answer.json({"metadata": {"name": "a"}})]
    assert read_pod(KubernetesClient(POLICY)) == {"metadata": {"name": "a"}}
    assert server.asked == [("GET", "/api/v1/namespaces/music/pods/a", "first")]


def test_a_read_is_made_once_more_after_the_server_has_said_later_and_a_write_is_not(
    server: ScriptedApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)
    later = Answer(429, b"{}", headers={"Retry-After": "1"})
    client = KubernetesClient(POLICY._replace(tries_again=True))
    server.answers = [later, Answer.json({"kind": "Pod"})]
    assert read_pod(client) == {"kind": "Pod"}
    server.answers = [later]
    with pytest.raises(KubernetesError):
        create_pod(client)
    assert waits == [1]
    assert len(server.sent) == 3


def test_of_objects_only_the_metadata_is_asked_for_page_by_page(server: ScriptedApiServer) -> None:
    server.answers = [
        Answer.json({"metadata": {"continue": "more"}, "items": [{"metadata": {"name": "a"}}]}),
        Answer.json({"metadata": {}, "items": None}),
    ]
    found = KubernetesClient(POLICY).metadata("list pods", "/api/v1/pods", "labelSelector=song")
    assert [metadata["name"] for metadata in found] == ["a"]
    path = "/api/v1/pods?limit=500&labelSelector=song&continue="
    assert [asked[1] for asked in server.asked] == [path, f"{path}more"]


def test_an_object_is_created_as_it_is(server: ScriptedApiServer) -> None:
    server.answers = [Answer.json({"metadata": {"uid": "7"}}, 201)]
    assert create_pod(KubernetesClient(POLICY)) == {"metadata": {"uid": "7"}}
    assert server.asked == [("POST", "/api/v1/namespaces/music/pods", "first")]
    assert json.loads(server.sent[0]) == {"metadata": {"name": "a", "labels": {"song": "Ærø"}}}


def test_an_object_is_created_where_the_api_server_is_behind_a_path(
    server: ScriptedApiServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As where one gateway leads to several clusters."""
    behind = ScriptedApiServer(f"{server.url}/clusters/a")
    monkeypatch.setenv("KUBECONFIG", str(behind.kubeconfig(tmp_path, {"token": "first"})))
    create_pod(KubernetesClient(POLICY))
    assert server.asked == [("POST", "/clusters/a/api/v1/namespaces/music/pods", "first")]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer.refusal(409, "AlreadyExists"), AlreadyExistsError),
        (Answer.refusal(422, "Invalid"), InvalidError),
        (Answer.refusal(307, "elsewhere"), KubernetesError),
        (Answer(201, b"{", broken=True), UnreachableError),
    ],
)
def test_a_creation_fails_as_every_call_does_and_is_not_repeated(
    server: ScriptedApiServer, answer: Answer, kind: type[KubernetesError]
) -> None:
    server.answers = [answer]
    with pytest.raises(KubernetesError) as failed:
        create_pod(KubernetesClient(POLICY._replace(tries_again=True)))
    assert type(failed.value) is kind
    assert len(server.asked) == 1


def test_a_creation_is_sent_again_with_a_token_that_was_replaced(
    server: ScriptedApiServer, tmp_path: Path
) -> None:
    client = KubernetesClient(POLICY)
    (tmp_path / "token").write_text("second")
    server.tokens = {"second"}
    create_pod(client)
    assert [token for _, _, token in server.asked] == ["first", "second"]


@pytest.mark.parametrize(
    ("status", "reason", "kind"),
    [
        (401, "Unauthorized", UnauthorizedError),
        (403, "Forbidden", ForbiddenError),
        (404, "NotFound", NotFoundError),
        (409, "Conflict", ConflictError),
        (409, "AlreadyExists", AlreadyExistsError),
        (410, "Expired", ExpiredError),
        (422, "Invalid", InvalidError),
        (500, "InternalError", KubernetesError),
    ],
)
def test_each_refusal_is_an_error_of_its_own(
    server: ScriptedApiServer, status: int, reason: str, kind: type[KubernetesError]
) -> None:
    server.answers = [Answer.refusal(status, reason, "it is so")] * 2
    with pytest.raises(KubernetesError) as refused:
        read_pod(KubernetesClient(POLICY))
    assert type(refused.value) is kind
    assert refused.value.status == status
    assert str(refused.value) == f"cannot read pod a: {status} it is so"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]"])
def test_a_refusal_by_something_else_than_the_api_server(
    server: ScriptedApiServer, body: bytes
) -> None:
    """A proxy on the way says nothing that can be read."""
    server.answers = [Answer(502, body)]
    with pytest.raises(KubernetesError, match="cannot read pod a: 502 Bad Gateway"):
        read_pod(KubernetesClient(POLICY))


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (Answer(200, b'{"metadata":', broken=True), "ConnectionResetError"),
        (Answer(200, b"<html>"), "not JSON"),
    ],
)
def test_an_answer_that_cannot_be_read_is_none(
    server: ScriptedApiServer, answer: Answer, cause: str
) -> None:
    server.answers = [answer]
    with pytest.raises(UnreachableError) as failed:
        read_pod(KubernetesClient(POLICY))
    assert failed.value.cause == cause


def test_nobody_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nobody = ScriptedApiServer("http://127.0.0.1:9")
    monkeypatch.setenv("KUBECONFIG", str(nobody.kubeconfig(tmp_path, {})))
    for tries_again in (False, True):
        client = KubernetesClient(ClientPolicy(2, 2, tries_again))
        with pytest.raises(UnreachableError) as failed:
            read_pod(client)
        assert failed.value.cause == "ConnectionRefusedError"


def test_nothing_says_where_the_api_server_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere/kubeconfig")
    with pytest.raises(UnconfiguredError, match="the API server's address is not known"):
        KubernetesClient(POLICY)


def test_a_listing_is_read_page_by_page(server: ScriptedApiServer) -> None:
    first = {"metadata": {"continue": "more", "resourceVersion": "7"}, "items": [{"a": 1}]}
    second = {"metadata": {"resourceVersion": "7"}, "items": [{"b": 2}]}
    server.answers = [Answer.json(first), Answer.json(second)]
    assert list_pods(KubernetesClient(POLICY)) == [{"a": 1}, {"b": 2}]
    assert [path.partition("?")[2] for _, path, _ in server.asked] == [
        "limit=500&continue=",
        "limit=500&continue=more",
    ]


def test_a_listing_that_took_too_long_must_begin_anew(server: ScriptedApiServer) -> None:
    first = {"metadata": {"continue": "more", "resourceVersion": "7"}, "items": [{"a": 1}]}
    server.answers = [Answer.json(first), Answer.refusal(410, "Expired")]
    with pytest.raises(ExpiredError):
        list_pods(KubernetesClient(POLICY))


def watched(server: ScriptedApiServer, *events: tuple[str, dict[str, object]]) -> list[str]:
    """Watch a server that sends these events; return how each is seen: type and version."""
    lines = [json.dumps({"type": kind, "object": content}) for kind, content in events]
    server.answers = [Answer(200, "\n".join([*lines, ""]).encode(), chunked=True)]
    client = KubernetesClient(POLICY)
    changes = client.watch("watch pods", PODS.path("m"), "5", 1)
    return [f"{event.type} {event.resource_version}" for event in changes]


def at(version: str) -> dict[str, object]:
    return {"metadata": {"resourceVersion": version}}


def test_a_watch_goes_on_from_what_was_seen_last(server: ScriptedApiServer) -> None:
    seen = watched(server, ("ADDED", at("6")), ("BOOKMARK", at("9")), ("DELETED", at("10")))
    assert seen == ["ADDED 6", "BOOKMARK 9", "DELETED 10"]
    (_, path, _) = server.asked[0]
    assert set(path.partition("?")[2].split("&")) == {
        "watch=true",
        "resourceVersion=5",
        "allowWatchBookmarks=true",
        "timeoutSeconds=1",
    }


@pytest.mark.parametrize(
    ("code", "kind"), [(410, ExpiredError), (500, KubernetesError), (403, ForbiddenError)]
)
def test_an_error_in_a_watch_ends_it(
    server: ScriptedApiServer, code: int, kind: type[KubernetesError]
) -> None:
    with pytest.raises(KubernetesError) as ended:
        watched(server, ("ADDED", at("6")), ("ERROR", {"code": code, "message": "too old"}))
    assert type(ended.value) is kind


def test_a_watch_whose_connection_breaks(server: ScriptedApiServer) -> None:
    event = b'{"type":"ADDED","object":{"metadata":{}}}\n'
    server.answers = [Answer(200, event, broken=True, chunked=True)]
    client = KubernetesClient(POLICY)
    changes = client.watch("watch pods", PODS.path("m"), "5", 1)
    assert next(changes).type == "ADDED"
    with pytest.raises(UnreachableError, match="cannot watch pods"):
        next(changes)


def test_a_token_that_is_refused_is_read_again_at_once(
    server: ScriptedApiServer, tmp_path: Path
) -> None:
    client = KubernetesClient(POLICY)
    server.tokens = {"first"}
    read_pod(client)
    (tmp_path / "token").write_text("second")
    server.tokens = {"second"}
    read_pod(client)
    assert [token for _, _, token in server.asked] == ["first", "first", "second"]
    assert client.connection().token == "second"


def test_a_call_refused_for_good_is_not_repeated(server: ScriptedApiServer) -> None:
    server.tokens = {"of somebody else"}
    with pytest.raises(UnauthorizedError):
        read_pod(KubernetesClient(POLICY))
    assert len(server.asked) == 1


def test_a_token_is_read_again_now_and_then(
    server: ScriptedApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it is refused: kubelets replace one long before its end."""
    client = KubernetesClient(POLICY)
    (tmp_path / "token").write_text("second")
    read_pod(client)
    monkeypatch.setattr(credentials, "RELOAD_SECONDS", 0.0)
    client.credentials._due = 0.0
    read_pod(client)
    assert [token for _, _, token in server.asked] == ["first", "second"]


@pytest.mark.parametrize("content", ["", "clusters: [", "just text"])
def test_what_cannot_be_read_while_it_is_replaced_stays_as_it_was(
    server: ScriptedApiServer, tmp_path: Path, content: str
) -> None:
    client = KubernetesClient(POLICY)
    whole = (tmp_path / "kubeconfig").read_text()
    (tmp_path / "kubeconfig").write_text(content)
    client.credentials._due = 0.0
    read_pod(client)
    (tmp_path / "kubeconfig").write_text(whole)
    (tmp_path / "token").write_text("second")
    client.credentials._due = 0.0
    read_pod(client)
    assert [token for _, _, token in server.asked] == ["first", "second"]
