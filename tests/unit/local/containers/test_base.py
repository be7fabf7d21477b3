"""The base image's packages."""

import pytest

from splitjob_local.containers.base import debian_mirror


@pytest.mark.parametrize(
    ("sources", "mirror"),
    [
        ("Types: deb\nURIs: http://mirror.example/debian\nSuites: trixie", "http://mirror.example/debian"),
        ("# old\ndeb [signed-by=/x] http://other.example/debian trixie main", "http://other.example/debian"),
        ("deb http://third.example/debian trixie main", "http://third.example/debian"),
        ("", None),
    ],
)  # fmt: skip
def test_debian_comes_from_where_apt_gets_it(sources: str, mirror: str | None) -> None:
    assert debian_mirror(sources) == mirror
