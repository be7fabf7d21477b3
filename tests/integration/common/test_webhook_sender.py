"""Webhooks to a real receiver: docs/contract.md, section 4; acceptance 59 to 63."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from tests.support.receiver import Receiver, receiving
from tests.support.waiting import patience
from tests.support.web import Request, answer, trickle_header

from splitjob.addresses import parse_networks
from splitjob.allowlist import Allowlist
from splitjob.egress import Egress
from splitjob.signing import Signer
from splitjob.webhook import DeliveryOutcome
from splitjob_io.webhook_sender import WebhookSender, parse_retry_after

NETWORKS = Egress(parse_networks("127.0.0.0/8"))
TOKENS = ["new-token", "old-token"]
BODY = b'{"versionId":"v1"}'


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        running.otherwise = answer(200)
        yield running


def sender(receiver: Receiver) -> WebhookSender:
    return WebhookSender(TOKENS, Allowlist.parse(receiver.base, local=True), NETWORKS)


def test_delivered_with_both_signature_families(receiver: Receiver) -> None:
    outcome = sender(receiver).send(receiver.base + "1?key=x", "evt-1", BODY)
    assert outcome == DeliveryOutcome(delivered=True, status=200)
    [heard] = receiver.heard
    body, headers = heard.raw, heard.headers
    assert (heard.path, body, headers["content-type"]) == (
        "/hooks/1?key=x",
        BODY,
        "application/json",
    )
    now = time.time()
    Signer(["new-token"]).verify(body, headers["x-timestamp"], headers["x-signature"], now)
    stamp = int(headers["webhook-timestamp"])
    assert headers["webhook-id"] == "evt-1"
    assert (
        headers["webhook-signature"]
        == (Signer(["new-token"]).webhook_headers("evt-1", body, stamp)["webhook-signature"])
    )


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_delivers(receiver: Receiver, status: int) -> None:
    receiver.otherwise = answer(status)
    assert sender(receiver).send(receiver.base, "e", BODY).delivered


def test_redirects_are_not_followed(receiver: Receiver) -> None:
    """Acceptance 61."""
    receiver.otherwise = answer(307, Location=receiver.base + "elsewhere?secret=1")
    outcome = sender(receiver).send(receiver.base, "e", BODY)
    assert (outcome.delivered, outcome.status, len(receiver.heard)) == (False, 307, 1)
    assert "redirects are not followed" in outcome.error
    assert "secret" not in outcome.error


def test_gone_ends_it_and_retry_after_is_passed_on(receiver: Receiver) -> None:
    """Acceptance 61."""
    receiver.otherwise = answer(410)
    assert sender(receiver).send(receiver.base, "e", BODY).gone
    receiver.otherwise = answer(503, **{"Retry-After": "120"})
    outcome = sender(receiver).send(receiver.base, "e", BODY)
    assert (outcome.retry_after_seconds, outcome.error) == (120, "the receiver answered 503")


def test_allowlist_and_address_are_checked_at_each_attempt(receiver: Receiver) -> None:
    """Acceptance 63."""
    narrowed = WebhookSender(TOKENS, Allowlist.parse("https://ok.com/", local=True), NETWORKS)
    outcome = narrowed.send(receiver.base + "?secret=1", "e", BODY)
    assert outcome.blocked
    assert "secret" not in outcome.error
    inside = WebhookSender(TOKENS, Allowlist.parse(receiver.base, local=True))
    outcome = inside.send(receiver.base, "e", BODY)
    assert outcome.blocked
    assert "loopback" in outcome.error
    assert receiver.heard == []


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


def test_a_receiver_that_is_not_there_is_an_outcome_without_a_status() -> None:
    with receiving() as gone:
        sending = sender(gone)
    outcome = sending.send(gone.base + "?secret=1", "e", BODY)
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


def test_an_answer_that_trickles_in_is_given_up_in_time(receiver: Receiver) -> None:
    receiver.otherwise = trickle_header
    started = time.monotonic()
    outcome = sender(receiver).send(receiver.base, "e", BODY, timeout=0.5)
    assert time.monotonic() - started < patience(10)
    assert outcome.error == "the receiver did not answer within 0.5 s"


def test_endless_body_after_2xx_is_delivered(receiver: Receiver) -> None:
    def endless(handler: Request) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                handler.wfile.write(b"x" * 65536)
        except OSError:
            pass

    receiver.otherwise = endless
    assert sender(receiver).send(receiver.base, "e", BODY, timeout=patience(5)).delivered


def test_a_hanging_receiver_delays_no_other(receiver: Receiver) -> None:
    """Acceptance 62: one sender, many threads."""
    release = threading.Event()

    def hang(handler: Request) -> None:
        if handler.path.endswith("hang"):
            release.wait(patience(30))
        answer(200)(handler)

    receiver.otherwise = hang
    sending = sender(receiver)
    with ThreadPoolExecutor(9) as pool:
        hanging = pool.submit(sending.send, receiver.base + "hang", "e0", BODY)
        quick = [pool.submit(sending.send, receiver.base, f"e{n}", BODY) for n in range(1, 9)]
        assert all(one.result(timeout=patience(20)).delivered for one in quick)
        assert not hanging.done()
        release.set()
        assert hanging.result(timeout=patience(20)).delivered


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
def test_retry_after_is_read_as_seconds_or_a_date_and_bounded(
    value: str | None, seconds: int | None
) -> None:
    assert parse_retry_after(value, NOW) == seconds
