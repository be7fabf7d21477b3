"""Which proxy leads to a host, as HTTP_PROXY, HTTPS_PROXY and NO_PROXY say."""

import base64
from ipaddress import ip_address

import pytest

from splitjob.egress import EgressProxies, Proxy, private_name

PROXY = "http://proxy.example.com:3128"


def proxied(exempt: str, host: str, port: int = 443) -> bool:
    proxies = EgressProxies.from_environment({"HTTPS_PROXY": PROXY, "NO_PROXY": exempt})
    return proxies.leading_to("https", host, port) is not None


@pytest.mark.parametrize(
    ("exempt", "host", "port"),
    [
        ("example.com", "example.com", 443),
        ("example.com", "a.b.example.com", 443),
        (".example.com", "a.example.com", 443),
        (".example.com", "example.com", 443),
        ("*.example.com", "a.example.com", 443),
        ("Example.COM", "EXAMPLE.com.", 443),
        (" other.example , example.com ", "example.com", 443),
        ("example.com:8443", "a.example.com", 8443),
        ("10.0.0.0/8", "10.1.2.3", 443),
        ("10.1.2.3", "10.1.2.3", 443),
        ("10.1.2.3:8443", "10.1.2.3", 8443),
        ("fd00::/8", "[fd00::1]", 443),
        ("fd00::1", "fd00::1", 443),
        ("[fd00::1]", "[fd00::1]", 443),
        ("[fd00::1]:8443", "[fd00::1]", 8443),
        ("*", "example.com", 443),
        ("*", "8.8.8.8", 443),
        ("", "localhost", 443),
        ("", "127.0.0.1", 443),
        ("", "[::1]", 443),
        ("", "0x7f.1", 443),
    ],
)
def test_reached_without_a_proxy(exempt: str, host: str, port: int) -> None:
    assert not proxied(exempt, host, port)


@pytest.mark.parametrize(
    ("exempt", "host", "port"),
    [
        ("", "example.com", 443),
        ("example.com", "notexample.com", 443),
        ("example.com", "example.com.evil.net", 443),
        ("example.com:8443", "example.com", 443),
        ("10.0.0.0/8", "11.1.2.3", 443),
        ("10.1.2.3:8443", "10.1.2.3", 443),
        ("[fd00::1]:8443", "[fd00::1]", 443),
        ("0.1", "10.0.0.1", 443),
        ("::/0", "8.8.8.8", 443),
        (",.,", "example.com", 443),
    ],
)
def test_reached_through_the_proxy(exempt: str, host: str, port: int) -> None:
    assert proxied(exempt, host, port)


def test_each_scheme_has_its_own_proxy() -> None:
    proxies = EgressProxies.from_environment({"http_proxy": "plain:81", "HTTPS_PROXY": PROXY})
    assert proxies.leading_to("https", "a.example", 443) == Proxy("http", "proxy.example.com", 3128)
    assert proxies.leading_to("http", "a.example", 80) == Proxy("http", "plain", 81)
    only_plain = EgressProxies.from_environment({"HTTP_PROXY": PROXY})
    assert only_plain.leading_to("https", "a.example", 443) is None


def test_a_network_exempts_whatever_name_its_addresses_have() -> None:
    proxies = EgressProxies.from_environment({"HTTPS_PROXY": PROXY, "NO_PROXY": "10.0.0.0/8,a.b"})
    assert proxies.exempts(ip_address("10.1.2.3"), 443)
    assert not proxies.exempts(ip_address("8.8.8.8"), 443)


def test_credentials_are_decoded_and_never_shown() -> None:
    proxy = Proxy.parse("https://me:p%40ss%3Aword@proxy.example.com")
    assert (proxy.scheme, proxy.host, proxy.port) == ("https", "proxy.example.com", 443)
    said = base64.b64decode(proxy.authorization.removeprefix("Basic ")).decode()
    assert said == "me:p@ss:word"
    assert proxy.authorization not in repr(proxy)
    assert Proxy.parse("http://[fd00::1]:3128/").host == "fd00::1"


@pytest.mark.parametrize(
    "text",
    [
        "socks5://secret@proxy.example.com:1080",
        "http://secret@:3128",
        "http://secret@proxy:99999",
        "http://secret@proxy:3128/path",
        "http://secret@proxy?x",
        "http://secret@pro xy:3128",
        "http://secret@10.0.0.300:3128",
        "http://secret@[oops:3128",
    ],
)
def test_what_is_no_proxy_is_refused_by_its_variable_without_being_quoted(text: str) -> None:
    with pytest.raises(ValueError, match=r"^HTTPS_PROXY must be a proxy's URL") as refused:
        EgressProxies.from_environment({"HTTPS_PROXY": text})
    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_flag_that_is_neither_true_nor_false_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^PROXY_RESOLVES_NAMES must be true or false"):
        EgressProxies.from_environment({"PROXY_RESOLVES_NAMES": "perhaps"})
    assert EgressProxies.from_environment({"PROXY_RESOLVES_NAMES": "True"}).resolve_names


@pytest.mark.parametrize(
    "host",
    ["intranet", "a.localhost", "printer.local", "metadata.google.internal", "x.svc", "X.LOCAL."],
)
def test_private_names(host: str) -> None:
    assert private_name(host)
    assert not private_name(f"{host.rstrip('.')}.example.com")


def test_a_proxy_is_asked_for_a_host_by_its_authority_and_with_its_own_credentials() -> None:
    plain, secret = Proxy("http", "p", 80), Proxy("http", "p", 80, "Basic x")
    assert plain.connect_request("a.example", 443) == (
        "a.example:443",
        {"Host": "a.example:443"},
    )
    assert secret.connect_request("fd00::1", 443) == (
        "[fd00::1]:443",
        {"Host": "[fd00::1]:443", "Proxy-Authorization": "Basic x"},
    )
