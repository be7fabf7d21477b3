"""Only checked addresses are dialled, on every hop, within a total time: acceptance 22, 23, 28."""

import datetime
import http.server
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpcore
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.support.name_table import name_table
from tests.support.waiting import patience
from tests.support.web import trickle_header

from splitjob.addresses import parse_networks
from splitjob.egress import Egress
from splitjob.errors import ErrorCode
from splitjob_io import safe_http
from splitjob_io.deadline import Deadline

LOOPBACK = parse_networks("127.0.0.0/8")
Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


@contextmanager
def server(answer: Answer, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        if tls:
            running.socket = tls.wrap_socket(running.socket, server_side=True)
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        yield running.server_port
        running.shutdown()


def text(body: bytes) -> Answer:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def redirect(target: Callable[[str], str]) -> Answer:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", target(handler.path))
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def get(url: str, *, seconds: float = 60.0, **settings: Any) -> bytes:
    deadline = Deadline(seconds)
    networks = settings.pop("networks", LOOPBACK)
    with (
        safe_http.client(Egress(networks), deadline=deadline, **settings) as client,
        safe_http.stream(client, url) as response,
    ):
        return response.read()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[list[str]]]:
    return name_table(monkeypatch)


def test_fetches() -> None:
    with server(text(b"hello")) as port:
        assert get(f"http://127.0.0.1:{port}/") == b"hello"
        assert get(f"http://localhost:{port}/", networks=parse_networks("127.0.0.0/8,::1")) == (
            b"hello"
        )


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "[::ffff:127.0.0.1]",
        "[::1]",
        "0.0.0.0",
        "10.0.0.1",
        "169.254.169.254",
    ],
)
def test_forbidden_addresses_are_never_dialled(host: str) -> None:
    """Acceptance 22."""
    dialled: list[str] = []
    with (
        server(lambda handler: dialled.append(handler.path)) as port,
        pytest.raises(safe_http.ForbiddenTargetError) as refused,
    ):
        get(f"http://{host}:{port}/?secret", networks=())
    assert dialled == []
    assert refused.value.failure().code == ErrorCode.SOURCE_FORBIDDEN
    assert "secret" not in str(refused.value)


def test_a_name_that_points_inside(names: dict[str, list[list[str]]]) -> None:
    """Acceptance 22: one forbidden address among the answers is enough."""
    names["rebind.example"] = [["8.8.8.8", "10.0.0.1"]]
    with pytest.raises(safe_http.ForbiddenAddressError, match="10\\.0\\.0\\.1"):
        get("http://rebind.example/", networks=())


def test_a_name_that_changes_between_check_and_connect(names: dict[str, list[list[str]]]) -> None:
    """Acceptance 22: what is dialled is what was checked, so a second answer is never asked for."""
    names["rebind.example"] = [["127.0.0.1"], ["127.0.0.9"]]
    with server(text(b"checked")) as port:
        assert get(f"http://rebind.example:{port}/") == b"checked"
    assert names["rebind.example"] == [["127.0.0.9"]]


def test_next_address_is_tried(names: dict[str, list[list[str]]]) -> None:
    names["two.example"] = [["127.0.0.77", "127.0.0.1"]]
    with server(text(b"second")) as port:
        assert get(f"http://two.example:{port}/") == b"second"


