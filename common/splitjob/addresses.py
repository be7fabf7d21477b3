"""Which IP addresses the service may talk to on a caller's behalf: public ones, and no others.

`forbidden_reason` judges an address, `parse_host` reads one in any notation that resolvers
understand (decimal, octal, hexadecimal, shortened), so that none of them gets past a check.

Sources: IANA special-purpose address registries (RFC 6890), through Python's `ipaddress`; the host
parser of the WHATWG URL standard for IPv4 numbers.
"""

import re
import unicodedata
from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Cloud metadata services at addresses that their ranges alone would not always give away.
_METADATA = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254",
        "169.254.170.2",
        "100.100.100.200",
        "168.63.129.16",  # Azure: a public address that every virtual machine reaches
        "192.0.0.192",
        "fd00:ec2::254",
        "fd20:ce::254",
    )
)
_SHARED = IPv4Network("100.64.0.0/10")
_RELAYS = IPv4Network("192.88.99.0/24")
_GLOBAL_V6 = IPv6Network("2000::/3")
_TUNNELS = (IPv6Network("2002::/16"), IPv6Network("2001::/32"))
_NOT_ROUTED_V6 = (
    IPv6Network("2001::/23"),
    IPv6Network("2001:db8::/32"),
    IPv6Network("3fff::/20"),
)
_TRANSLATED = IPv6Network("64:ff9b::/96")


def parse_networks(text: str | None) -> tuple[Network, ...]:
    """Return the networks in a comma-separated setting, none for an empty one.

    Raises:
        ValueError: one of them is not an address range such as `10.0.0.0/8`.
    """
    parts = [part.strip() for part in (text or "").split(",")]
    return tuple(ip_network(part) for part in parts if part)


def forbidden_reason(address: Address, allowed_networks: Iterable[Network] = ()) -> str | None:
    """Return why an address must not be contacted, or None where it may be.

    Args:
        address: the address that would be dialled.
        allowed_networks: ranges exempt from the rules, e.g. of an object store in the cluster.

    Returns:
        A few words for a message ("a private address"), or None.
    """
    inner = _embedded(address)
    if inner is not None:
        return forbidden_reason(inner, allowed_networks)
    if any(address.version == net.version and address in net for net in allowed_networks):
        return None
    if address in _METADATA:
        return "a cloud metadata address"
    kind = _special_kind(address)
    return kind or (_special_v4 if isinstance(address, IPv4Address) else _special_v6)(address)


def parse_host(host: str) -> Address | None:
    """Return the address that a URL's host spells, in whatever notation.

    Args:
        host: the host, IPv6 with or without brackets.

    Returns:
        The address, or None where the host is a name.

    Raises:
        ValueError: the host is neither: its last label is a number, yet it is no address.
    """
    text = unicodedata.normalize("NFKC", host).replace("\u3002", ".").rstrip(".")
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    if ":" in text:
        return ip_address(text)
    labels = text.split(".")
    if not _is_number(labels[-1]):
        return None
    return _ipv4(labels, host)


def _embedded(address: Address) -> IPv4Address | None:
    """Return the IPv4 address a packet to this one would end at, where it only wraps one."""
    if isinstance(address, IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _TRANSLATED or (int(address) >> 32 == 0 and int(address) > 1):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def _special_kind(address: Address) -> str | None:
    kinds = (
        (address.is_unspecified, "the unspecified address"),
        (address.is_loopback, "a loopback address"),
        (address.is_link_local, "a link-local address"),
        (address.is_multicast, "a multicast address"),
    )
    return next((words for applies, words in kinds if applies), None)


def _special_v4(address: Address) -> str | None:
    if address in _SHARED:
        return "an address of a provider's shared range"
    if address.is_reserved or address in _RELAYS or int(address) >> 24 == 0:
        return "a reserved address"
    return None if address.is_global else "a private address"


def _special_v6(address: Address) -> str | None:
    if any(address in tunnel for tunnel in _TUNNELS):
        return "an address of an IPv6 tunnel"
    if address not in _GLOBAL_V6:
        return "a private address" if address.is_private else "a reserved address"
    if any(address in network for network in _NOT_ROUTED_V6):
        return "a reserved address"
    return None if address.is_global else "a private address"


def _is_number(label: str) -> bool:
    return label.isascii() and (label.isdigit() or label.lower().startswith("0x"))


def _ipv4(labels: list[str], host: str) -> IPv4Address:
    numbers = [_number(label) for label in labels]
    if None not in numbers:
        *heads, tail = (number or 0 for number in numbers)
        if len(heads) <= 3 and all(head <= 255 for head in heads):
            value = tail + sum(head << (24 - 8 * place) for place, head in enumerate(heads))
            if tail < 256 ** (4 - len(heads)):
                return IPv4Address(value)
    raise ValueError(f"{host!r} is neither a name nor an address")


def _number(label: str) -> int | None:
    """Return the number a label spells as `inet_aton` reads it, or None."""
    if re.fullmatch(r"0[xX][0-9a-fA-F]*", label):
        return int(label[2:] or "0", 16)
    if re.fullmatch(r"0[0-7]*", label):
        return int(label, 8)
    return int(label) if re.fullmatch(r"[1-9][0-9]*", label) and len(label) <= 10 else None
