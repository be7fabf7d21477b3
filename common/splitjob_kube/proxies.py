"""The proxy on the way to the API server: CONNECT (RFC 9110, 9.3.6)."""

import os
import socket
import ssl
from http import HTTPStatus
from urllib.parse import urlsplit

from splitjob.egress import EgressProxies, Proxy

__all__ = ["ProxyRefusalError", "open_tunnel", "proxy_to"]

LONGEST_ANSWER_BYTES = 65536


class ProxyRefusalError(ConnectionError):
    """The proxy does not lead to the API server; nothing of its URL or credentials is said."""


def proxy_to(server: str) -> Proxy | None:
    """Return the proxy that the environment names for a server; None: there is none.

    Args:
        server: its URL.

    Raises:
        ValueError: a variable cannot be used; the message begins with its name.
    """
    url = urlsplit(server)
    port = url.port or (443 if url.scheme == "https" else 80)
    return EgressProxies.from_environment(os.environ).leading_to(
        url.scheme, url.hostname or "", port
    )


def open_tunnel(to_proxy: socket.socket, proxy: Proxy, host: str, port: int) -> socket.socket:
    """Return a way through a proxy.

    Args:
        to_proxy: a connection to it, with a timeout.
        proxy: the proxy.
        host: whom it is asked for.
        port: of the host.

    Raises:
        OSError: there is no way through.
    """
    if proxy.scheme == "https":
        context = ssl.create_default_context()
        to_proxy = context.wrap_socket(to_proxy, server_hostname=proxy.host)
    target, headers = proxy.connect_request(host, port)
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    to_proxy.sendall(f"CONNECT {target} HTTP/1.1\r\n{head}\r\n".encode("latin-1"))
    status = _status(to_proxy)
    if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        raise ProxyRefusalError(f"the proxy answers {status}")
    return to_proxy


def _status(to_proxy: socket.socket) -> int:
    """Return the status of the answer; behind its head nothing comes before we have spoken."""
    head = b""
    while b"\r\n\r\n" not in head:
        piece = to_proxy.recv(4096)
        head += piece
        if not piece or len(head) > LONGEST_ANSWER_BYTES:
            raise ProxyRefusalError("the proxy gives no answer in HTTP")
    try:
        return int(head.split(maxsplit=2)[1])
    except (ValueError, IndexError):
        raise ProxyRefusalError("the proxy gives no answer in HTTP") from None
