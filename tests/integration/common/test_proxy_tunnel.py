"""Webhooks, songs and uploads through a real egress proxy, and through some that misbehave."""

import base64
import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr
from tests.support.connect_proxy import (
    ConnectProxy,
    Reply,
    connect_proxy,
    hangs,
    says,
    status,
    trickles,
)
from tests.support.downloading import CONTENT, FAST, download, refused
from tests.support.name_table import NameTable, name_table
from tests.support.waiting import patience
from tests.support.web import Web, answer, web_server

from splitjob.addresses import parse_networks
from splitjob.allowlist import Allowlist
from splitjob.egress import Egress, EgressProxies
from splitjob.errors import ErrorCode, Failure
from splitjob.storage_settings import StorageSettings
from splitjob.webhook import DeliveryOutcome
from splitjob_io.storage import Patience, S3Service, StorageError
from splitjob_io.webhook_sender import WebhookSender
from splitjob_local.cluster.pki import Authority
from splitjob_worker.cancellation import CancelToken
from splitjob_worker.upload import targets as upload
from splitjob_worker.upload.targets import PresignedPut, PresignedUrls

HERE = parse_networks("127.0.0.0/8")
SECRET = "?X-Amz-Signature=do-not-tell"
HOST = "far.example.com"
ONCE = replace(FAST, attempts=1)


@pytest.fixture
def proxy() -> Iterator[ConnectProxy]:
    with connect_proxy() as running:
        running.names[HOST] = "127.0.0.1"
        yield running


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> NameTable:
    """The names that this side finds, among them the one of the server."""
    table = name_table(monkeypatch)
    table[HOST] = [["127.0.0.1"]]
    return table


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, authority: Authority) -> Iterator[Web]:
    """A server that proves to be HOST, whose authority is trusted."""
    trusting = ssl.create_default_context(cafile=str(authority.certificate))
    monkeypatch.setattr("splitjob_io.safe_http._default_ssl_context", lambda: trusting)
    with web_server(identity=authority.server("web", [HOST])) as server:
        server.url = server.url.replace("127.0.0.1", HOST)
        server.give("/song", CONTENT)
        server.serve("/any", answer(200))
        yield server


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


def by(**variables: str) -> Egress:
    return Egress(HERE, EgressProxies.from_environment(variables))


def through(proxy: ConnectProxy, **more: str) -> Egress:
    return by(HTTPS_PROXY=proxy.url, **more)


def port_of(web: Web) -> str:
    return web.url.rpartition(":")[2]


def send(web: Web, egress: Egress, seconds: float = 15.0) -> DeliveryOutcome:
    sender = WebhookSender(["token"], Allowlist.parse(web.url, local=True), egress)
    outcome = sender.send(f"{web.url}/any{SECRET}", "event", b"{}", seconds)
    assert "do-not-tell" not in outcome.error
    return outcome


def test_a_song_comes_through_the_proxy_from_the_address_that_was_checked(
    proxy: ConnectProxy, names: NameTable, web: Web, tmp_path: Path
) -> None:
    """By TLS with the server itself: its name is checked there, and the proxy hears none of it."""
    download(f"{web.url}/song{SECRET}", tmp_path / "song", egress=through(proxy))
    assert (tmp_path / "song").read_bytes() == CONTENT
    assert proxy.asked == [f"127.0.0.1:{port_of(web)}"]


def test_a_webhook_and_an_upload_go_through_the_proxy(
    proxy: ConnectProxy, names: NameTable, web: Web, tmp_path: Path
) -> None:
    assert send(web, through(proxy)).delivered
    file = tmp_path / "vocals.wav"
    file.write_bytes(CONTENT)
    put = {"vocals": PresignedPut(f"{web.url}/any{SECRET}")}
    PresignedUrls(put, through(proxy), CancelToken()).upload_file(file, "audio/wav")
    assert web.requests[-1][0] == "PUT /any"
    assert web.requests[-1][2] == CONTENT
    assert proxy.asked == [f"127.0.0.1:{port_of(web)}"] * 2


def test_each_redirect_is_checked_and_asked_for_anew(
    proxy: ConnectProxy, names: NameTable, web: Web, tmp_path: Path
) -> None:
    """Acceptance 22: a proxy is asked for nothing that would not be dialled."""
    names["next.example.com"] = [["127.0.0.1"]]
    next_url = web.url.replace(HOST, "next.example.com")
    web.serve("/moved", answer(302, Location=f"{web.url}/song"))
    download(f"{web.url}/moved{SECRET}", tmp_path / "song", egress=through(proxy))
    assert (tmp_path / "song").read_bytes() == CONTENT
    web.serve("/inside", answer(302, Location="https://10.0.0.1/"))
    failure = refused(f"{web.url}/inside{SECRET}", tmp_path / "x", ONCE, egress=through(proxy))
    assert failure.code is ErrorCode.SOURCE_FORBIDDEN
    assert not any(asked.startswith("10.") for asked in proxy.asked)
    failure = refused(f"{next_url}/song{SECRET}", tmp_path / "y", ONCE, egress=through(proxy))
    assert "certificate of next.example.com is not valid" in failure.message


