"""Every node of a machine has loopback addresses of its own for its pods."""

import ipaddress
import socket
import sys
from contextlib import suppress

import pytest

from splitjob_kubelet.node import addresses
from splitjob_kubelet.node.addresses import AddressesExhaustedError, LoopbackRange

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux routes all of 127.0.0.0/8 to itself"
)


def network_of(address: str) -> ipaddress.IPv4Network:
    return ipaddress.IPv4Network(f"{address}/{addresses._PREFIX}", strict=False)


def test_two_nodes_never_share_a_range(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two ranges, each gets one, and a third node none."""
    first = ipaddress.IPv4Network("127.201.0.0/20")
    monkeypatch.setattr(addresses, "_FIRST", int(first.network_address))
    monkeypatch.setattr(addresses, "_LAST", int(first.network_address) + 2 * first.num_addresses)
    one, other = LoopbackRange.claim(), LoopbackRange.claim()
    assert network_of(one.allocate()) != network_of(other.allocate())
    with pytest.raises(OSError, match="every range"):
        LoopbackRange.claim()


def test_a_program_that_listens_on_all_addresses_is_not_in_the_way() -> None:
    """A kubelet of another cluster does so, on port 10250."""
    with socket.socket() as kubelet:
        with suppress(OSError):  # there is one already
            kubelet.bind(("0.0.0.0", 10250))
            kubelet.listen()
        assert ipaddress.ip_address(LoopbackRange.claim().allocate()).is_loopback


def test_an_address_belongs_to_one_pod() -> None:
    pool = LoopbackRange.claim()
    taken = [pool.allocate() for _ in range(4094)]
    assert len(set(taken)) == len(taken)
    with pytest.raises(AddressesExhaustedError):
        pool.allocate()
    pool.release(taken[7])
    assert pool.allocate() == taken[7]
