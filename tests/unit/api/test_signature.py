"""What a request passes first: size, time, signature, in this order, before anything else."""

import asyncio
import threading
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send
from tests.support.waiting import eventually, patience

from splitjob.signing import Signer
from splitjob_api.caller import Caller, caller_of
from splitjob_api.kubernetes import ClusterUnavailableError
from splitjob_api.middleware import signature
from splitjob_api.middleware.signature import (
    MAX_BODY_BYTES,
    TOKENS_AT_ONCE,
    SignatureMiddleware,
)

NOW = 1_800_000_000
SIGNER = Signer(["new-token", "old-token"])


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the body."""
    message = await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": message.get("body", b"")})


@pytest.fixture
def client() -> TestClient:
    return TestClient(SignatureMiddleware(echo, SIGNER, clock=lambda: NOW))


def signed(payload: bytes, *, token: str = "new-token", timestamp: int = NOW) -> dict[str, str]:
    return Signer([token]).sign(payload, timestamp)


def post(client: TestClient, body: bytes, headers: dict[str, str]) -> int:
    return client.post("/split", content=body, headers=headers).status_code


def test_a_signed_body_comes_through_byte_for_byte(client: TestClient) -> None:
    body = b'{ "a" : 1 }\n'
    answer = client.post("/split", content=body, headers=signed(body))
    assert (answer.status_code, answer.content) == (200, body)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Signature": "sha256=" + "0" * 64},
        {"X-Timestamp": str(NOW)},
        {"X-Timestamp": str(NOW), "X-Signature": "sha256=" + "0" * 64},
        {"X-Timestamp": str(NOW), "X-Signature": "0" * 64},
        {"X-Timestamp": str(NOW), "X-Signature": signed(b"{}")["X-Signature"].upper()},
    ],
)
def test_01_missing_or_malformed_signatures(client: TestClient, headers: dict[str, str]) -> None:
    """Acceptance 1."""
    answer = client.post("/split", content=b"{}", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "signature_invalid"


def test_02_the_same_json_written_anew(client: TestClient) -> None:
    """Acceptance 2."""
    assert post(client, b'{"a": 1}', signed(b'{"a":1}')) == 401


@pytest.mark.parametrize(("offset", "status"), [(301, 401), (-301, 401), (299, 200), (-299, 200)])
def test_03_a_signature_outside_the_replay_window_is_refused(
    client: TestClient, offset: int, status: int
) -> None:
    """Acceptance 3."""
    assert post(client, b"{}", signed(b"{}", timestamp=NOW + offset)) == status


@pytest.mark.parametrize(
    "stamp", ["1_800000000", "+1800000000", "18e8", "1800000000.0", "\u0660" * 10]
)
def test_04_odd_timestamps(client: TestClient, stamp: str) -> None:
    """Acceptance 4."""
    headers = {**signed(b"{}"), "X-Timestamp": stamp}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    assert client.post("/split", content=b"{}", headers=raw).status_code == 401


def test_05_bytes_moved_across_the_bar(client: TestClient) -> None:
    """Acceptance 5."""
    headers = signed(b"{}|1")
    assert post(client, b"{}", {**headers, "X-Timestamp": f"1|{NOW}"}) == 401


def test_08_both_tokens_of_a_rotation(client: TestClient) -> None:
    """Acceptance 8."""
    for token, status in (("new-token", 200), ("old-token", 200), ("retired", 401)):
        assert post(client, b"{}", signed(b"{}", token=token)) == status


def test_a_header_sent_twice_is_refused(client: TestClient) -> None:
    good = signed(b"{}")
    pairs = [*good.items(), ("X-Signature", good["X-Signature"])]
    assert client.post("/split", content=b"{}", headers=pairs).status_code == 401


def test_a_request_without_body_signs_its_line(client: TestClient) -> None:
    headers = signed(b"GET /jobs/a%20b?x=1&y")
    assert client.get("/jobs/a%20b?x=1&y", headers=headers).status_code == 200
    assert client.get("/jobs/a%20b?x=2&y", headers=headers).status_code == 401
    assert client.get("/jobs/other", headers=headers).status_code == 401
    assert client.delete("/jobs/a%20b?x=1&y", headers=headers).status_code == 401


def test_a_captured_body_opens_no_other_resource(client: TestClient) -> None:
    """A body's signature must not let a DELETE through that carries that body."""
    body = b'{"versionId": "a"}'
    headers = signed(body)
    assert client.request("DELETE", "/jobs/x", content=body, headers=headers).status_code == 401
    assert client.request("GET", "/jobs/x", content=body, headers=headers).status_code == 401


