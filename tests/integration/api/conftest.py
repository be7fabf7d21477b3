"""Two replicas of the API, shared by the tests of this folder."""

from collections.abc import Iterator

import pytest
from tests.support.api_harness import NAMESPACE, TOKEN, Api, started

from splitjob_local.cluster.local_cluster import LocalCluster


@pytest.fixture(scope="session")
def kube(crd: LocalCluster) -> Iterator[LocalCluster]:
    crd.cluster.create_namespace(NAMESPACE, pod_security="restricted")
    yield crd
    crd.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


@pytest.fixture(scope="session")
def replicas(
    kube: LocalCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Api, Api]]:
    """Two replicas; what they logged must hold no secret."""
    logs = tmp_path_factory.mktemp("logs")
    first, second = logs / "first", logs / "second"
    with started(kube, first) as one, started(kube, second) as two:
        yield one, two
    for log in (first, second):
        text = log.read_text()
        assert "very-secret" not in text
        assert TOKEN not in text
        assert "Traceback" not in text


@pytest.fixture
def api(replicas: tuple[Api, Api]) -> Api:
    return replicas[0]
