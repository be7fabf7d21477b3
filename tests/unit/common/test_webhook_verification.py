"""`splitjob.webhook.verify`: what the vectors of the documentation cannot hold."""

import json
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitjob.signing import Signer, TokenError
from splitjob.webhook import WebhookError, encode, verify

NOW = 1_790_000_000
BODY = b'{"event":"completed","jobId":"split-1"}'


def signed(body: bytes = BODY, token: str = "t", at: int = NOW) -> dict[str, str]:
    return Signer([token]).webhook_headers("evt-1", body, at)


def test_the_clock_of_this_machine_is_used_where_none_is_given() -> None:
    assert verify(BODY, signed(at=int(time.time())), "t").job_id == "split-1"
    with pytest.raises(WebhookError, match="300 s"):
        verify(BODY, signed(), "t")


@pytest.mark.parametrize("clock", [math.nan, math.inf])
def test_a_clock_that_shows_no_time_makes_nothing_genuine(clock: float) -> None:
    with pytest.raises(WebhookError, match="300 s"):
        verify(BODY, signed(), "t", clock)


def test_tokens_are_taken_as_the_service_takes_them() -> None:
    assert verify(BODY, signed(token="old"), "new, old\n", NOW).name == "completed"
    with pytest.raises(TokenError):
        verify(BODY, signed(), "", NOW)
    with pytest.raises(TokenError):
        verify(BODY, signed(), [], NOW)


@pytest.mark.parametrize(
    "body", [b"", b"no JSON", b"\xff\xfe", b"[]", b"null", b'{"event":"completed"}', b"[" * 99999]
)
def test_what_is_signed_and_no_event_is_refused(body: bytes) -> None:
    with pytest.raises(WebhookError, match="it is signed, but"):
        verify(body, signed(body), "t", NOW)


def test_an_event_of_a_later_release_is_taken() -> None:
    body = encode({"event": "archived", "jobId": "split-1", "more": 1})
    assert verify(body, signed(body), "t", NOW).body == json.loads(body)


def test_a_header_sent_twice_is_refused() -> None:
    headers = {**signed(), "x-signature": "sha256=" + "0" * 64}
    with pytest.raises(WebhookError):
        verify(BODY, headers, "t", NOW)


@given(
    st.binary(),
    st.dictionaries(
        st.sampled_from(
            ["X-Signature", "X-Timestamp", "webhook-id", "webhook-timestamp", "webhook-signature"]
        ),
        st.text(st.characters()) | st.just(str(NOW)),
    ),
)
def test_no_header_and_no_body_raises_anything_else(body: bytes, headers: dict[str, str]) -> None:
    with pytest.raises(WebhookError):
        verify(body, headers, ["t"], NOW)


def test_lone_surrogates_as_wsgi_servers_leave_them_are_refused() -> None:
    for name in ("X-Signature", "webhook-signature", "webhook-id", "X-Timestamp"):
        with pytest.raises(WebhookError):
            verify(BODY, {**signed(), name: "\udcff"}, "t", NOW)
