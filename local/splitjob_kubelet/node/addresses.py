"""The loopback addresses of pods."""

import errno
import ipaddress
import random
import socket
import sys
from collections import deque
from typing import Protocol

_CLAIM = "\0track-tree-audio/"  # an abstract socket, unix(7): a name without a file
_PREFIX = 20
# Lower addresses are in common use (127.0.0.1, 127.0.1.1, 127.0.0.53).
_FIRST = int(ipaddress.IPv4Address("127.16.0.0"))
_LAST = int(ipaddress.IPv4Address("127.255.255.255"))


class AddressesExhaustedError(Exception):
    """Every address of the node's range is in use."""


class AddressPool(Protocol):
    """Allocates addresses for pods."""

    def allocate(self) -> str:
        """Allocate an address that no other pod has.

        Raises:
            AddressesExhaustedError: none is left.
        """

    def release(self, address: str) -> None:
        """Release an address; it is reused as late as possible."""


class SharedAddress:
    """One address for all pods, on systems with only 127.0.0.1."""

    def allocate(self) -> str:
        return "127.0.0.1"

    def release(self, address: str) -> None:
        pass


class LoopbackRange:
    """A /20 below 127.0.0.0/8 that no other node of this machine uses.

    The claim is an abstract socket named after the range, as local to the network namespace as the
    addresses are: only one process can bind it, whatever its user, and the kernel releases it when
    the process ends in any way. A port would not do: a program that listens on all addresses
    occupies it in every range.
    """

    def __init__(self, network: ipaddress.IPv4Network, claim: socket.socket) -> None:
        self._claim = claim
        self._free = deque(str(address) for address in network.hosts())

    @classmethod
    def claim(cls) -> "LoopbackRange":
        """Find a free range and claim it.

        Raises:
            OSError: no range is free.
        """
        size = 2 ** (32 - _PREFIX)
        starts = list(range(_FIRST, _LAST, size))
        for start in random.sample(starts, len(starts)):
            network = ipaddress.IPv4Network((start, _PREFIX))
            claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                claim.bind(f"{_CLAIM}{network}")
            except OSError as error:
                claim.close()
                if error.errno != errno.EADDRINUSE:
                    raise
                continue
            return cls(network, claim)
        raise OSError(errno.EADDRINUSE, "every range of loopback addresses is in use")

    def allocate(self) -> str:
        if not self._free:
            raise AddressesExhaustedError("no loopback address is left for another pod")
        return self._free.popleft()

    def release(self, address: str) -> None:
        self._free.append(address)


def address_pool() -> AddressPool:
    """Addresses for the pods of one node: one each on Linux, 127.0.0.1 for all elsewhere."""
    return LoopbackRange.claim() if sys.platform == "linux" else SharedAddress()