def test_a_name_that_points_inside_is_never_asked_for(
    proxy: ConnectProxy, names: NameTable, web: Web
) -> None:
    names[HOST] = [["10.0.0.1"]]
    outcome = send(web, through(proxy))
    assert outcome.blocked
    assert "a private address" in outcome.error
    assert proxy.asked == []


def test_a_name_that_changes_is_resolved_once_an_attempt(
    proxy: ConnectProxy, names: NameTable, web: Web
) -> None:
    names[HOST] = [["127.0.0.1"], ["10.0.0.1"]]
    assert send(web, through(proxy)).delivered
    assert send(web, through(proxy)).blocked


def test_the_next_address_is_tried_where_the_proxy_does_not_reach_one(
    proxy: ConnectProxy, names: NameTable, web: Web
) -> None:
    names[HOST] = [["127.0.0.77", "127.0.0.1"]]
    assert send(web, through(proxy)).delivered
    assert [asked.partition(":")[0] for asked in proxy.asked] == ["127.0.0.77", "127.0.0.1"]


def test_what_is_exempt_is_reached_directly(
    proxy: ConnectProxy, names: NameTable, web: Web
) -> None:
    for exempt in (HOST, ".example.com", "127.0.0.0/8", f"{HOST}:{port_of(web)}"):
        assert send(web, through(proxy, NO_PROXY=exempt)).delivered
    assert proxy.asked == []
    assert send(web, through(proxy, NO_PROXY=f"{HOST}:1")).delivered
    assert len(proxy.asked) == 1


def test_credentials_are_sent_to_the_proxy_and_to_nobody_else(
    proxy: ConnectProxy, names: NameTable, web: Web
) -> None:
    proxy.credentials = f"Basic {base64.b64encode(b'me:pass').decode()}"
    outcome = send(web, through(proxy))
    assert outcome.error == (
        "the receiver could not be reached: the proxy answered 407 (Proxy Authentication "
        "Required): it wants a user name and a password, or other ones (proxy.existingSecret)"
    )
    assert send(web, by(HTTPS_PROXY=proxy.url.replace("//", "//me:pass@"))).delivered
    assert "Proxy-Authorization" not in web.requests[-1][1]


def test_a_proxy_that_is_reached_by_tls(names: NameTable, web: Web, authority: Authority) -> None:
    with connect_proxy(authority.server("proxy", ["localhost"])) as proxy:
        url = proxy.url.replace("http://127.0.0.1", "https://localhost")
        assert send(web, by(HTTPS_PROXY=url)).delivered
        outcome = send(web, by(HTTPS_PROXY=proxy.url.replace("http", "https")))
    assert "the certificate of the proxy is not valid" in outcome.error


class TestByName:
    """Where an installation has given up the check of addresses: proxy.resolvesNames."""

    def test_the_proxy_is_asked_for_the_name_which_nobody_here_can_resolve(
        self, proxy: ConnectProxy, web: Web
    ) -> None:
        assert send(web, through(proxy, PROXY_RESOLVES_NAMES="true")).delivered
        assert proxy.asked == [f"{HOST}:{port_of(web)}"]

    @pytest.mark.parametrize(
        "host", ["metadata.google.internal", "intranet", "kubernetes.default.svc", "2852039166"]
    )
    def test_private_names_and_forbidden_addresses_are_refused_still(
        self, proxy: ConnectProxy, tmp_path: Path, host: str
    ) -> None:
        failure = refused(
            f"https://{host}/x{SECRET}",
            tmp_path / "x",
            ONCE,
            egress=through(proxy, PROXY_RESOLVES_NAMES="true"),
        )
        assert failure.code is ErrorCode.SOURCE_FORBIDDEN
        assert proxy.asked == []


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (status(403), "the proxy answered 403 (Forbidden)"),
        (status(502), "the proxy answered 502 (Bad Gateway)"),
        (status(299 + 300), "the proxy answered 599"),
        (says(b""), "the proxy broke off"),
        (says(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), "what it answered is not valid HTTP"),
        (says(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000), "what it answered is not valid HTTP"),
        (says(b"\x15\x03\x01\x00\x02\x02\x16"), "what it answered is not valid HTTP"),
    ],
)
def test_what_a_proxy_answers_is_said(
    proxy: ConnectProxy, names: NameTable, web: Web, tmp_path: Path, reply: Reply, said: str
) -> None:
    proxy.replies = [reply] * 20
    egress = through(proxy)
    assert said in send(web, egress).error
    failure = refused(f"{web.url}/song{SECRET}", tmp_path / "x", ONCE, egress=egress)
    assert failure.code is ErrorCode.SOURCE_UNAVAILABLE
    assert failure.message.startswith("the source cannot be reached: the proxy ")
    assert said in failure.message


