"""The Kubernetes client of the event loop.

What answers amount to, credentials that are replaced, connections that are used again or not, and
what becomes of a call that breaks.
"""

import asyncio
import json
import shutil
import ssl
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import pytest
from tests.support.connect_proxy import connect_proxy
from tests.support.scripted_api_server import Answer, ScriptedApiServer, scripted_api_server
from tests.support.waiting import eventually, patience

from splitjob_kube.async_client import AsyncKubernetesClient
from splitjob_kube.client import ClientPolicy, KubernetesClient
from splitjob_kube.errors import (
    AlreadyExistsError,
    ForbiddenError,
    InvalidError,
    KubernetesError,
    NotFoundError,
    UnauthorizedError,
    UnreachableError,
)
from splitjob_local.cluster.pki import Authority, KeyPair

POLICY = ClientPolicy(connect_seconds=5, read_seconds=5, tries_again=True)
PODS = "/api/v1/namespaces/music/pods"

T = TypeVar("T")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ScriptedApiServer]:
    """A server that KUBECONFIG leads to, with a token in a file beside it."""
    with scripted_api_server() as found:
        (tmp_path / "token").write_text("first")
        path = found.kubeconfig(tmp_path, {"tokenFile": str(tmp_path / "token")})
        monkeypatch.setenv("KUBECONFIG", str(path))
        yield found


def asking(
    ask: Callable[[AsyncKubernetesClient], Awaitable[T]], policy: ClientPolicy = POLICY
) -> T:
    """Return what is answered to whoever asks with a new client."""

    async def run() -> T:
        client = AsyncKubernetesClient(KubernetesClient(policy))
        try:
            async with asyncio.timeout(patience()):
                return await ask(client)
        finally:
            await client.close()

    return asyncio.run(run())


async def read_pod(client: AsyncKubernetesClient) -> dict[str, object]:
    return await client.read("read pod a", f"{PODS}/a")


async def create_pod(client: AsyncKubernetesClient) -> dict[str, object]:
    pod = {"metadata": {"name": "a", "labels": {"song": "Ærø"}}}
    return await client.create("create pod a", PODS, pod)


def test_an_object_is_created_as_it_is(server: ScriptedApiServer) -> None:
    server.answers = [Answer.json({"metadata": {"uid": "7"}}, 201)]
    assert asking(create_pod) == {"metadata": {"uid": "7"}}
    assert server.asked == [("POST", PODS, "first")]
    assert json.loads(server.sent[0]) == {"metadata": {"name": "a", "labels": {"song": "Ærø"}}}


def test_an_object_is_created_where_the_api_server_is_behind_a_path(
    server: ScriptedApiServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    behind = ScriptedApiServer(f"{server.url}/clusters/a")
    monkeypatch.setenv("KUBECONFIG", str(behind.kubeconfig(tmp_path, {"token": "first"})))
    asking(create_pod)
    assert server.asked == [("POST", f"/clusters/a{PODS}", "first")]


def test_a_listing_is_read_page_by_page(server: ScriptedApiServer) -> None:
    server.answers = [
        Answer.json({"metadata": {"continue": "more"}, "items": [{"a": 1}]}),
        Answer.json({"metadata": {}, "items": None}),
    ]
    found = asking(lambda client: client.items("list pods", PODS, "labelSelector=a%2Fb%3Dc"))
    assert found == [{"a": 1}]
    path = f"{PODS}?limit=500&labelSelector=a%2Fb%3Dc&continue="
    assert [asked[1] for asked in server.asked] == [path, f"{path}more"]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer.refusal(403, "Forbidden"), ForbiddenError),
        (Answer.refusal(404, "NotFound"), NotFoundError),
        (Answer.refusal(409, "AlreadyExists"), AlreadyExistsError),
        (Answer.refusal(422, "Invalid"), InvalidError),
        (Answer.refusal(429, "TooManyRequests"), KubernetesError),
        (Answer.refusal(307, "elsewhere"), KubernetesError),
        (Answer(502, b"<html>"), KubernetesError),
        (Answer(201, b"<html>"), UnreachableError),
        (Answer(201, b'{"metadata":', broken=True), UnreachableError),
    ],
)
def test_a_creation_fails_as_every_call_does_and_is_not_repeated(
    server: ScriptedApiServer, answer: Answer, kind: type[KubernetesError]
) -> None:
    server.answers = [answer]
    with pytest.raises(KubernetesError, match="cannot create pod a: ") as failed:
        asking(create_pod)
    assert type(failed.value) is kind
    assert failed.value.status == (0 if kind is UnreachableError else answer.status)
    assert "first" not in str(failed.value)
    assert len(server.asked) == 1