def test_open_paths_need_no_signature(client: TestClient) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json"):
        assert client.get(path).status_code == 200
    for path in ("/queue/status", "/models", "/healthz/", "/docs/x", "/nowhere"):
        assert client.get(path).status_code == 401


def run(headers: dict[str, str], messages: list[Message], seconds: float = 5) -> list[Message]:
    """Hand one request to the middleware as a server would; return what it sent."""
    sent: list[Message] = []
    rest = iter(messages)

    async def receive() -> Message:
        for message in rest:
            return message
        await asyncio.sleep(3600)
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/split",
        "raw_path": b"/split",
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }
    asyncio.run(
        SignatureMiddleware(echo, SIGNER, body_seconds=seconds, clock=lambda: NOW)(
            scope, receive, send
        )
    )
    return sent


def chunk(size: int) -> Message:
    return {"type": "http.request", "body": b"x" * size, "more_body": True}


@pytest.mark.parametrize("stated", [None, "10", "0", "nonsense"])
def test_10_too_large_whatever_the_length_says(stated: str | None) -> None:
    """Acceptance 10: chunked, or with an understated length; nothing past the limit is read."""
    headers = {"content-length": stated} if stated else {}
    sent = run(headers, [chunk(40_000), chunk(40_000)])
    assert sent[0]["status"] == 413


@pytest.mark.parametrize("stated", [str(MAX_BODY_BYTES + 1), "9" * 6000])
def test_10_too_large_by_its_own_account_is_not_read_at_all(stated: str) -> None:
    """Acceptance 10."""
    assert run({"content-length": stated}, [])[0]["status"] == 413


def test_64_kib_exactly_are_let_through() -> None:
    body = b"x" * MAX_BODY_BYTES
    message = {"type": "http.request", "body": body, "more_body": False}
    assert run(signed(body), [message])[0]["status"] == 200


def test_11_a_body_that_does_not_come() -> None:
    """Acceptance 11."""
    sent = run(signed(b"{}"), [chunk(1)], seconds=0.05)
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]


def test_a_client_that_leaves_gets_no_answer() -> None:
    assert run({}, [chunk(1), {"type": "http.disconnect"}]) == []


