"""The way to what callers name: which addresses, and through which proxy.

Proxies are those of HTTP_PROXY, HTTPS_PROXY and NO_PROXY. Exemptions are read as most programs read
them: a name counts with all below it (`example.com`, `.example.com` and `*.example.com` are the
same), an address or a network (CIDR) as what it is, each of them on one port alone where `:port`
follows; `*` is everything. What is written as an address of this machine (`localhost`, 127.0.0.1,
::1) is never reached through a proxy.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import NamedTuple, Self
from urllib.parse import unquote, urlsplit

from splitjob.addresses import Address, Network, parse_host

__all__ = ["DIRECT", "Egress", "EgressProxies", "Proxy", "private_name"]

HTTP_PROXY = "HTTP_PROXY"
HTTPS_PROXY = "HTTPS_PROXY"
NO_PROXY = "NO_PROXY"
PROXY_RESOLVES_NAMES = "PROXY_RESOLVES_NAMES"

_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[A-Za-z0-9._:-]{1,253}")
_ANYTHING = "*"
_WITH_PORT = re.compile(r"([^:]+):([0-9]{1,5})")
_IN_BRACKETS = re.compile(r"\[([^]]*)\](?::([0-9]{1,5}))?")
# Domains of which no name is public: RFC 6761, RFC 6762, RFC 8375, ICANN's .internal, Kubernetes'.
_PRIVATE_DOMAINS = ("localhost", "local", "home.arpa", "internal", "svc")
_FLAGS = {"": False, "0": False, "false": False, "1": True, "true": True}


@dataclass(frozen=True)
class Proxy:
    """A proxy that takes CONNECT.

    Attributes:
        scheme: `https` where the proxy itself is reached by TLS.
        host: name or address.
        port: its port.
        authorization: the value of Proxy-Authorization: a secret; blank: none.
    """

    scheme: str
    host: str
    port: int
    authorization: str = field(default="", repr=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the proxy of a URL such as `http://user:password@proxy.example.com:3128`.

        User name and password are percent-encoded there; without a scheme it is http.

        Raises:
            ValueError: it is no such URL; nothing of it is quoted, since it may hold a password.
        """
        wrong = ValueError("must be a proxy's URL, such as http://proxy.example.com:3128")
        try:
            parts = urlsplit(text if "://" in text else f"http://{text}")
            usual = _PORTS[parts.scheme]
            port = parts.port or usual
            parse_host(parts.hostname or "")
        except (ValueError, KeyError):
            raise wrong from None
        if not _HOST.fullmatch(parts.hostname or "") or parts.path.strip("/") or parts.query:
            raise wrong
        userinfo = parts.netloc.rpartition("@")[0]
        return cls(parts.scheme, parts.hostname or "", port, _basic(userinfo) if userinfo else "")

    def connect_request(self, host: str, port: int) -> tuple[str, dict[str, str]]:
        """Return the target and the headers of the CONNECT that asks for a host's port.

        Args:
            host: a name or an address, IPv6 without brackets.
            port: of the host.
        """
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        credentials = {"Proxy-Authorization": self.authorization} if self.authorization else {}
        return authority, {"Host": authority, **credentials}


@dataclass(frozen=True)
class _Exemption:
    """One entry of NO_PROXY: a domain or a network, on one port alone where that is not 0."""

    domain: str = ""
    network: Network | None = None
    port: int = 0

    @classmethod
    def parse(cls, entry: str) -> Self:
        with_port = _IN_BRACKETS.fullmatch(entry) or _WITH_PORT.fullmatch(entry)
        host, port = with_port.groups() if with_port else (entry, None)
        try:
            return cls(network=ip_network(host, strict=False), port=int(port or 0))
        except ValueError:
            domain = host if host == _ANYTHING else host.removeprefix(_ANYTHING).strip(".").lower()
            return cls(domain=domain, port=int(port or 0))

    def covers_name(self, host: str, port: int) -> bool:
        if self.network is not None or self.port not in {0, port}:
            return False
        return self.domain == _ANYTHING or f".{host}".endswith(f".{self.domain}")

    def covers_address(self, address: Address, port: int) -> bool:
        if self.port not in {0, port}:
            return False
        if self.network is None:
            return self.domain == _ANYTHING
        return address.version == self.network.version and address in self.network


@dataclass(frozen=True)
class EgressProxies:
    """The proxies of an installation.

    Attributes:
        http: for http:// URLs; None: they are reached directly.
        https: for https:// URLs, likewise.
        resolve_names: whether a proxy is asked for names, which then are resolved there and out of
            reach of the check of addresses; else for addresses that were checked.
    """

    http: Proxy | None = None
    https: Proxy | None = None
    exempt: tuple[_Exemption, ...] = ()
    resolve_names: bool = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the variables, each in upper or lower case.

        Raises:
            ValueError: one of them cannot be used; the message begins with its name.
        """

        def value(name: str) -> str:
            return (environment.get(name) or environment.get(name.lower()) or "").strip()

        entries = (entry.strip() for entry in value(NO_PROXY).split(","))
        flag = value(PROXY_RESOLVES_NAMES).lower()
        if flag not in _FLAGS:
            raise ValueError(f"{PROXY_RESOLVES_NAMES} must be true or false")
        return cls(
            http=_proxy(HTTP_PROXY, value(HTTP_PROXY)),
            https=_proxy(HTTPS_PROXY, value(HTTPS_PROXY)),
            exempt=tuple(_Exemption.parse(entry) for entry in entries if entry),
            resolve_names=_FLAGS[flag],
        )

    def leading_to(self, scheme: str, host: str, port: int) -> Proxy | None:
        """Return the proxy for a host as a URL names it; None: it is reached directly.

        Args:
            scheme: of the URL.
            host: a name or an address, IPv6 with or without brackets.
            port: of the URL.
        """
        proxy = self.https if scheme == "https" else self.http
        name = host.lower().rstrip(".")
        if proxy is None or name == "localhost":
            return None
        address = _address(name)
        if address is not None:
            return None if address.is_loopback or self.exempts(address, port) else proxy
        return None if any(entry.covers_name(name, port) for entry in self.exempt) else proxy

    def exempts(self, address: Address, port: int) -> bool:
        """Return whether an address is reached directly, whatever name it has."""
        return any(entry.covers_address(address, port) for entry in self.exempt)


class Egress(NamedTuple):
    """How an installation reaches what its callers name.

    Attributes:
        networks: address ranges exempt from the rules of `splitjob.addresses`.
        proxies: what leads outside.
    """

    networks: tuple[Network, ...] = ()
    proxies: EgressProxies = EgressProxies()


DIRECT = Egress()


def private_name(host: str) -> bool:
    """Return whether a name is one that only has a meaning inside of a network."""
    labels = host.lower().rstrip(".")
    return "." not in labels or labels.endswith(tuple(f".{one}" for one in _PRIVATE_DOMAINS))


def _proxy(variable: str, text: str) -> Proxy | None:
    try:
        return Proxy.parse(text) if text else None
    except ValueError as error:
        raise ValueError(f"{variable} {error}") from None


def _basic(userinfo: str) -> str:
    user, _, password = userinfo.partition(":")
    pair = f"{unquote(user)}:{unquote(password)}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def _address(host: str) -> Address | None:
    try:
        return parse_host(host)
    except ValueError:
        return None
