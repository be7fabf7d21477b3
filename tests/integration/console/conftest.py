"""The console in a real browser, on an API in memory that has what each test needs."""

from collections.abc import Iterator

import pytest
from tests.support.browser import Tab, browser
from tests.support.fake_api import FakeApi, serving
from tests.support.web import Web, web_server


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browser(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.fixture(scope="session")
def bucket() -> Iterator[Web]:
    """Another origin, as a bucket is."""
    with web_server() as web:
        yield web


@pytest.fixture
def api(bucket: Web) -> Iterator[FakeApi]:
    with serving(FakeApi(), media_origins=[bucket.url]) as api:
        yield api


@pytest.fixture
def tab(chromium: Tab) -> Iterator[Tab]:
    """The browser's page; it must end without an error, the policy's refusals included."""
    chromium.troubles.clear()
    chromium.resize(1200, 900)
    yield chromium
    assert chromium.troubles == []
