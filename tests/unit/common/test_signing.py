"""Signatures of requests and webhooks: docs/contract.md, sections 1 and 4."""

import base64
import hashlib
import hmac
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitjob.signing import SignatureError, Signer, TokenError, parse_tokens, request_payload

NOW = 1_790_000_000
BODY = b'{"versionId":"v1"}'


def verify(signer: Signer, headers: dict[str, str], payload: bytes = BODY, now: float = NOW) -> int:
    return signer.verify(payload, headers.get("X-Timestamp"), headers.get("X-Signature"), now)


def test_the_signature_is_the_one_that_openssl_computes() -> None:
    # Computed with: printf '%s' '{"versionId":"v1"}|1790000000' | openssl dgst -sha256 -hmac secret
    headers = Signer(["secret"]).sign(BODY, NOW)
    assert headers == {
        "X-Signature": "sha256=c1a0860ffb83573c2fdf12c3bad600971c42c913a1001e78d98d7ad24b3e7098",
        "X-Timestamp": "1790000000",
    }


def test_standard_webhooks_vector() -> None:
    # The example of the Standard Webhooks reference libraries.
    signer = Signer(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
    headers = signer.webhook_headers(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', 1614265330
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert headers["webhook-id"] == "msg_p5jXN8AQM9LWM0D4loKWxJek"
    assert headers["webhook-timestamp"] == "1614265330"


def test_plain_token_is_the_standard_webhooks_key_itself() -> None:
    headers = Signer(["tökén"]).webhook_headers("evt-1", BODY, NOW)
    digest = hmac.digest("tökén".encode(), f"evt-1.{NOW}.".encode() + BODY, hashlib.sha256)
    assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()


@pytest.mark.parametrize("text", [None, "", "  \n", ",", "a,", ",a", "a,,b", "whsec_", "whsec_%%"])
def test_refuses_to_start_without_tokens(text: str | None) -> None:
    """Acceptance 9."""
    with pytest.raises(TokenError):
        parse_tokens(text)


def test_tokens_are_split_and_trimmed() -> None:
    assert parse_tokens("new-token, old-token\n") == ["new-token", "old-token"]


def test_both_tokens_of_a_rotation_verify() -> None:
    """Acceptance 8."""
    rotating = Signer(["new", "old"])
    assert verify(rotating, Signer(["new"]).sign(BODY, NOW)) == 0
    assert verify(rotating, Signer(["old"]).sign(BODY, NOW)) == 1
    assert rotating.sign(BODY, NOW) == Signer(["new"]).sign(BODY, NOW)
    with pytest.raises(SignatureError):
        verify(Signer(["new"]), Signer(["old"]).sign(BODY, NOW))


@pytest.mark.parametrize("off", [-299, 0, 299, 300])
def test_inside_the_window(off: int) -> None:
    """Acceptance 3."""
    verify(Signer(["t"]), Signer(["t"]).sign(BODY, NOW + off))


@pytest.mark.parametrize("off", [-301, 301, 10_000])
def test_outside_the_window(off: int) -> None:
    """Acceptance 3."""
    with pytest.raises(SignatureError, match="300 s"):
        verify(Signer(["t"]), Signer(["t"]).sign(BODY, NOW + off))


@pytest.mark.parametrize(
    "stamp",
    [
        "1_790_000_0",
        "+179000000",
        " 179000000",
        "1790000000 ",
        "17900000000",
        "",
        "179000000",
        "١٧٩٠٠٠٠٠٠٠",
        "1790000000\n",
        "1790000.00",
    ],
)
def test_malformed_timestamps(stamp: str) -> None:
    """Acceptance 4."""
    digest = hmac.new(b"t", BODY + b"|" + stamp.encode(), hashlib.sha256).hexdigest()
    with pytest.raises(SignatureError, match="ten digits"):
        verify(Signer(["t"]), {"X-Timestamp": stamp, "X-Signature": f"sha256={digest}"})


@pytest.mark.parametrize(
    "change", [str.upper, lambda s: s[7:], lambda s: s[:-1], lambda s: s + " ", lambda s: "é" + s]
)
def test_malformed_signatures(change: Callable[[str], str]) -> None:
    """Acceptance 1."""
    headers = Signer(["t"]).sign(BODY, NOW)
    headers["X-Signature"] = change(headers["X-Signature"])
    with pytest.raises(SignatureError):
        verify(Signer(["t"]), headers)


def test_a_request_without_its_headers_is_refused() -> None:
    """Acceptance 1."""
    for headers in ({}, {"X-Timestamp": str(NOW)}, {"X-Signature": "sha256=" + "0" * 64}):
        with pytest.raises(SignatureError, match="required"):
            verify(Signer(["t"]), headers)


def test_bytes_moved_across_the_bar() -> None:
    """Acceptance 5: the same signed bytes, cut elsewhere."""
    headers = Signer(["t"]).sign(BODY + b"|1", NOW)
    with pytest.raises(SignatureError):
        verify(Signer(["t"]), headers | {"X-Timestamp": f"1|{NOW}"}, BODY)


def test_requests_without_a_body_sign_their_target() -> None:
    assert request_payload("get", b"/jobs/a%20b", b"", b"") == b"GET /jobs/a%20b"
    assert request_payload("GET", b"/jobs", b"limit=5", b"") == b"GET /jobs?limit=5"
    assert request_payload("POST", b"/split", b"", BODY) == BODY


@given(st.binary(), st.binary(), st.integers(1_000_000_000, 9_999_999_999))
def test_only_the_signed_payload_verifies(payload: bytes, other: bytes, now: int) -> None:
    """Acceptance 2: any other bytes are refused."""
    signer = Signer(["a token"])
    headers = signer.sign(payload, now)
    verify(signer, headers, payload, now)
    if other != payload:
        with pytest.raises(SignatureError):
            verify(signer, headers, other, now)


@given(st.text(), st.text())
def test_hostile_headers_are_refused_not_raised(stamp: str, signature: str) -> None:
    with pytest.raises(SignatureError):
        Signer(["t"]).verify(BODY, stamp, signature, NOW)
