"""Reads beside the watch: never back behind what a caller has been told, and in nobody's way."""

import asyncio
import threading
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from starlette.testclient import TestClient
from tests.support.api_samples import World, answers_made, splitjob
from tests.support.fake_cluster import (
    RESULT,
    Answer,
    FakeCluster,
    let_watch_begin,
    refused,
    request_body,
    submitted,
)

from splitjob_api import deps
from splitjob_api.routes import jobs


def cancel(api: TestClient, job_id: str) -> Answer:
    return api.delete(f"/jobs/{job_id}")


def read_newer(api: TestClient, job_id: str) -> Answer:
    """Read a job as one who has heard of it on a replica that is further on."""
    return api.get(f"/jobs/{job_id}", headers={"If-None-Match": 'W/"1000"'})


@pytest.mark.parametrize(
    ("method", "path", "shown"),
    [
        ("DELETE", "", "cancelRequested"),
        ("DELETE", "/data", "eraseRequested"),
        ("POST", "/redeliver", None),
    ],
)
def test_a_read_after_a_change_shows_it_also_where_the_watch_has_not(
    api: TestClient, cluster: FakeCluster, method: str, path: str, shown: str | None
) -> None:
    job_id = submitted(api)
    if path:
        cluster.finish(job_id, "Completed", result=RESULT)
    let_watch_begin(api, cluster)
    assert api.request(method, f"/jobs/{job_id}{path}").status_code == 202
    answer = api.get(f"/jobs/{job_id}")
    assert answer.headers["etag"] == f'W/"{cluster.version}"'
    assert shown is None or answer.json()[shown] is True


@pytest.mark.parametrize("path", ["/stems/vocals", "/waveforms/vocals", "/manifest", "/resource"])
def test_a_read_after_one_of_what_lies_beside_a_job_is_not_from_before_it(
    api: TestClient, cluster: FakeCluster, path: str
) -> None:
    """Those are answered by the API server, which is ahead of the watch.

    501: what is in the bucket is not to be had here, which is found out after it.
    """
    job_id = submitted(api)
    let_watch_begin(api, cluster)
    cluster.finish(job_id, "Completed", result=RESULT)
    assert api.get(f"/jobs/{job_id}{path}").status_code in {200, 501}
    assert api.get(f"/jobs/{job_id}").json()["state"] == "completed"


def test_the_list_is_told_once_the_watch_has_come_to_what_was_changed_here(
    api: TestClient, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deps, "CURRENT_TRIES", 2)
    job_id = submitted(api)
    let_watch_begin(api, cluster)
    assert api.delete(f"/jobs/{job_id}").status_code == 202
    refused(api.get("/jobs"), 503, "cluster_unavailable")
    let_watch_begin(api, cluster)
    (job,) = api.get("/jobs").json()["jobs"]
    assert (job["jobId"], job["cancelRequested"]) == (job_id, True)


@pytest.mark.parametrize("ask", [cancel, read_newer], ids=lambda ask: ask.__name__)
def test_a_job_that_is_gone_does_not_come_back_until_it_is_made_anew(
    api: TestClient, cluster: FakeCluster, ask: Callable[[TestClient, str], Answer]
) -> None:
    """Although the watch still shows it."""
    job_id = submitted(api)
    let_watch_begin(api, cluster)
    jobs = api.app.state.services.jobs  # type: ignore[attr-defined]
    assert [one["jobId"] for one in api.get("/jobs").json()["jobs"]] == [job_id]
    gone = cluster.splitjobs.pop(job_id)
    refused(ask(api, job_id), 404, "job_not_found")
    refused(api.get(f"/jobs/{job_id}"), 404, "job_not_found")
    assert api.get("/jobs").json()["jobs"] == []
    gone["metadata"]["resourceVersion"] = str(cluster.version + 1)
    jobs.apply("DELETED", gone)
    cluster.version += 1
    assert submitted(api) == job_id
    assert api.get(f"/jobs/{job_id}").status_code == 200
    jobs.apply("ADDED", cluster.splitjobs[job_id])
    assert [one["jobId"] for one in api.get("/jobs").json()["jobs"]] == [job_id]


def test_a_repeated_request_and_the_read_after_it_tell_of_the_same_job(
    api: TestClient, cluster: FakeCluster
) -> None:
    job_id = submitted(api)
    let_watch_begin(api, cluster)
    cluster.set_status(job_id, progress={"stage": "separate", "percent": 5})
    api.post("/split", json=request_body())
    assert api.get(f"/jobs/{job_id}").headers["etag"] == f'W/"{cluster.version}"'


def test_a_caller_who_was_at_a_quicker_replica_is_not_told_what_was_before(
    api: TestClient, cluster: FakeCluster
) -> None:
    job_id = submitted(api)
    let_watch_begin(api, cluster)
    held = f'W/"{cluster.version}"'
    cluster.set_status(job_id, progress={"stage": "separate", "percent": 5})
    later = f'W/"{cluster.version}"'
    assert api.get(f"/jobs/{job_id}", headers={"If-None-Match": held}).status_code == 304
    assert api.get(f"/jobs/{job_id}").headers["etag"] == held
    answer = api.get(f"/jobs/{job_id}", headers={"If-None-Match": later})
    assert (answer.status_code, answer.headers["etag"]) == (304, later)
    assert api.get(f"/jobs/{job_id}").headers["etag"] == later, "nor without it from now on"


def test_the_answers_of_a_page_are_made_once_and_outside_the_event_loop() -> None:
    """Those of a whole page take most of a second, in which nobody else would be served."""
    world = World()
    world.list(5, *(splitjob(name, 3) for name in "abc"))
    app = FastAPI()
    app.state.services = SimpleNamespace(jobs=world.jobs)
    app.include_router(jobs.router)

    async def read_twice() -> int:
        async with AsyncClient(transport=ASGITransport(app), base_url="http://api") as client:
            for _ in range(2):
                assert len((await client.get("/jobs")).json()["jobs"]) == 3
        return threading.get_ident()

    with answers_made() as makers:
        assert asyncio.run(read_twice()) not in makers
    assert len(makers) == 3