def test_a_read_that_was_cut_off_is_made_once_more(server: ScriptedApiServer) -> None:
    cut = Answer(200, b'{"metadata":', broken=True)
    server.answers = [cut, Answer.json({"kind": "Pod"})]
    assert asking(read_pod) == {"kind": "Pod"}
    server.answers = [cut, cut, cut]
    with pytest.raises(UnreachableError, match="cannot read pod a: ConnectionResetError"):
        asking(read_pod)
    assert len(server.asked) == 4


def test_a_read_is_made_once_where_the_policy_says_so(server: ScriptedApiServer) -> None:
    server.answers = [Answer(200, b"{", broken=True)]
    with pytest.raises(UnreachableError):
        asking(read_pod, POLICY._replace(tries_again=False))
    assert len(server.asked) == 1


def test_a_read_is_made_once_more_after_the_server_has_said_later(
    server: ScriptedApiServer,
) -> None:
    server.answers = [
        Answer(429, b"{}", headers={"Retry-After": "1"}),
        Answer.json({"kind": "Pod"}),
    ]
    assert asking(read_pod) == {"kind": "Pod"}


def test_nobody_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nobody = ScriptedApiServer("http://127.0.0.1:9")
    monkeypatch.setenv("KUBECONFIG", str(nobody.kubeconfig(tmp_path, {})))
    for tries_again in (False, True):
        with pytest.raises(UnreachableError) as failed:
            asking(create_pod, ClientPolicy(2, 2, tries_again))
        assert failed.value.cause == "ConnectionRefusedError"


def test_a_server_that_does_not_answer_is_given_up(server: ScriptedApiServer) -> None:
    server.answers = [Answer(201, held=True)]
    with pytest.raises(UnreachableError) as failed:
        asking(create_pod, ClientPolicy(2, 0.2, tries_again=True))
    assert failed.value.cause == "TimeoutError"
    server.release()
    assert len(server.asked) == 1, "a write is not repeated: it may have been made"


