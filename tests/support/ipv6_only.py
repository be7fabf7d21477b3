"""A network with nothing but IPv6: a namespace of its own, without an address of IPv4.

Source: network_namespaces(7), netdevice(7).
"""

import ctypes
import os
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import pytest

_CLONE_NEWNET = 0x40000000
_SIOCSIFFLAGS, _SIOCSIFADDR = 0x8914, 0x8916
_IFF_UP = 1

Result = TypeVar("Result")


class Ipv6Network:
    """One thread in the network: the sockets that it opens are there, and programs it starts.

    Whichever thread uses these sockets afterwards, they stay in it.
    """

    def __init__(self, thread: ThreadPoolExecutor) -> None:
        self._thread = thread

    def run(self, work: Callable[[], Result]) -> Result:
        """Return what a function returns that is called there."""
        return self._thread.submit(work).result()


@contextmanager
def ipv6_network() -> Iterator[Ipv6Network]:
    """Give such a network, or skip the test where none can be made."""
    if sys.platform != "linux" or not socket.has_ipv6:
        pytest.skip("this machine has no IPv6, or no namespaces of networks")
    with ThreadPoolExecutor(1) as thread:
        network = Ipv6Network(thread)
        try:
            network.run(_enter)
        except OSError as error:
            pytest.skip(f"no network can be made here: {error}")
        yield network


def _enter() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    import fcntl  # noqa: PLC0415 - there is none on Windows

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP))
        nothing = struct.pack("16sHH4s8x", b"lo", socket.AF_INET, 0, bytes(4))
        fcntl.ioctl(any_socket, _SIOCSIFADDR, nothing)
