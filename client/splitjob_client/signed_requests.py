"""How a request is made and let in: the one place that knows address and credentials."""

import ssl
from collections.abc import Mapping
from functools import cache

import httpx

from splitjob_client.calls import base_url
from splitjob_client.credentials import Credentials, credentials_of

USER_AGENT = "track-tree-audio-client"


@cache
def certificate_authorities() -> ssl.SSLContext:
    """Return whom all clients of this process trust, by `SSL_CERT_FILE` at its first one.

    To read the authorities takes longer than most calls.
    """
    return httpx.create_ssl_context()


class SignedRequests:
    """Makes requests to one service.

    Args:
        url: its address; a path that a gateway strips is not signed.
        credentials: who calls; a string is the token that signs.

    Raises:
        SettingsError: one of them cannot be used.
    """

    def __init__(self, url: str, credentials: Credentials | str) -> None:
        base = base_url(url)
        self._base = str(base)
        self._prefix = base.raw_path.rstrip(b"/")
        self._credentials = credentials_of(credentials)

    def build(
        self,
        http: httpx.Client | httpx.AsyncClient,
        method: str,
        target: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        read_seconds: float | None = None,
    ) -> httpx.Request:
        """Return one request; it holds for one attempt, within 300 s.

        Args:
            http: will send it.
            method: of HTTP.
            target: path and query below the address of the service.
            body: JSON, or nothing.
            headers: besides.
            read_seconds: how long the answer may be silent, where it is not `http` that says.
        """
        request = http.build_request(
            method,
            self._base + target,
            content=body or None,
            headers={"User-Agent": USER_AGENT, **(headers or {})},
        )
        if body:
            request.headers["Content-Type"] = "application/json"
        if read_seconds is not None:
            request.extensions["timeout"] = {**request.extensions["timeout"], "read": read_seconds}
        # What is signed is what is sent, whatever httpx has made of the target.
        sent = request.url.raw_path.removeprefix(self._prefix)
        request.headers.update(self._credentials.headers(method, sent, body))
        return request
