"""HTTP without TLS, which is all that the programs of the tests speak among themselves.

`httpx.get` and its like make a client for each call, and each reads all certificate authorities:
25 ms of a processor, for a request that takes one. With `verify=NO_AUTHORITIES` they do not; where
TLS is spoken nevertheless, nobody is trusted.
"""

import ssl

import httpx

NO_AUTHORITIES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def get(url: str) -> httpx.Response:
    """Return the answer to a GET."""
    return httpx.get(url, verify=NO_AUTHORITIES)
