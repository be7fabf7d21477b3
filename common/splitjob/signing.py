"""HMAC signatures: `X-Signature` of requests and webhooks, and Standard Webhooks beside it.

`X-Signature: sha256=<hex>` with hex = HMAC-SHA256(token, payload + "|" + timestamp), and
`X-Timestamp: <10 digits>`. The payload is the raw body, never JSON written anew.

Webhooks carry the headers of https://www.standardwebhooks.com as well. Its key is the base64 in a
token of the form `whsec_<base64>`; of any other token it is the UTF-8 text itself, so a receiver
that uses a Standard Webhooks library configures `"whsec_" + base64(token)`.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Sequence

REPLAY_WINDOW_SECONDS = 300
SIGNATURE_HEADER = "X-Signature"
TIMESTAMP_HEADER = "X-Timestamp"
STANDARD_WEBHOOKS_PREFIX = "whsec_"
TIMESTAMP_PATTERN = re.compile(r"[0-9]{10}", re.ASCII)

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SIGNATURE = re.compile(r"sha256=[0-9a-f]{64}", re.ASCII)


class TokenError(ValueError):
    """No usable signing token is configured: the process must not start."""


class SignatureError(Exception):
    """A signature does not hold.

    Attributes:
        reason: a sentence for the caller; it tells nothing about the token.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def parse_tokens(text: str | None) -> list[str]:
    """Return the tokens in the setting DEMUCSSVC_TOKEN: one, or several separated by commas.

    Args:
        text: the setting. White space around a token is dropped (files end in a newline).

    Returns:
        At least one token; the first signs, all verify.

    Raises:
        TokenError: there is none, one is empty or has a line break inside, or a `whsec_` token is
            not base64.
    """
    if text is None or not text.strip():
        raise TokenError(
            "DEMUCSSVC_TOKEN is empty. Set it to the secret shared with the callers "
            "(several, separated by commas, while a secret is being replaced)."
        )
    tokens = [token.strip() for token in text.split(",")]
    if not all(tokens):
        raise TokenError(
            "DEMUCSSVC_TOKEN holds an empty token: remove the comma at its end, or the doubled one."
        )
    if any(_CONTROL.search(token) for token in tokens):
        raise TokenError(
            "DEMUCSSVC_TOKEN holds a line break, a tab or another control character: it is one "
            "line, tokens separated by commas."
        )
    for token in tokens:
        _standard_key(token)
    return tokens


def request_payload(method: str, path: bytes, query: bytes, body: bytes) -> bytes:
    """Return what a request signs: its body, or `METHOD SP path[?query]` where it has none.

    Args:
        method: the HTTP method.
        path: the path as it stands in the request line, percent-encoding untouched.
        query: what follows the `?`, empty where there is none.
        body: the raw body.
    """
    if body:
        return body
    target = path + b"?" + query if query else path
    return method.upper().encode("ascii") + b" " + target


