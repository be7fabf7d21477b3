"""Which URLs a request may name: of what form, and at which addresses."""

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.support.split_requests import POLICY, check_round_trip, found, refused_fields, request

from splitjob.addresses import parse_networks
from splitjob.urls import UrlError, parse


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://example.com/a.wav",
        "data:audio/wav;base64,AAAA",
        "https://user:word@example.com/a.wav",
        "https://example.com/a.wav#fragment",
        "https:///a.wav",
        "https://example.com:99999/",
        "https://exa mple.com/",
        "//example.com/a.wav",
        "",
        "https://[::1/",
        "https://example.com/" + "a" * 9000,
    ],
)
def test_21_sources_are_web_urls(url: str) -> None:
    """Acceptance 21."""
    assert refused_fields(audioUrl=url) == {"audioUrl"}


@pytest.mark.parametrize("path", ["a" * 2048, "é" * 600], ids=["long", "long when encoded"])
@pytest.mark.parametrize("query", ["", "?X-Amz-Signature=secret"])
@pytest.mark.parametrize("field", ["audioUrl", "webhook", "uploads.manifest"])
def test_urls_that_the_resource_cannot_hold_are_refused(field: str, query: str, path: str) -> None:
    url = f"https://hooks.example.com/demucs/{path}{query}"
    name, _, key = field.partition(".")
    with pytest.raises(ValidationError) as refused:
        request(**{name: {key: url} if key else url})
    [error] = refused.value.errors()
    assert ".".join(map(str, error["loc"])) == field
    assert "without its query it is longer than 2048 characters" in error["msg"]


def test_the_longest_url_is_taken() -> None:
    longest = "https://audio.example.com/".ljust(2048, "a")
    assert found(audioUrl=longest + "?" + "q" * 4000) == {}


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "10.1.2.3",
        "169.254.169.254",
        "[::1]",
        "[::ffff:169.254.169.254]",
        "0.0.0.0",
        "[fd00:ec2::254]",
        "168.63.129.16",
    ],
)
def test_22_forbidden_addresses_are_refused_in_any_notation(host: str) -> None:
    """Acceptance 22: what can be seen without asking a name server is said at once."""
    url = f"https://{host}/song.wav?q"
    try:
        parse(url)
    except UrlError:
        assert refused_fields(audioUrl=url) == {"audioUrl"}
    else:
        assert "source" in found(audioUrl=url)


def test_an_exempt_network_may_be_used() -> None:
    policy = replace(POLICY, networks=parse_networks("10.1.0.0/16"))
    assert found(policy, audioUrl="https://10.1.2.3/song.wav") == {}


def test_http_sources_are_for_local_use() -> None:
    assert "source" in found(audioUrl="http://audio.example.com/song.wav")
    local = replace(POLICY, local=True)
    assert found(local, audioUrl="http://audio.example.com/song.wav") == {}


def test_no_message_holds_a_query() -> None:
    draft = request(
        audioUrl="https://10.0.0.1/a?token=hush", webhook="https://evil.example.com/?token=hush"
    ).to_resource_draft()
    for one in POLICY.problems(draft.request, draft.urls, draft.headers):
        assert "hush" not in one.message


@given(st.sampled_from(["https://audio.example.com/", "https://", "HTTP://[::1]"]), st.text())
@example("https://audio.example.com/", "\U0001f3b5" * 200)
def test_any_url_is_taken_or_refused(beginning: str, rest: str) -> None:
    try:
        accepted = request(audioUrl=beginning + rest)
    except ValidationError:
        return
    check_round_trip(accepted)
