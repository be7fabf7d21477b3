"""What is logged and counted of a request."""

import logging

import pytest
from prometheus_client import generate_latest
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send
from tests.support.api_samples import World

from splitjob_api.metrics import Metrics
from splitjob_api.middleware.access_log import AccessLogMiddleware
from splitjob_api.queue_stats import QueueStats
from splitjob_api.streams import Streams


async def defect(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("a defect")


def test_a_defect_counts_as_the_500_that_it_becomes(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics(QueueStats(), Streams(World().jobs, 1))
    client = TestClient(AccessLogMiddleware(defect, metrics))
    with caplog.at_level(logging.INFO), pytest.raises(RuntimeError):
        client.get("/jobs/x")
    (line,) = [one for one in caplog.records if one.name == "splitjob_api.middleware.access_log"]
    assert vars(line)["status"] == 500
    assert 'status="500"' in generate_latest(metrics.registry).decode()
