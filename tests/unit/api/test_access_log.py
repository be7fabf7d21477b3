"""What is logged and counted of a request."""

import json
import logging
from typing import Any

import pytest
from prometheus_client import generate_latest
from starlette.concurrency import run_in_threadpool
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send
from tests.support.api_samples import World

from splitjob.jsonlog import RedactingFormatter
from splitjob_api.caller import Caller, remember_caller
from splitjob_api.metrics import Metrics
from splitjob_api.middleware.access_log import AccessLogMiddleware
from splitjob_api.queue_stats import QueueStats
from splitjob_api.request_log import note, note_splitjob
from splitjob_api.streams import Streams

LOGGER = "splitjob_api.middleware.access_log"


async def defect(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("a defect")


def new_metrics() -> Metrics:
    return Metrics(QueueStats(), Streams(World().jobs, 1))


def lines_of(app: ASGIApp, path: str, caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """Return the lines that a request leaves in the log, as they are written."""
    client = TestClient(AccessLogMiddleware(app, new_metrics()))
    with caplog.at_level(logging.INFO):
        client.get(path, headers={"X-Request-Id": "id-1"})
    formatter = RedactingFormatter("api")
    return [
        json.loads(formatter.format(record))
        for record in caplog.records
        if record.name.startswith("splitjob_api")
    ]


def test_a_defect_counts_as_the_500_that_it_becomes(caplog: pytest.LogCaptureFixture) -> None:
    metrics = new_metrics()
    client = TestClient(AccessLogMiddleware(defect, metrics))
    with caplog.at_level(logging.INFO), pytest.raises(RuntimeError):
        client.get("/jobs/x")
    (line,) = [one for one in caplog.records if one.name == LOGGER]
    assert vars(line)["status"] == 500
    assert 'status="500"' in generate_latest(metrics.registry).decode()


def test_the_first_request_that_fails_is_a_rise() -> None:
    """Prometheus takes the first value of a series that was not there for no rise."""
    told = generate_latest(new_metrics().registry).decode()
    for status in ("500", "503"):
        assert f'requests_total{{method="POST",route="/split",status="{status}"}} 0.0' in told


def test_a_request_leaves_one_line_that_says_who_and_which_job(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Also where a thread came to know the job, as routes that ask the cluster do."""
    request = {"versionId": "song-1", "correlationId": "c-1"}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        remember_caller(scope, Caller("token", "token-2"))
        note(version_id="song-1")
        await run_in_threadpool(
            note_splitjob, {"metadata": {"name": "split-a"}, "spec": {"request": request}}
        )
        await send({"type": "http.response.start", "status": 202, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    (line,) = lines_of(app, "/jobs/split-a?X-Amz-Signature=very-secret", caplog)
    milliseconds = line.pop("milliseconds")
    assert milliseconds >= 0
    assert {name: line[name] for name in line if name not in {"time", "logger", "level"}} == {
        "message": "request answered",
        "component": "api",
        "method": "GET",
        "path": "/jobs/split-a",
        "status": 202,
        "who": "token-2",
        "jobId": "split-a",
        "versionId": "song-1",
        "correlationId": "c-1",
    }


def test_a_request_that_nobody_is_let_in_with_names_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 401, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    (line,) = lines_of(app, "/jobs/split-a", caplog)
    assert line["status"] == 401
    assert not {"who", "jobId"} & line.keys()


def test_what_one_request_notes_is_not_on_the_next_ones_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    noted = iter(["split-a", None])

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        note(job_id=next(noted))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    client = TestClient(AccessLogMiddleware(app, new_metrics()))
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            client.get("/jobs")
    lines = [vars(record) for record in caplog.records if record.name == LOGGER]
    assert [line.get("jobId") for line in lines] == ["split-a", None]