def test_what_goes_through_a_proxy_is_left_to_the_client_that_knows_it(
    server: ScriptedApiServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As on a machine whose KUBECONFIG leads to a cluster beyond one."""
    there = f"api.far.example.com:{urlsplit(server.url).port}"
    far = ScriptedApiServer(f"http://{there}")
    monkeypatch.setenv("KUBECONFIG", str(far.kubeconfig(tmp_path, {"token": "first"})))
    with connect_proxy() as proxy:
        proxy.names = {"api.far.example.com": "127.0.0.1"}
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        asking(create_pod)
        asking(read_pod)
    assert [asked[:2] for asked in server.asked] == [("POST", PODS), ("GET", f"{PODS}/a")]
    assert proxy.asked == [there, there]


class TestConnections:
    """Used again, unless something happened to them."""

    def test_one_call_after_the_other_takes_one_connection(self, server: ScriptedApiServer) -> None:
        async def twice(client: AsyncKubernetesClient) -> None:
            await create_pod(client)
            await read_pod(client)

        asking(twice)
        assert len(server.connections) == 1

    def test_one_that_the_server_has_closed_meanwhile_is_not_used_again(
        self, server: ScriptedApiServer
    ) -> None:
        """As an API server does that is replaced."""

        async def twice(client: AsyncKubernetesClient) -> None:
            await create_pod(client)
            await asyncio.to_thread(server.cut_connections)
            await create_pod(client)

        asking(twice)
        assert [len(server.asked), len(server.connections)] == [2, 2]

    def test_one_whose_call_was_given_up_is_not_used_again(self, server: ScriptedApiServer) -> None:
        """The answer to that call is on its way, and would be taken for that to the next one."""
        server.answers = [Answer(200, b'{"kind": "Late"}', held=True)]

        async def canceled(client: AsyncKubernetesClient) -> dict[str, object]:
            call = asyncio.create_task(read_pod(client))
            await asyncio.to_thread(eventually, lambda: server.asked, pause=0.01)
            call.cancel()
            server.release()
            return await client.read("read pod b", f"{PODS}/b")

        assert asking(canceled) == {}
        assert len(server.connections) == 2


class TestCredentials:
    """Read again now and then, and where they are refused."""

    def test_a_creation_is_sent_again_with_a_token_that_was_replaced(
        self, server: ScriptedApiServer, tmp_path: Path
    ) -> None:
        async def replaced(client: AsyncKubernetesClient) -> None:
            await create_pod(client)
            (tmp_path / "token").write_text("second")
            server.tokens = {"second"}
            await create_pod(client)

        asking(replaced)
        assert [token for _, _, token in server.asked] == ["first", "first", "second"]

    def test_a_call_refused_for_good_is_not_repeated(self, server: ScriptedApiServer) -> None:
        server.tokens = {"of somebody else"}
        with pytest.raises(UnauthorizedError):
            asking(create_pod)
        assert len(server.asked) == 1

    def test_a_token_that_the_other_client_has_read_again_is_used(
        self, server: ScriptedApiServer, tmp_path: Path
    ) -> None:
        async def run() -> None:
            blocking = KubernetesClient(POLICY)
            client = AsyncKubernetesClient(blocking)
            await read_pod(client)
            (tmp_path / "token").write_text("second")
            assert blocking.credentials.renew("first")
            await read_pod(client)
            await client.close()

        asyncio.run(run())
        assert [token for _, _, token in server.asked] == ["first", "second"]

    def test_a_token_is_read_again_now_and_then(
        self, server: ScriptedApiServer, tmp_path: Path
    ) -> None:
        async def run() -> None:
            blocking = KubernetesClient(POLICY)
            client = AsyncKubernetesClient(blocking)
            await read_pod(client)
            (tmp_path / "token").write_text("second")
            await read_pod(client)
            blocking.credentials._due = 0.0
            await read_pod(client)
            await client.close()

        asyncio.run(run())
        assert [token for _, _, token in server.asked] == ["first", "first", "second"]


@dataclass
class Trust:
    """A server with TLS, and the files by which a client and it know each other.

    Attributes:
        server: wants a certificate of `authority`.
        context: its TLS.
        authority: of both.
        folder: `ca.crt`, `client.crt` and `client.key` are what the KUBECONFIG names.
    """

    server: ScriptedApiServer
    context: ssl.SSLContext
    authority: Authority
    folder: Path

    def replace(self) -> None:
        """Have all certificates made anew by another authority; the client has the old ones."""
        self.authority = Authority(self.folder / "new")
        self.context.load_cert_chain(*paths(self.authority.server("server", ["127.0.0.1"])))
        self.context.load_verify_locations(self.authority.certificate)
        self.server.cut_connections()

    def hand_out(self) -> None:
        """Give the client its files."""
        certificate, key = paths(self.authority.client("somebody"))
        shutil.copy(self.authority.certificate, self.folder / "ca.crt")
        shutil.copy(certificate, self.folder / "client.crt")
        shutil.copy(key, self.folder / "client.key")


def paths(pair: KeyPair) -> tuple[Path, Path]:
    return pair.certificate, pair.key


class TestCertificates:
    """Of the server's authority, and our own."""

    @pytest.fixture
    def trust(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Trust]:
        authority = Authority(tmp_path / "first")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*paths(authority.server("server", ["127.0.0.1"])))
        context.load_verify_locations(authority.certificate)
        context.verify_mode = ssl.CERT_REQUIRED
        context.maximum_version = ssl.TLSVersion.TLSv1_2  # a refusal shows in the handshake
        user = {
            "client-certificate": str(tmp_path / "client.crt"),
            "client-key": str(tmp_path / "client.key"),
        }
        with scripted_api_server(context) as server:
            found = Trust(server, context, authority, tmp_path)
            found.hand_out()
            ca = {"certificate-authority": str(tmp_path / "ca.crt")}
            monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig(tmp_path, user, **ca)))
            yield found

    def test_they_are_read_again_where_they_were_replaced(self, trust: Trust) -> None:
        async def run() -> None:
            blocking = KubernetesClient(POLICY)
            client = AsyncKubernetesClient(blocking)
            await read_pod(client)
            await asyncio.to_thread(trust.replace)
            with pytest.raises(UnreachableError) as failed:
                await read_pod(client)
            assert failed.value.cause == "SSLCertVerificationError"
            trust.hand_out()
            blocking.credentials._due = 0.0
            await read_pod(client)
            await client.close()

        asyncio.run(run())

    def test_what_does_not_fit_together_yet_stays_as_it_was(self, trust: Trust) -> None:
        """A certificate is replaced before its key is."""

        async def run() -> None:
            blocking = KubernetesClient(POLICY)
            client = AsyncKubernetesClient(blocking)
            await create_pod(client)
            other = trust.authority.client("somebody else").certificate
            shutil.copy(other, trust.folder / "client.crt")
            blocking.credentials._due = 0.0
            await asyncio.to_thread(trust.server.cut_connections)
            await create_pod(client)
            await client.close()

        asyncio.run(run())
        assert len(trust.server.connections) == 2

    def test_without_one_of_ours_there_is_no_answer(self, trust: Trust) -> None:
        (trust.folder / "client.crt").write_text("half a certif")
        with pytest.raises(UnreachableError, match="cannot create pod a: SSLError"):
            asking(create_pod)
