"""Two replicas of the API, shared by the tests of this folder."""

from collections.abc import Iterator

import pytest
from tests.support.api_harness import BEARER, BEHIND_A_GATEWAY, NAMESPACE, TOKEN, Api, started
from tests.support.leftovers import assert_none_is_left

from splitjob_local.cluster.local_cluster import LocalCluster


@pytest.fixture(scope="session")
def kube(crd: LocalCluster) -> LocalCluster:
    crd.cluster.create_namespace(NAMESPACE, pod_security="restricted")
    return crd


@pytest.fixture(scope="session")
def replicas(
    kube: LocalCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Api, Api]]:
    """Two replicas, the second as behind a gateway; nothing that they leave may hold a secret."""
    logs = tmp_path_factory.mktemp("logs")
    first, second = logs / "first", logs / "second"
    with started(kube, first) as one, started(kube, second, **BEHIND_A_GATEWAY) as two:
        yield one, two
    logged = [log.read_text() for log in (first, second)]
    assert_none_is_left(kube.cluster, NAMESPACE, logged, (TOKEN, "very-secret", BEARER))
    assert not any("Traceback" in text for text in logged)


@pytest.fixture
def api(replicas: tuple[Api, Api]) -> Api:
    return replicas[0]
