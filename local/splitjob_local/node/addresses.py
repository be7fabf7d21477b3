"""A loopback address for each pod."""

import errno
import ipaddress
import random
import socket
import sys
from collections import deque
from typing import Protocol

_RESERVATION_PORT = 10250
_PREFIX = 20
# Below lie the addresses that people and distributions use (127.0.0.1, 127.0.1.1, 127.0.0.53).
_FIRST = int(ipaddress.IPv4Address("127.16.0.0"))
_LAST = int(ipaddress.IPv4Address("127.255.255.255"))


class AddressesExhaustedError(Exception):
    """Every address of the node's range belongs to a pod."""


class AddressPool(Protocol):
    """Where pods get their addresses from."""

    def take(self) -> str:
        """An address that no other pod has.

        Raises:
            AddressesExhaustedError: none is left.
        """

    def give_back(self, address: str) -> None:
        """Return an address; it is used again as late as possible."""


class SharedAddress:
    """One address for all pods, where the system has only 127.0.0.1."""

    def take(self) -> str:
        return "127.0.0.1"

    def give_back(self, address: str) -> None:
        pass


class LoopbackRange:
    """A /20 below 127.0.0.0/8 that no other node of this machine uses.

    The range is claimed by listening on its first address: the kernel lets one process do that,
    and ends the claim when the process ends, however that comes.
    """

    def __init__(self, network: ipaddress.IPv4Network, claim: socket.socket) -> None:
        self._claim = claim
        self._free = deque(str(address) for address in list(network.hosts())[1:])

    @classmethod
    def claim(cls) -> "LoopbackRange":
        """Find a free range and claim it.

        Raises:
            OSError: the system does not route 127.0.0.0/8 to itself, or no range is free.
        """
        size = 2 ** (32 - _PREFIX)
        starts = list(range(_FIRST, _LAST, size))
        for start in random.sample(starts, len(starts)):
            network = ipaddress.IPv4Network((start, _PREFIX))
            claim = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            try:
                claim.bind((str(network[1]), _RESERVATION_PORT))
                claim.listen()
            except OSError as error:
                claim.close()
                if error.errno != errno.EADDRINUSE:
                    raise
                continue
            return cls(network, claim)
        raise OSError(errno.EADDRINUSE, "every range of loopback addresses is in use")

    def take(self) -> str:
        if not self._free:
            raise AddressesExhaustedError("no loopback address is left for another pod")
        return self._free.popleft()

    def give_back(self, address: str) -> None:
        self._free.append(address)


def address_pool() -> AddressPool:
    """Addresses for the pods of one node: one each on Linux, 127.0.0.1 for all elsewhere."""
    return LoopbackRange.claim() if sys.platform == "linux" else SharedAddress()
