"""What the installation takes on, as it is set."""

from starlette.testclient import TestClient
from tests.support.fake_cluster import FakeCluster, served


def capacity(api: TestClient) -> object:
    answer = api.get("/queue/capacity")
    assert answer.status_code == 200
    return answer.json()


def test_limits_are_said_and_none_is_null(cluster: FakeCluster) -> None:
    without = served(cluster)
    assert capacity(without) == {"max_active_jobs": None, "max_queued_jobs": None, "paused": False}
    limited = served(cluster, max_active_jobs=4, max_queued_jobs=100, paused=True)
    assert capacity(limited) == {"max_active_jobs": 4, "max_queued_jobs": 100, "paused": True}
