"""A way through an egress proxy: CONNECT (RFC 9110, 9.3.6), to an address or to a name.

What comes out of it is a stream like any other, on which TLS is spoken with the target itself, by
its own name and with its own certificate: the proxy sees who is called, and not what is said.

A proxy answers to nobody but this installation, so its own address is not checked. Its failures say
what it answered, and neither its URL nor its credentials.
"""

import re
import ssl
from collections.abc import Callable
from http import HTTPStatus
from http.client import responses

import httpcore

from splitjob.egress import Proxy
from splitjob_io.certificates import causes, certificate_problem
from splitjob_io.deadline import Deadline, DeadlineStream

__all__ = ["ProxyRefusalError", "open_tunnel", "tunnel_problem"]

_TUNNEL_FAILED = re.compile(r"Tunnel connection failed: ([0-9]{3})")  # of http.client
Dial = Callable[[str, int, float], httpcore.NetworkStream]

# What a proxy says of an address that it cannot reach either: another one may be better.
_NOT_REACHED = {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}
_ADVICE = {
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED: (
        "it wants a user name and a password, or other ones (proxy.existingSecret)"
    ),
    HTTPStatus.FORBIDDEN: (
        "its rules do not let this service go there; where they are about names, set "
        "proxy.resolvesNames"
    ),
}


class ProxyRefusalError(httpcore.ProxyError):
    """The proxy is not there or refuses this service: asking it for another address is no use."""


def open_tunnel(
    proxy: Proxy, target: tuple[str, int], dial: Dial, context: ssl.SSLContext, seconds: float
) -> httpcore.NetworkStream:
    """Return a stream through a proxy.

    Args:
        proxy: the proxy.
        target: whom it is asked for, an address or a name, and the port.
        dial: connects to a host and a port within seconds.
        context: the authorities that may have signed the proxy's own certificate.
        seconds: for all of it.

    Raises:
        httpcore.ProxyError: there is no way through; `ProxyRefusalError`: nor to other addresses.
    """
    deadline = Deadline(seconds)
    try:
        plain = dial(proxy.host, proxy.port, deadline.left)
    except (httpcore.NetworkError, httpcore.TimeoutException) as failed:
        raise ProxyRefusalError(f"the proxy cannot be reached ({failed})") from failed
    try:
        stream = _secured(plain, proxy, context, deadline) if proxy.scheme == "https" else plain
        status = _ask(proxy, target, DeadlineStream(stream, deadline))
        _check(status)
    except BaseException:
        plain.close()
        raise
    return stream


def tunnel_problem(error: BaseException) -> str:
    """Return what the proxy of botocore's own client did, as a clause.

    Args:
        error: `botocore.exceptions.ProxyConnectionError`.
    """
    for cause in causes(error):
        if found := _TUNNEL_FAILED.search(str(cause)):
            return _said(int(found[1]))
    return "the proxy cannot be reached"


def _secured(
    plain: httpcore.NetworkStream, proxy: Proxy, context: ssl.SSLContext, deadline: Deadline
) -> httpcore.NetworkStream:
    try:
        return plain.start_tls(context, proxy.host, deadline.left)
    except (httpcore.NetworkError, httpcore.TimeoutException) as failed:
        why = certificate_problem(failed, "the proxy") or str(failed)
        raise ProxyRefusalError(f"the proxy cannot be reached by TLS: {why}") from failed


def _ask(proxy: Proxy, target: tuple[str, int], stream: httpcore.NetworkStream) -> int:
    """Ask for a way; return the status of the answer."""
    authority, headers = proxy.connect_request(*target)
    origin = httpcore.URL(scheme=proxy.scheme, host=proxy.host, port=proxy.port, target=authority)
    request = httpcore.Request("CONNECT", origin, headers=[*headers.items()])
    try:
        answer = httpcore.HTTP11Connection(origin.origin, stream).handle_request(request)
    except httpcore.TimeoutException as failed:
        raise httpcore.ProxyError("the proxy did not answer in time") from failed
    except httpcore.ProtocolError as failed:
        raise ProxyRefusalError(
            "the proxy broke off, or what it answered is not valid HTTP"
        ) from failed
    except httpcore.NetworkError as failed:
        raise httpcore.ProxyError(f"the proxy broke off ({type(failed).__name__})") from failed
    return answer.status


def _check(status: int) -> None:
    if 200 <= status < 300:
        return
    kind = httpcore.ProxyError if status in _NOT_REACHED else ProxyRefusalError
    raise kind(_said(status))


def _said(status: int) -> str:
    said = f"the proxy answered {status}"
    if status in responses:
        said += f" ({responses[status]})"
    if status in _ADVICE:
        said += f": {_ADVICE[HTTPStatus(status)]}"
    return said
