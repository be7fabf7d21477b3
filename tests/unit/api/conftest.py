"""The API's routes over a cluster in memory, for the tests of this folder."""

import pytest
from starlette.testclient import TestClient
from tests.support.fake_cluster import FakeCluster, served


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
def api(cluster: FakeCluster) -> TestClient:
    return served(cluster)