async def name_the_caller(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with who is let in."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(caller_of(scope)).encode()})


class Ana:
    """Knows one caller, with one request, and has not asked about her yet."""

    def remembered(self, authorization: str, method: str, path: str) -> Caller | None:
        return None

    def admit(self, authorization: str, method: str, path: str) -> Caller:
        if authorization == "Bearer away":
            raise ClusterUnavailableError("is away")
        assert (authorization, method, path) == ("Bearer ana", "GET", "/jobs/a")
        return Caller("kubernetes", "ana")


class Crowd:
    """A cluster that does not answer about new tokens, while Ana's is remembered."""

    def __init__(self) -> None:
        self.answer = threading.Event()
        self.asking = 0

    def remembered(self, authorization: str, method: str, path: str) -> Caller | None:
        return Caller("kubernetes", "ana") if authorization == "Bearer ana" else None

    def admit(self, authorization: str, method: str, path: str) -> Caller:
        self.asking += 1
        self.answer.wait(patience())
        return Caller("kubernetes", "somebody")


class TestCallers:
    """Who is let in, by signature or by token."""

    @pytest.fixture
    def client(self) -> TestClient:
        return TestClient(
            SignatureMiddleware(name_the_caller, SIGNER, tokens=Ana(), clock=lambda: NOW)
        )

    def test_a_signature_tells_which_token_made_it(self, client: TestClient) -> None:
        for token, name in (("new-token", "token-1"), ("old-token", "token-2")):
            headers = signed(b"GET /jobs/a", token=token)
            assert client.get("/jobs/a", headers=headers).text == name

    def test_a_kubernetes_token_takes_a_signatures_place(self, client: TestClient) -> None:
        headers = {"Authorization": "Bearer ana"}
        assert client.get("/jobs/a", headers=headers).text == "kubernetes:ana"

    def test_a_request_with_both_is_judged_by_its_signature(self, client: TestClient) -> None:
        headers = {**signed(b"GET /jobs/a"), "Authorization": "Bearer ana"}
        assert client.get("/jobs/a", headers=headers).text == "token-1"
        for name in ("X-Timestamp", "X-Signature"):
            half = {name: headers[name], "Authorization": "Bearer ana"}
            answer = client.get("/jobs/a", headers=half)
            assert (answer.status_code, answer.json()["code"]) == (401, "signature_invalid")

    def test_where_the_api_server_does_not_say_it_is_tried_again_later(
        self, client: TestClient
    ) -> None:
        answer = client.get("/jobs/a", headers={"Authorization": "Bearer away"})
        assert (answer.status_code, answer.json()["code"]) == (503, "cluster_unavailable")
        assert int(answer.headers["Retry-After"]) > 0

    def test_both_ways_in_are_named_to_who_has_neither(self, client: TestClient) -> None:
        answer = client.get("/jobs/a")
        assert answer.headers["WWW-Authenticate"] == "HMAC-SHA256, Bearer"

    def test_nobody_is_named_where_anybody_may_come(self, client: TestClient) -> None:
        assert client.get("/healthz").text == "None"


def test_tokens_that_wait_for_the_cluster_keep_nobody_out_whose_token_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(signature, "TOKEN_WAIT_SECONDS", 0.05)
    crowd = Crowd()
    app = SignatureMiddleware(name_the_caller, SIGNER, tokens=crowd)

    async def get(client: httpx.AsyncClient, token: str) -> httpx.Response:
        return await client.get("/jobs/a", headers={"Authorization": f"Bearer {token}"})

    async def run() -> None:
        transport = httpx.ASGITransport(app)
        async with (
            asyncio.timeout(patience()),
            httpx.AsyncClient(transport=transport, base_url="http://x") as client,
            asyncio.TaskGroup() as tasks,
        ):
            for number in range(TOKENS_AT_ONCE):
                tasks.create_task(get(client, f"guess-{number}"))
            await asyncio.to_thread(eventually, lambda: crowd.asking == TOKENS_AT_ONCE, pause=0.01)
            refused = await get(client, "one-more")
            known = await get(client, "ana")
            crowd.answer.set()
        assert (refused.status_code, refused.json()["code"]) == (503, "cluster_unavailable")
        assert int(refused.headers["Retry-After"]) > 0
        assert known.text == "kubernetes:ana"

    asyncio.run(run())


@pytest.mark.parametrize("path", ["/jobs/a/redeliver%0A", "/healthz%0a", "/jobs/%00", "/%E2%80%A8"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_a_path_with_control_characters_is_nothing_to_anybody(
    client: TestClient, method: str, path: str
) -> None:
    answer = client.request(method, path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_kubernetes_token_lets_nobody_in_where_none_are_taken(client: TestClient) -> None:
    answer = client.get("/jobs/a", headers={"Authorization": "Bearer ana"})
    assert (answer.status_code, answer.json()["code"]) == (401, "signature_invalid")
    assert "takes no Kubernetes tokens" in answer.json()["detail"]
    assert answer.headers["WWW-Authenticate"] == "HMAC-SHA256"


@given(
    st.binary(max_size=64),
    st.dictionaries(
        st.sampled_from(["x-signature", "x-timestamp", "content-length"]),
        st.text(max_size=80),
    ),
)
def test_no_header_gets_anybody_in_or_breaks_it(body: bytes, headers: dict[str, str]) -> None:
    sent = run(headers, [{"type": "http.request", "body": body, "more_body": False}])
    assert sent[0]["status"] in {401, 413}