def test_an_upload_says_what_the_proxy_answered(
    proxy: ConnectProxy,
    names: NameTable,
    web: Web,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(upload, "FIRST_WAIT", 0.001)
    proxy.replies = [status(403)] * 20
    file = tmp_path / "vocals.wav"
    file.write_bytes(CONTENT)
    put = {"vocals": PresignedPut(f"{web.url}/any{SECRET}")}
    with pytest.raises(Failure, match="the proxy answered 403") as caught:
        PresignedUrls(put, through(proxy), CancelToken()).upload_file(file, "audio/wav")
    assert "do-not-tell" not in caught.value.message
    assert web.requests == []


@pytest.mark.parametrize("reply", [hangs, trickles])
def test_a_proxy_that_does_not_come_to_an_end_takes_no_more_than_the_time_given(
    proxy: ConnectProxy, names: NameTable, web: Web, reply: Reply
) -> None:
    proxy.replies = [reply] * 20
    began = time.monotonic()
    assert not send(web, through(proxy), seconds=0.5).delivered
    assert time.monotonic() - began < patience(10)


def test_a_proxy_that_is_not_there(names: NameTable, web: Web) -> None:
    with connect_proxy() as gone:
        egress = through(gone)
    assert "the proxy cannot be reached" in send(web, egress).error


def test_a_server_that_breaks_off_behind_the_proxy_is_not_called_the_proxys_fault(
    proxy: ConnectProxy, names: NameTable, web: Web
) -> None:
    proxy.replies = [says(b"HTTP/1.1 200 OK\r\n\r\n")]
    error = send(web, through(proxy)).error
    assert error.startswith("the receiver could not be reached")
    assert "proxy" not in error


class TestBucket:
    """botocore's own client, by the same variables."""

    @pytest.fixture
    def bucket(
        self, web: Web, proxy: ConnectProxy, authority: Authority, monkeypatch: pytest.MonkeyPatch
    ) -> S3Service:
        monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.certificate))
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//me:do-not-tell@"))
        settings = StorageSettings(
            environment="prod",
            s3_endpoint=web.url,
            s3_bucket="stems",
            s3_access_key_id="a-key",
            s3_secret_access_key=SecretStr("do-not-tell"),
        )
        web.give("/stems/a", CONTENT)
        return S3Service(settings, patience=Patience(1, 5))

    def test_it_is_reached_through_the_proxy_by_its_name(
        self, bucket: S3Service, proxy: ConnectProxy, web: Web
    ) -> None:
        proxy.credentials = f"Basic {base64.b64encode(b'me:do-not-tell').decode()}"
        assert bucket.read_object("a")
        assert proxy.asked == [f"{HOST}:{port_of(web)}"]

    @pytest.mark.parametrize("exempt", [".example.com", "127.0.0.0/8"])
    def test_it_is_reached_directly_where_it_is_exempt(
        self,
        bucket: S3Service,
        names: NameTable,
        proxy: ConnectProxy,
        web: Web,
        authority: Authority,
        monkeypatch: pytest.MonkeyPatch,
        exempt: str,
    ) -> None:
        monkeypatch.setenv("NO_PROXY", exempt)
        if exempt.endswith("/8"):
            by_address = web.url.replace(HOST, "127.0.0.1")
            settings = bucket.settings.model_copy(update={"s3_endpoint": by_address})
            with pytest.raises(StorageError, match="is not valid"):
                S3Service(settings, patience=Patience(1, 5)).read_object("a")
        else:
            assert bucket.read_object("a")
        assert proxy.asked == []

    @pytest.mark.parametrize(
        ("code", "said"),
        [(407, "it wants a user name and a password"), (403, "its rules"), (502, "Bad Gateway")],
    )
    def test_what_the_proxy_answered_is_said(
        self, bucket: S3Service, proxy: ConnectProxy, code: int, said: str
    ) -> None:
        proxy.replies = [status(code)] * 5
        with pytest.raises(StorageError) as caught:
            bucket.read_object("a")
        assert f"the proxy answered {code}" in str(caught.value)
        assert said in str(caught.value)
        assert "do-not-tell" not in str(caught.value)

    def test_a_proxy_that_is_not_there(
        self, bucket: S3Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with connect_proxy() as gone:
            monkeypatch.setenv("HTTPS_PROXY", gone.url)
        with pytest.raises(StorageError, match="the proxy cannot be reached"):
            bucket.read_object("a")
