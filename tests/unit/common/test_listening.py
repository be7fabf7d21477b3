"""Where API and operator listen, on machines with and without IPv6."""

import errno
import socket
from typing import Any

import pytest
from tests.support.waiting import patience

from splitjob_io.listening import listen

HAS_IPV6 = socket.has_dualstack_ipv6()


def reached(address: str, port: int) -> bool:
    """Whether a connection to the port of this machine is accepted."""
    try:
        with socket.create_connection((address, port), timeout=patience(2)):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not HAS_IPV6, reason="this machine has no IPv6")
def test_all_addresses_are_those_of_both_families() -> None:
    with listen("::", 0) as listening:
        port = listening.getsockname()[1]
        assert reached("127.0.0.1", port)
        assert reached("::1", port)


@pytest.mark.parametrize("host", ["127.0.0.1", "::"])
def test_what_is_written_to_a_connection_is_sent_at_once(host: str) -> None:
    with listen(host, 0) as listening:
        port = listening.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            accepted, _ = listening.accept()
            with accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize("missing", [errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL])
def test_a_machine_without_ipv6_listens_on_ipv4(
    missing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.create_server

    def no_ipv6(address: Any, **options: Any) -> socket.socket:
        if options.get("family") == socket.AF_INET6:
            raise OSError(missing, "no IPv6 here")
        return real(address, **options)

    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: True)
    monkeypatch.setattr(socket, "create_server", no_ipv6)
    with listen("::", 0) as listening:
        assert reached("127.0.0.1", listening.getsockname()[1])


def test_a_kernel_without_ipv6_listens_on_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    with listen("::", 0) as listening:
        assert listening.family == socket.AF_INET
        assert reached("127.0.0.1", listening.getsockname()[1])


def test_one_address_is_that_one_alone() -> None:
    with listen("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        assert reached("127.0.0.1", port)
        assert not reached("127.0.0.2", port)


def test_a_taken_port_is_said() -> None:
    with listen("::", 0) as first, pytest.raises(OSError, match="in use"):
        listen("::", first.getsockname()[1])
