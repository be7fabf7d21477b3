"""The vectors that the documentation gives to whoever writes a receiver or a caller."""

import json
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

import pytest
import standardwebhooks.webhooks
from standardwebhooks import Webhook, WebhookVerificationError

from splitjob.signing import Signer, request_payload
from splitjob.webhook import WebhookError, verify

VECTORS = json.loads(
    (Path(__file__).parents[2] / "docs" / "signature-vectors.json").read_text("utf-8")
)
Vector = dict[str, Any]


def named(vector: Vector) -> str:
    return str(vector["name"])


def in_lower_case(headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


GENUINE = [one for one in VECTORS["webhooks"] if one["genuine"]]
FORGED = [one for one in VECTORS["webhooks"] if not one["genuine"]]
# The public package knows nothing of X-Signature, and one key at a time.
STANDARD = [
    one
    for one in VECTORS["webhooks"]
    if "x-signature" not in in_lower_case(one["headers"]) and one["headers"]
]


@pytest.mark.parametrize("vector", GENUINE, ids=named)
def test_what_is_genuine_is_taken(vector: Vector) -> None:
    body = vector["body"].encode()
    event = verify(body, vector["headers"], vector["tokens"], vector["now"])
    assert event.body == json.loads(body)
    assert event.job_id == event.body["jobId"]
    assert event.event_id == in_lower_case(vector["headers"]).get("webhook-id")


@pytest.mark.parametrize("vector", FORGED, ids=named)
def test_what_is_not_is_refused_and_the_reason_said(vector: Vector) -> None:
    with pytest.raises(WebhookError) as refused:
        verify(vector["body"].encode(), vector["headers"], vector["tokens"], vector["now"])
    assert vector["says"] in refused.value.reason
    assert not any(token in refused.value.reason for token in vector["tokens"])


@pytest.mark.parametrize("vector", STANDARD, ids=named)
def test_the_public_package_says_the_same(vector: Vector, monkeypatch: pytest.MonkeyPatch) -> None:
    class Then(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.fromtimestamp(vector["now"], tz)

    monkeypatch.setattr(standardwebhooks.webhooks, "datetime", Then)
    taken = [is_taken(token, vector) for token in vector["tokens"]]
    assert any(taken) == vector["genuine"]


def is_taken(token: str, vector: Vector) -> bool:
    """Whether the public package takes a webhook, with the key that docs/webhooks.md names."""
    key: str | bytes = token if token.startswith("whsec_") else token.encode()
    try:
        Webhook(key).verify(vector["body"], in_lower_case(vector["headers"]))
    except (WebhookVerificationError, ValueError):  # the latter: a signature without a comma
        return False
    return True


def test_the_package_has_been_asked_about_both_kinds() -> None:
    assert {one["genuine"] for one in STANDARD} == {True, False}
    assert len(STANDARD) > 8
    assert datetime.fromtimestamp(VECTORS["webhooks"][0]["now"], UTC).year == 2026


@pytest.mark.parametrize(
    "vector", VECTORS["requests"], ids=lambda one: f"{one['method']} {one['target']}"
)
def test_requests_are_signed_so(vector: Vector) -> None:
    path, _, query = vector["target"].partition("?")
    body = vector["body"].encode()
    payload = request_payload(vector["method"], path.encode(), query.encode(), body)
    assert Signer([vector["token"]]).sign(payload, vector["timestamp"]) == vector["headers"]
