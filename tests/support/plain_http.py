"""HTTP without TLS, which is all that the programs of the tests speak among themselves.

`httpx.get` and its like make a client for each call, and each reads all certificate authorities:
25 ms of a processor, for a request that takes one. With `verify=NO_AUTHORITIES` they do not; where
TLS is spoken nevertheless, nobody is trusted. And they wait five seconds for an answer, on a
machine of any speed; these do in proportion to it.
"""

import ssl
from typing import Any

import httpx
from tests.support.waiting import patience

NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
ANSWER_SECONDS = 5.0


def get(url: str, **how: Any) -> httpx.Response:
    """Return the answer to a GET."""
    return request("GET", url, **how)


def put(url: str, **how: Any) -> httpx.Response:
    """Return the answer to a PUT."""
    return request("PUT", url, **how)


def post(url: str, **how: Any) -> httpx.Response:
    """Return the answer to a POST."""
    return request("POST", url, **how)


def request(method: str, url: str, **how: Any) -> httpx.Response:
    """Return the answer to a request; headers, content and the like are given as for httpx."""
    ours: dict[str, Any] = {"verify": NO_AUTHORITIES, "timeout": patience(ANSWER_SECONDS)}
    return httpx.request(method, url, **ours | how)
