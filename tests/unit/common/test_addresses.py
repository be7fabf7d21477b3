"""Which addresses may be contacted: acceptance 22."""

import contextlib
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitjob.addresses import forbidden_reason, parse_host, parse_networks

FORBIDDEN = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:53aa:64c:0:fffb:fb0:7e63",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:808:808::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("text", FORBIDDEN)
def test_addresses_that_are_not_public_are_refused(text: str) -> None:
    assert forbidden_reason(ip_address(text)) is not None


@pytest.mark.parametrize(
    "text", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_public_addresses_are_allowed(text: str) -> None:
    assert forbidden_reason(ip_address(text)) is None


def test_a_refusal_says_what_kind_of_address_it_is() -> None:
    assert forbidden_reason(ip_address("127.0.0.1")) == "a loopback address"
    assert forbidden_reason(ip_address("::ffff:10.1.2.3")) == "a private address"
    assert forbidden_reason(ip_address("169.254.169.254")) == "a cloud metadata address"


def test_exceptions_by_setting() -> None:
    networks = parse_networks("127.0.0.0/8, fd12::/16")
    assert forbidden_reason(ip_address("127.0.0.2"), networks) is None
    assert forbidden_reason(ip_address("::ffff:127.0.0.1"), networks) is None
    assert forbidden_reason(ip_address("fd12::5"), networks) is None
    assert forbidden_reason(ip_address("10.0.0.1"), networks) is not None
    assert forbidden_reason(ip_address("::1"), networks) is not None
    assert parse_networks("") == parse_networks(None) == ()
    with pytest.raises(ValueError, match="does not appear"):
        parse_networks("everything")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7F.1",
        "0177.0.0.1",
        "017700000001",
        "0x7f.0.0x0.01",
        "１２７.０.０.１",  # noqa: RUF001 - full-width digits, on purpose
        "①②⑦.⓪.⓪.①",
        "127。0。0。1",
    ],
)
def test_every_notation_of_loopback(host: str) -> None:
    assert parse_host(host) == IPv4Address("127.0.0.1")


@pytest.mark.parametrize("host", ["[::1]", "::1", "0:0:0:0:0:0:0:1"])
def test_ipv6_is_read_with_and_without_brackets(host: str) -> None:
    assert parse_host(host) == IPv6Address("::1")


@pytest.mark.parametrize(
    "host",
    [
        "256.0.0.1",
        "1.2.3.4.5",
        "0x",
        "1.2.3.256",
        "4294967296",
        "09",
        "1..2",
        "0xg",
        "0x-1",
        "0x1_0",
        "[:",
    ],
)
def test_neither_name_nor_address(host: str) -> None:
    if host == "0x":  # WHATWG: an empty hexadecimal number is zero
        assert parse_host(host) == IPv4Address(0)
        return
    with pytest.raises(ValueError, match=r"neither|does not appear"):
        parse_host(host)


@pytest.mark.parametrize("host", ["example.com", "1.example", "a", "x7f", "localhost."])
def test_a_name_is_no_address(host: str) -> None:
    assert parse_host(host) is None


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.sampled_from(["d", "o", "x"]))
def test_agrees_with_the_resolver(value: int, parts: int, notation: str) -> None:
    heads = [(value >> (24 - 8 * i)) & 255 for i in range(parts - 1)]
    numbers = [*heads, value & (256 ** (5 - parts) - 1)]
    spelling = {"d": "{}", "o": "0{:o}", "x": "{:#x}"}[notation]
    host = ".".join(spelling.format(n) for n in numbers)
    assert parse_host(host) == IPv4Address(socket.inet_aton(host))


@given(st.text(max_size=40))
def test_any_text_as_a_host_gives_an_address_or_a_refusal(host: str) -> None:
    with contextlib.suppress(ValueError):
        parse_host(host)


@given(st.ip_addresses(v=4))
def test_wrapping_changes_nothing(address: IPv4Address) -> None:
    for prefix in (0xFFFF << 32, int(IPv6Address("64:ff9b::"))):
        assert forbidden_reason(IPv6Address(prefix + int(address))) == forbidden_reason(address)
