"""A signed HTTP client, as a caller of the service would write it."""

import time
from typing import Self

import httpx

from splitjob.signing import Signer, request_payload


class SignedClient:
    """Sends requests that are signed with the shared token.

    Args:
        base_url: of the API, without a slash at the end.
        token: the shared secret.
    """

    def __init__(self, base_url: str, token: str) -> None:
        self.base_url = base_url
        self._signer = Signer([token])
        self._http = httpx.Client(base_url=base_url, timeout=30, trust_env=False)

    def headers(
        self, method: str, path: str, body: bytes = b"", seconds_ago: int = 0
    ) -> dict[str, str]:
        """Return the headers that sign a request, now or as of some seconds ago."""
        plain, _, query = path.partition("?")
        payload = request_payload(method, plain.encode(), query.encode(), body)
        return self._signer.sign(payload, int(time.time()) - seconds_ago)

    def post(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
        """POST a body, signed or with the given headers instead."""
        signed = self.headers("POST", path, body) if headers is None else headers
        content_type = {"Content-Type": "application/json"}
        return self._http.post(path, content=body, headers=signed | content_type)

    def get(self, path: str) -> httpx.Response:
        """GET a path, signed."""
        return self._http.get(path, headers=self.headers("GET", path))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()