def test_an_address_that_swallows_packets_leaves_time_for_the_next(
    names: dict[str, list[list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    names["two.example"] = [["127.0.0.77", "127.0.0.1"]]
    waits: list[float | None] = []
    real = httpcore.SyncBackend.connect_tcp

    def connect(self: Any, host: str, port: int, timeout: float | None = None, *more: Any) -> Any:
        waits.append(timeout)
        if host == "127.0.0.77":
            raise httpcore.ConnectTimeout
        return real(self, host, port, timeout, *more)

    monkeypatch.setattr(httpcore.SyncBackend, "connect_tcp", connect)
    with server(text(b"second")) as port:
        assert get(f"http://two.example:{port}/", timeout=15, seconds=10) == b"second"
    assert waits[0] == safe_http.PATIENCE_SECONDS
    assert (waits[1] or 0) > 5


def test_addresses_of_this_machine() -> None:
    own = ip_address("127.0.0.1")
    assert safe_http._is_own(own)
    assert not safe_http._is_own(ip_address("8.8.8.8"))


def test_unknown_name() -> None:
    with pytest.raises(httpx.ConnectError, match="no address for"):
        get("http://does-not-exist.invalid/")


def test_three_redirects_are_followed_and_no_more() -> None:
    """Acceptance 23."""

    def target(path: str) -> str:
        return f"/{int(path.strip('/')) - 1}"

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        (text(b"there") if handler.path == "/0" else redirect(target))(handler)

    with server(answer) as port:
        assert get(f"http://127.0.0.1:{port}/3") == b"there"
        with pytest.raises(safe_http.ForbiddenRedirectError, match="more than 3"):
            get(f"http://127.0.0.1:{port}/4")


@pytest.mark.parametrize(
    "location",
    ["http://10.0.0.1/", "http://169.254.169.254/latest", "http://[::1]/", "http://2130706434/"],
)
def test_redirects_to_private_addresses_are_refused(location: str) -> None:
    """Acceptance 22: a redirect is checked like the first URL."""
    with (
        server(redirect(lambda _: location)) as port,
        pytest.raises(safe_http.ForbiddenAddressError),
    ):
        get(f"http://127.0.0.1:{port}/", networks=parse_networks("127.0.0.1/32"))


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://a/b", "http://u:p@a/", "http://"]
)
def test_redirects_to_something_else(location: str) -> None:
    """Acceptance 21, 23."""
    with (
        server(redirect(lambda _: location)) as port,
        pytest.raises(safe_http.ForbiddenRedirectError),
    ):
        get(f"http://127.0.0.1:{port}/")


def test_redirect_from_https_to_http() -> None:
    """Acceptance 23."""
    with pytest.raises(safe_http.ForbiddenRedirectError, match="https to http"):
        safe_http.redirect_target("https://a.example/x", "http://a.example/x")
    assert safe_http.redirect_target("https://a.example/x?s=1", "y?t=2") == (
        "https://a.example/y?t=2"
    )


def test_total_time_against_a_trickle() -> None:
    """Acceptance 28: each byte comes in time, the whole does not."""

    started = time.monotonic()
    with server(trickle_header) as port, pytest.raises(httpx.ReadTimeout):
        get(f"http://127.0.0.1:{port}/", timeout=1.0, seconds=0.5)
    assert time.monotonic() - started < patience(10)


def test_a_slow_resolver_counts_against_the_total_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: Any, **__: Any) -> list[Any]:
        time.sleep(0.5)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with pytest.raises(httpx.ConnectTimeout):
        get("http://slow.example/", seconds=0.1)


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A self-signed certificate for a name: the server's context, and one that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    issued = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = issued.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "both.pem").write_bytes(private + pem)
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(folder / "both.pem")
    return theirs, ssl.create_default_context(cadata=pem.decode())


def test_tls_is_verified_against_the_name(
    tmp_path: Path, names: dict[str, list[list[str]]]
) -> None:
    names["right.example"] = names["wrong.example"] = [["127.0.0.1"]]
    theirs, trusting = certificate(tmp_path, "right.example")
    with server(text(b"secure"), theirs) as port:
        assert get(f"https://right.example:{port}/", ssl_context=trusting) == b"secure"
        with pytest.raises(httpx.ConnectError, match="wrong\\.example"):
            get(f"https://wrong.example:{port}/", ssl_context=trusting)
        with pytest.raises(httpx.ConnectError, match="self-signed"):
            get(f"https://right.example:{port}/")


def test_proxies_of_the_environment_are_nobodys_but_the_settings(
    monkeypatch: pytest.MonkeyPatch, names: dict[str, list[list[str]]]
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    names["song.example"] = [["127.0.0.1"]]
    with server(text(b"direct")) as port:
        assert get(f"http://song.example:{port}/") == b"direct"