class Signer:
    """Signs with the first token and verifies with any.

    Args:
        tokens: at least one, none of them empty (`parse_tokens`).

    Raises:
        TokenError: there is no token, or an empty one.
    """

    def __init__(self, tokens: Sequence[str]) -> None:
        if not tokens or not all(tokens):
            raise TokenError("there is no token to sign with: set DEMUCSSVC_TOKEN")
        self._keys = [token.encode() for token in tokens]
        self._standard_keys = [_standard_key(token) for token in tokens]

    def sign(self, payload: bytes, timestamp: int) -> dict[str, str]:
        """Return the headers `X-Signature` and `X-Timestamp`.

        Args:
            payload: the raw body (`request_payload` for a request without one).
            timestamp: Unix time in seconds, ten digits.
        """
        stamp = f"{timestamp:010d}"
        digest = _digest(self._keys[0], payload, stamp)
        return {SIGNATURE_HEADER: f"sha256={digest}", TIMESTAMP_HEADER: stamp}

    def verify(
        self,
        payload: bytes,
        timestamp_header: str | None,
        signature_header: str | None,
        now: float,
    ) -> int:
        """Check a signature, in time that does not depend on how much of it is right.

        Args:
            payload: the raw body (`request_payload` for a request without one).
            timestamp_header: the value of `X-Timestamp`, None where it is missing.
            signature_header: the value of `X-Signature`, None where it is missing.
            now: Unix time in seconds.

        Returns:
            Which token made it, counted from 0: what may be told of it in a log.

        Raises:
            SignatureError: a header is missing or malformed, the timestamp is more than 300 s
                off, or no token gives this signature.
        """
        if timestamp_header is None or signature_header is None:
            raise SignatureError("the headers X-Signature and X-Timestamp are both required")
        if not TIMESTAMP_PATTERN.fullmatch(timestamp_header):
            raise SignatureError("X-Timestamp must be Unix time in seconds, ten digits")
        if not _SIGNATURE.fullmatch(signature_header):
            raise SignatureError("X-Signature must be sha256= and 64 lower-case hex digits")
        if abs(now - int(timestamp_header)) > REPLAY_WINDOW_SECONDS:
            raise SignatureError("X-Timestamp is more than 300 s away from the service's clock")
        token = self.token_of(payload, timestamp_header, signature_header)
        if token is None:
            raise SignatureError(
                "X-Signature does not match: take this service's token, and sign the raw body, "
                "byte for byte, then '|' and the timestamp (a request without a body signs "
                "'METHOD path?query')"
            )
        return token

    def has_signed(self, payload: bytes, timestamp: str, signature: str) -> bool:
        """Whether any token gives an `X-Signature`; see `token_of`."""
        return self.token_of(payload, timestamp, signature) is not None

    def token_of(self, payload: bytes, timestamp: str, signature: str) -> int | None:
        """Return which token gives an `X-Signature`, in time that does not tell which one.

        Args:
            payload: the raw body.
            timestamp: the value of `X-Timestamp`; the clock is not asked.
            signature: the value of `X-Signature`.

        Returns:
            Its place among the tokens, counted from 0; None: none of them does.
        """
        # Every key is tried, also after a match.
        matches = [
            _matches([f"sha256={_digest(key, payload, timestamp)}"], [signature])
            for key in self._keys
        ]
        return matches.index(True) if any(matches) else None

    def has_signed_webhook(
        self, body: bytes, event_id: str, timestamp: str, signatures: str
    ) -> bool:
        """Whether any token gives one of the signatures of Standard Webhooks.

        Args:
            body: the raw body.
            event_id: the value of `webhook-id`.
            timestamp: the value of `webhook-timestamp`; the clock is not asked.
            signatures: the value of `webhook-signature`: several, separated by spaces, while the
                sender's key is being replaced. Those of another version than `v1` do not count.
        """
        return _matches(
            [_standard_signature(key, body, event_id, timestamp) for key in self._standard_keys],
            signatures.split(" "),
        )

    def webhook_headers(self, event_id: str, body: bytes, timestamp: int) -> dict[str, str]:
        """Return both families of signature headers of a webhook.

        Args:
            event_id: becomes `webhook-id`; the same in every attempt of one event.
            body: the raw body.
            timestamp: Unix time in seconds of this attempt.

        Returns:
            X-Signature, X-Timestamp, webhook-id, webhook-timestamp, webhook-signature.
        """
        key, stamp = self._standard_keys[0], str(timestamp)
        return {
            **self.sign(body, timestamp),
            "webhook-id": event_id,
            "webhook-timestamp": stamp,
            "webhook-signature": _standard_signature(key, body, event_id, stamp),
        }


def _digest(key: bytes, payload: bytes, stamp: str) -> str:
    return hmac.new(key, payload + b"|" + stamp.encode(), hashlib.sha256).hexdigest()


def _standard_signature(key: bytes, body: bytes, event_id: str, timestamp: str) -> str:
    content = f"{event_id}.{timestamp}.".encode() + body
    return f"v1,{base64.b64encode(hmac.digest(key, content, 'sha256')).decode()}"


def _matches(wanted: Sequence[str], given: Sequence[str]) -> bool:
    """Whether one is among the others; all are compared, also after a match."""
    compared = [
        hmac.compare_digest(ours.encode(), theirs.encode(errors="replace"))
        for ours in wanted
        for theirs in given
    ]
    return any(compared)


def _standard_key(token: str) -> bytes:
    if not token.startswith(STANDARD_WEBHOOKS_PREFIX):
        return token.encode()
    try:
        key = base64.b64decode(token.removeprefix(STANDARD_WEBHOOKS_PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not key:
        raise TokenError("a token that begins with whsec_ must go on with base64")
    return key
