"""Where webhooks may go: docs/contract.md, section 4; acceptance 19 and 20."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitjob.allowlist import DEFAULT_ALLOWLIST, Allowlist, NotAllowedError
from splitjob.urls import UrlError, parse

LIST = Allowlist.parse("https://ok.com/webhooks/demucs, https://bücher.example", local=False)
LOCAL = Allowlist.parse("http://127.0.0.1:9000/hooks,http://localhost:9000", local=True)


@pytest.mark.parametrize(
    "url",
    [
        "https://ok.com/webhooks/demucs",
        "https://ok.com/webhooks/demucs/",
        "https://ok.com/webhooks/demucs/a/b",
        "https://ok.com/webhooks/demucs?token=x",
        "HTTPS://OK.COM:443/webhooks/demucs",
        "https://ok.com:0443/webhooks/demucs",
        "https://ok.com./webhooks/demucs",
        "https://xn--bcher-kva.example/anything",
        "https://BÜCHER.example/",
        "https://bücher.example",
    ],
)
def test_urls_on_the_list_are_admitted(url: str) -> None:
    """Acceptance 19: upper case and the default port are the same place."""
    LIST.admit(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://ok.com.evil.com/webhooks/demucs",
        "https://ok.com@evil.com/webhooks/demucs",
        "https://evil.com@ok.com/webhooks/demucs",
        "https://ok.com:pw@evil.com/webhooks/demucs",
        "https://ok.com/webhooks/demucs-evil",
        "https://ok.com/webhooks",
        "https://ok.com/Webhooks/demucs",
        "https://ok.com/webhooks/demucs/../admin",
        "https://ok.com/webhooks/demucs/%2e%2e/admin",
        "https://ok.com/webhooks/demucs/.%2E/admin",
        "https://ok.com/webhooks/demucs/%252e%252e/admin",
        "https://ok.com/webhooks/demucs/..%2fadmin",
        "https://ok.com/webhooks/demucs/..%5cadmin",
        "https://ok.com/webhooks/demucs/..\\admin",
        "https://ok.com/webhooks/demucs/..;x/admin",
        "https://ok.com/webhooks/demucs%2f..%2fadmin",
        "https://ok.com/webhooks/./demucs",
        "https://ok.com/x/../webhooks/demucs",
        "https://ok.com\\@evil.com/webhooks/demucs",
        "https://ok.com:8443/webhooks/demucs",
        "https://ok.com:99999/webhooks/demucs",
        "https://ok.com/webhooks/demucs#fragment",
        "https://ok.com/webhooks/demucs\n",
        " https://ok.com/webhooks/demucs",
        "https://ok%2ecom/webhooks/demucs",
        "https:ok.com/webhooks/demucs",
        "//ok.com/webhooks/demucs",
        "https:///webhooks/demucs",
        "ftp://ok.com/webhooks/demucs",
        "http://ok.com/webhooks/demucs",
        "",
        "x" * 9000,
    ],
)
def test_urls_that_only_look_listed_are_refused(url: str) -> None:
    """Acceptance 19."""
    with pytest.raises(NotAllowedError):
        LIST.admit(url)


def test_http_only_to_this_machine_in_local_mode() -> None:
    """Acceptance 20."""
    LOCAL.admit("http://127.0.0.1:9000/hooks/1")
    LOCAL.admit("http://0x7f.1:9000/hooks")
    LOCAL.admit("http://localhost:9000/x")
    for url in ("http://127.0.0.1:9001/hooks", "http://127.0.0.2:9000/hooks"):
        with pytest.raises(NotAllowedError):
            LOCAL.admit(url)
    with pytest.raises(NotAllowedError, match="https"):
        Allowlist(LOCAL.entries, local=False).admit("http://127.0.0.1:9000/hooks")


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("http://ok.com/hooks", False),
        ("http://ok.com/hooks", True),
        ("http://10.0.0.1/hooks", True),
        ("http://127.0.0.1/hooks", False),
        ("https://ok.com/hooks?x=1", False),
        ("ok.com/hooks", False),
        ("https://u:p@ok.com/", False),
    ],
)
def test_bad_settings_stop_the_start(text: str, local: bool) -> None:
    with pytest.raises(ValueError, match="API_WEBHOOK_URL_ALLOWLIST"):
        Allowlist.parse(text, local=local)


def test_empty_list_allows_nothing() -> None:
    with pytest.raises(NotAllowedError):
        Allowlist.parse(" , ", local=False).admit("https://ok.com/")
    Allowlist.parse(DEFAULT_ALLOWLIST, local=False).admit(DEFAULT_ALLOWLIST + "/1")


def test_entry_with_a_slash_at_its_end_means_below_it() -> None:
    below = Allowlist.parse("https://ok.com/hooks/", local=False)
    below.admit("https://ok.com/hooks/a")
    with pytest.raises(NotAllowedError):
        below.admit("https://ok.com/hooks")


@given(st.text(max_size=60))
def test_nothing_hostile_passes(tail: str) -> None:
    """Whatever follows the host, only paths below the entry pass; else NotAllowedError."""
    url = f"https://ok.com{tail}"
    with contextlib.suppress(NotAllowedError):
        LIST.admit(url)
        normal = parse(url)
        assert normal.origin == ("https", "ok.com", 443)
        assert normal.path.startswith("/webhooks/demucs")


@given(st.text(max_size=60))
def test_messages_hold_no_query(secret: str) -> None:
    url = f"https://evil.com/x?SECRET{secret}"
    with pytest.raises(NotAllowedError) as refused:
        LIST.admit(url)
    assert "SECRET" not in refused.value.reason


def test_a_url_is_taken_apart_as_browsers_do() -> None:
    url = parse("https://[2001:DB8::1]/a%20b?x=1")
    assert (url.host, url.port, url.path, url.has_query) == ("2001:db8::1", 443, "/a%20b", True)
    assert parse("http://2130706433").host == "127.0.0.1"
    with pytest.raises(UrlError, match="neither"):
        parse("http://1.2.3.4.5/")
