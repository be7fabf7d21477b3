"""URLs of callers: what is refused because it costs too much to read."""

import pytest

from splitjob.urls import MAX_LAYERS, MAX_URL_LENGTH, UrlError, parse


def encoded(text: str, layers: int) -> str:
    """Return a text percent-encoded so many times over."""
    return (
        text.replace("%", "%25") if layers == 1 else encoded(text, layers - 1).replace("%", "%25")
    )


def test_a_path_that_is_encoded_over_and_over_is_refused_and_not_read_to_its_end() -> None:
    start = "https://audio.example.com/%"
    url = start + "25" * ((MAX_URL_LENGTH - len(start)) // 2)
    with pytest.raises(UrlError, match="percent-encoded more than 4 times over"):
        parse(url)


def test_a_name_that_was_encoded_a_few_times_is_taken() -> None:
    path = encoded("%20song", MAX_LAYERS - 2)
    assert parse(f"https://audio.example.com/a{path}").path == f"/a{path}"


@pytest.mark.parametrize("layers", range(1, MAX_LAYERS + 2))
def test_what_climbs_is_refused_however_often_it_is_encoded(layers: int) -> None:
    with pytest.raises(UrlError):
        parse(f"https://audio.example.com/a/{encoded('%2e%2e', layers)}/b")


@pytest.mark.parametrize("place", ["host\udc80", "host/\udc80", "host/song?\udc80"])
def test_what_is_not_unicode_is_refused_also_in_the_query_which_is_not_read(place: str) -> None:
    with pytest.raises(UrlError, match="not a valid URL"):
        parse(f"https://{place}")
