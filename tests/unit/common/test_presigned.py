"""Expiry times of presigned URLs."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitjob.presigned import expiry

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "query",
    [
        "X-Amz-Date=20260102T110000Z&X-Amz-Expires=3600&X-Amz-Signature=x",
        "x-amz-expires=3600&x-amz-date=20260102T110000Z",
        "X-Goog-Date=20260102T110000Z&X-Goog-Expires=3600",
        f"AWSAccessKeyId=A&Signature=s&Expires={int(NOON.timestamp())}",
        "sv=2024&sig=abc&se=2026-01-02T12%3A00%3A00Z",
        "x-oss-date=20260102T110000Z&x-oss-expires=3600&x-oss-signature=x",
        "X-Tos-Date=20260102T110000Z&X-Tos-Expires=3600&X-Tos-Signature=x",
        f"q-sign-time=1767348000;{int(NOON.timestamp())}&q-signature=x",
    ],
)
def test_24_the_end_is_read_from_the_url(query: str) -> None:
    """Acceptance 24."""
    assert expiry(f"https://bucket.example.com/a.wav?{query}") == NOON


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/a.wav",
        "https://example.com/a.wav?Expires=1",
        "https://example.com/?X-Amz-Date=20260102T110000Z&X-Amz-Expires=soon",
        "https://example.com/?X-Amz-Date=yesterday&X-Amz-Expires=60",
        "https://example.com/?Signature=s&Expires=99999999999999999999999",
        "https://example.com/?X-Amz-Date=20260102T110000Z&X-Amz-Expires=" + "9" * 5000,
        "https://[::1/?sig=a&se=b",
        "https://example.com/?" + "&".join(["a=1"] * 500),
    ],
)
def test_what_says_nothing_plain_has_no_end(url: str) -> None:
    assert expiry(url) is None


def test_an_end_of_another_time_zone_is_given_in_utc() -> None:
    url = "https://example.com/?sig=1&se=2026-01-02T14:00:00%2B02:00"
    end = expiry(url)
    assert end == NOON
    assert end.tzinfo is UTC


@pytest.mark.parametrize("end", ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00%2B23:59"])
def test_an_end_outside_the_calendar_is_none(end: str) -> None:
    """It has a time zone in which it is a date, and none in UTC."""
    assert expiry(f"https://example.com/?sig=1&se={end}") is None


@given(st.text())
def test_any_text_is_survived(text: str) -> None:
    expiry("https://example.com/?" + text)
    expiry(f"https://example.com/?X-Amz-Date=20260102T110000Z&X-Amz-Expires={text}")
    expiry(f"https://example.com/?sig=1&se={text}")
