"""Both clients, and a service that answers what a test says."""

from collections.abc import Iterator

import pytest
from tests.support.client_caller import Caller
from tests.support.fake_service import FakeService, fake_service

from splitjob_client import AsyncClient, Client


@pytest.fixture(params=[Client, AsyncClient], ids=["sync", "async"])
def caller(request: pytest.FixtureRequest) -> Caller:
    return Caller(request.param)


@pytest.fixture
def service() -> Iterator[FakeService]:
    with fake_service() as running:
        yield running
