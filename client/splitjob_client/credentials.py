"""Who calls: with the token that signs, or with an identity of the cluster."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from splitjob.signing import Signer, TokenError, parse_tokens, request_payload
from splitjob_client.errors import SettingsError

ENV_URL = "API_URL"
ENV_TOKEN = "DEMUCSSVC_TOKEN"  # noqa: S105 - a variable's name
ENV_KUBERNETES_TOKEN = "KUBERNETES_TOKEN"  # noqa: S105 - the same


class Credentials(Protocol):
    """What lets a request in."""

    def headers(self, method: str, target: bytes, body: bytes) -> Mapping[str, str]:
        """Return the headers that let one request in.

        Args:
            method: the HTTP method.
            target: path and query as they reach the API.
            body: the raw body, empty where there is none.
        """


class SigningToken:
    """Signs every request with the token that the service and its callers share.

    Args:
        tokens: what DEMUCSSVC_TOKEN holds; of several, the first signs.
        clock: Unix time.

    Raises:
        SettingsError: it cannot be used.
    """

    def __init__(self, tokens: str | Sequence[str], clock: Callable[[], float] = time.time) -> None:
        try:
            self._signer = Signer(parse_tokens(tokens) if isinstance(tokens, str) else tokens)
        except TokenError as error:
            raise SettingsError(str(error)) from None
        self._clock = clock

    def headers(self, method: str, target: bytes, body: bytes) -> Mapping[str, str]:
        """Return X-Signature and X-Timestamp."""
        path, _, query = target.partition(b"?")
        payload = request_payload(method, path, query, body)
        return self._signer.sign(payload, int(self._clock()))


class KubernetesToken:
    """Shows a Kubernetes token, such as `kubectl create token` prints.

    Args:
        token: the token, or a function that returns the one of now (they are replaced within the
            hour where a pod finds them in a file).

    Raises:
        SettingsError: it is empty, or holds what no header can.
    """

    def __init__(self, token: str | Callable[[], str]) -> None:
        self._token = token
        self.headers("GET", b"/", b"")

    def headers(self, method: str, target: bytes, body: bytes) -> Mapping[str, str]:
        """Return Authorization."""
        token = (self._token() if callable(self._token) else self._token).strip()
        if not (token.isascii() and token.isprintable() and token and " " not in token):
            raise SettingsError(
                "the Kubernetes token is empty or holds a line break: it is one line, as "
                "`kubectl create token` prints it"
            )
        return {"Authorization": f"Bearer {token}"}


def credentials_of(given: Credentials | str) -> Credentials:
    """Return the credentials that a client was given; a string is the token that signs.

    Raises:
        SettingsError: it cannot be used.
    """
    return SigningToken(given) if isinstance(given, str) else given


def from_file(path: Path) -> str:
    """Return the token that a file holds.

    Raises:
        SettingsError: it cannot be read.
    """
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise SettingsError(f"the token cannot be read from {path}: {why}") from None


def from_environment(environment: Mapping[str, str] = os.environ) -> Credentials:
    """Return the credentials that the environment holds; the signing token before the other.

    Raises:
        SettingsError: there are none, or they cannot be used.
    """
    if environment.get(ENV_TOKEN):
        return SigningToken(environment[ENV_TOKEN])
    if environment.get(ENV_KUBERNETES_TOKEN):
        return KubernetesToken(environment[ENV_KUBERNETES_TOKEN])
    raise SettingsError(
        f"there is no token: set {ENV_TOKEN} to the one that signs, or {ENV_KUBERNETES_TOKEN} to "
        "one of the cluster (kubectl create token NAME)"
    )


def tokens_from_environment(environment: Mapping[str, str] = os.environ) -> str:
    """Return the tokens that sign.

    Raises:
        SettingsError: there are none.
    """
    if tokens := environment.get(ENV_TOKEN):
        return tokens
    raise SettingsError(f"set {ENV_TOKEN} to the token that signs")


def url_from_environment(environment: Mapping[str, str] = os.environ) -> str:
    """Return the address of the service.

    Raises:
        SettingsError: it is not set.
    """
    if url := environment.get(ENV_URL):
        return url
    raise SettingsError(f"set {ENV_URL} to the address of the service, such as https://...")
