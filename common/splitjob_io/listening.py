"""The socket that API and operator listen on: IPv6 and IPv4 by one, where the node has IPv6.

A kubelet probes a pod at its own address, of either family. asyncio would make a socket on `::`
that takes IPv6 only, and a node whose kernel has no IPv6 has no `::` at all.
"""

import errno
import socket

__all__ = ["listen"]

ALL_IPV6 = "::"
ALL_IPV4 = "0.0.0.0"  # noqa: S104 - where there is no IPv6
BACKLOG = 2048
NO_IPV6 = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}


def listen(host: str, port: int) -> socket.socket:
    """Return a listening TCP socket.

    What is written to its connections is sent at once. asyncio sees to that only where a socket
    names its protocol, as these do not: head and body of an answer, written one after the other,
    would be 40 ms apart.

    Args:
        host: an address of this machine; `::` stands for all of them, of IPv6 and of IPv4, or of
            IPv4 alone where there is nothing else.
        port: 0 for any that is free.

    Raises:
        OSError: the address is not this machine's, or the port is taken.
    """
    listening = _bound(host, port)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # its connections inherit it
    return listening


def _bound(host: str, port: int) -> socket.socket:
    if host != ALL_IPV6:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(
                (host, port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True
            )
        except OSError as error:
            if error.errno not in NO_IPV6:
                raise
    return socket.create_server((ALL_IPV4, port), backlog=BACKLOG)
