"""Webhooks to a real receiver: docs/contract.md, section 4; acceptance 59 to 63."""

import http.server
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from splitjob.addresses import parse_networks
from splitjob.allowlist import Allowlist
from splitjob.signing import Signer
from splitjob_io.webhook_sender import DeliveryOutcome, WebhookSender, retry_after

NETWORKS = parse_networks("127.0.0.0/8")
TOKENS = ["new-token", "old-token"]
BODY = b'{"versionId":"v1"}'


class Receiver:
    """A web server that keeps what it gets and answers as it is told."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.status = 200
        self.headers: dict[str, str] = {}
        self.before_answer: Callable[[http.server.BaseHTTPRequestHandler], None] = lambda _: None
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.requests.append((self.path, dict(self.headers), body))
                receiver.before_answer(self)
                self.send_response(receiver.status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hooks"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    running = Receiver()
    yield running
    running.close()


def sender(receiver: Receiver) -> WebhookSender:
    return WebhookSender(TOKENS, Allowlist.parse(receiver.url, local=True), NETWORKS)


def test_delivered_with_both_signature_families(receiver: Receiver) -> None:
    outcome = sender(receiver).send(receiver.url + "/1?key=x", "evt-1", BODY)
    assert outcome == DeliveryOutcome(delivered=True, status=200)
    [(path, headers, body)] = receiver.requests
    assert (path, body, headers["Content-Type"]) == ("/hooks/1?key=x", BODY, "application/json")
    now = time.time()
    Signer(["new-token"]).verify(body, headers["X-Timestamp"], headers["X-Signature"], now)
    stamp = int(headers["webhook-timestamp"])
    assert headers["webhook-id"] == "evt-1"
    assert (
        headers["webhook-signature"]
        == (Signer(["new-token"]).webhook_headers("evt-1", body, stamp)["webhook-signature"])
    )


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_delivers(receiver: Receiver, status: int) -> None:
    receiver.status = status
    assert sender(receiver).send(receiver.url, "e", BODY).delivered


def test_redirects_are_not_followed(receiver: Receiver) -> None:
    """Acceptance 61."""
    receiver.status, receiver.headers = 307, {"Location": receiver.url + "/elsewhere?secret=1"}
    outcome = sender(receiver).send(receiver.url, "e", BODY)
    assert (outcome.delivered, outcome.status, len(receiver.requests)) == (False, 307, 1)
    assert "redirects are not followed" in outcome.error
    assert "secret" not in outcome.error


def test_gone_and_retry_after(receiver: Receiver) -> None:
    """Acceptance 61."""
    receiver.status = 410
    assert sender(receiver).send(receiver.url, "e", BODY).gone
    receiver.status, receiver.headers = 503, {"Retry-After": "120"}
    outcome = sender(receiver).send(receiver.url, "e", BODY)
    assert (outcome.retry_after_seconds, outcome.error) == (120, "the receiver answered 503")


def test_allowlist_and_address_are_checked_at_each_attempt(receiver: Receiver) -> None:
    """Acceptance 63."""
    narrowed = WebhookSender(TOKENS, Allowlist.parse("https://ok.com/", local=True), NETWORKS)
    outcome = narrowed.send(receiver.url + "?secret=1", "e", BODY)
    assert outcome.blocked
    assert "secret" not in outcome.error
    inside = WebhookSender(TOKENS, Allowlist.parse(receiver.url, local=True))
    outcome = inside.send(receiver.url, "e", BODY)
    assert outcome.blocked
    assert "loopback" in outcome.error
    assert receiver.requests == []


@pytest.mark.parametrize(
    "url",
    [
        "https://[oops/hook?secret=1",
        "https://ok.com]/?secret=1",
        "https://ok.com:port/?secret=1",
        "https://\u2100.com/?secret=1",
        "https://ok.com/\ud800?secret=1",
        "http://?secret=1",
        "",
    ],
)
def test_what_is_no_url_is_blocked(receiver: Receiver, url: str) -> None:
    outcome = sender(receiver).send(url, "e", BODY)
    assert outcome.blocked
    assert "secret" not in outcome.error


def test_nobody_there(receiver: Receiver) -> None:
    sending = sender(receiver)
    receiver.close()
    outcome = sending.send(receiver.url + "?secret=1", "e", BODY)
    assert (outcome.delivered, outcome.status, outcome.blocked) == (False, None, False)
    assert outcome.error.startswith(("the receiver could not be reached", "the receiver broke off"))
    assert "secret" not in outcome.error


@pytest.mark.parametrize("prefix", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 2000 "])
def test_a_receiver_that_echoes_is_not_quoted(receiver: Receiver, prefix: bytes) -> None:
    """What an error of the protocol quotes is then our own request, with the query of its URL."""
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        pool.submit(echo, server, prefix)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/hooks"
        sending = WebhookSender(TOKENS, Allowlist.parse(url, local=True), NETWORKS)
        outcome = sending.send(url + "?token=secret", "e", BODY)
    assert outcome == DeliveryOutcome(
        delivered=False, error="the receiver broke off, or its answer is not valid HTTP"
    )


def echo(server: socket.socket, prefix: bytes) -> None:
    connection, _ = server.accept()
    with connection:
        connection.sendall(prefix + connection.recv(65536) + b"\r\n\r\n")


def test_trickled_answer(receiver: Receiver) -> None:
    def trickle(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        try:
            for _ in range(400):
                handler.wfile.write(b"x")
                time.sleep(0.05)
        except OSError:
            pass

    receiver.before_answer = trickle
    started = time.monotonic()
    outcome = sender(receiver).send(receiver.url, "e", BODY, timeout=0.5)
    assert time.monotonic() - started < 10
    assert outcome.error == "the receiver did not answer within 0.5 s"


def test_endless_body_after_2xx_is_delivered(receiver: Receiver) -> None:
    def endless(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                handler.wfile.write(b"x" * 65536)
        except OSError:
            pass

    receiver.before_answer = endless
    assert sender(receiver).send(receiver.url, "e", BODY, timeout=5).delivered


def test_a_hanging_receiver_delays_no_other(receiver: Receiver) -> None:
    """Acceptance 62: one sender, many threads."""
    release = threading.Event()

    def hang(handler: http.server.BaseHTTPRequestHandler) -> None:
        if handler.path.endswith("hang"):
            release.wait(30)

    receiver.before_answer = hang
    sending = sender(receiver)
    with ThreadPoolExecutor(9) as pool:
        hanging = pool.submit(sending.send, receiver.url + "/hang", "e0", BODY)
        quick = [pool.submit(sending.send, receiver.url, f"e{n}", BODY) for n in range(1, 9)]
        assert all(one.result(timeout=20).delivered for one in quick)
        assert not hanging.done()
        release.set()
        assert hanging.result(timeout=20).delivered


NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("999999999999999999", 86400),
        ("Thu, 01 Jan 2026 12:01:00 GMT", 60),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0),
        ("Thu, 01 Jan 2099 11:00:00 GMT", 86400),
        ("-5", None),
        ("soon", None),
        ("١٢", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after(value: str | None, seconds: int | None) -> None:
    assert retry_after(value, NOW) == seconds
