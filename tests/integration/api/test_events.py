"""Streams of events, on a real API server and from two replicas."""

import signal
import threading
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
from tests.support import plain_http
from tests.support.api_harness import Api, Event, body, finish, started, write_status
from tests.support.waiting import eventually, patience

from splitjob_local.cluster.local_cluster import LocalCluster

RUNNING = {
    "type": "Started",
    "status": "True",
    "reason": "Running",
    "message": "",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}


def progress(kube: LocalCluster, job_id: str, percent: int, **more: Any) -> None:
    where = {"stage": "separate", "percent": percent}
    write_status(kube, job_id, conditions=[RUNNING], progress=where, **more)


def test_a_jobs_stream_follows_it_to_its_end_and_is_resumed_on_another_replica(
    kube: LocalCluster, replicas: tuple[Api, Api]
) -> None:
    first, second = replicas
    job_id = first.post(body("followed")).json()["jobId"]
    path = f"/jobs/{job_id}/events"
    with second.events(path) as events:
        begin = next(events)
        assert (begin.name, begin.data["state"], begin.data["jobId"]) == ("job", "queued", job_id)
        progress(kube, job_id, 40)
        now = next(events)
        assert (now.data["state"], now.data["progress"]["percent"]) == ("running", 40)
        assert second.get(f"/jobs/{job_id}").json()["progress"] == now.data["progress"]
    progress(kube, job_id, 60)
    with first.events(path, last=now.id) as events:
        assert next(events).data["progress"]["percent"] == 60
        finish(kube, job_id, "True", "Completed")
        end = next(events)
        assert end.data["state"] == "completed"
        assert list(events) == []
    again = second.get(path, **{"Last-Event-ID": end.id})
    assert (again.status_code, again.content) == (204, b""), "an EventSource stays away then"


def _until_deleted(events: Iterator[Event]) -> Iterator[Event]:
    """Yield events up to a deletion: who hears of it late tells of the changes before it."""
    for one in events:
        yield one
        if one.name == "deleted":
            return


def test_the_lists_stream_tells_what_a_filter_takes_in_on_every_replica(
    kube: LocalCluster, replicas: tuple[Api, Api]
) -> None:
    first, second = replicas
    with first.events("/events?versionId=streamed") as events:
        others = second.post(body("not-streamed")).json()["jobId"]
        job_id = second.post(body("streamed")).json()["jobId"]
        came = next(events)
        assert (came.name, came.data["jobId"], came.data["state"]) == ("job", job_id, "queued")
    progress(kube, others, 10)
    progress(kube, job_id, 10)
    kube.objects.delete("splitjob", job_id, namespace="test-api")
    with second.events("/events?versionId=streamed", last=came.id) as events:
        told = list(islice(_until_deleted(events), 3))
    assert {one.data["jobId"] for one in told} == {job_id}
    assert told[-1].name == "deleted"
    assert int(told[-1].id) > int(came.id)


def test_a_stream_of_a_job_that_is_not_there_and_ids_that_are_none(api: Api) -> None:
    assert api.get("/jobs/split-none/events").status_code == 404
    for last in ("x", "-1", "1.5", "1" * 30):
        answer = api.get("/events", **{"Last-Event-ID": last})
        assert (answer.status_code, answer.json()["code"]) == (422, "request_invalid")
    assert api.get("/events?limit=5").status_code == 422
    assert plain_http.get(f"{api.url}/events").status_code == 401


def test_an_id_of_another_cluster_is_answered_with_reload(api: Api) -> None:
    with api.events("/events", last="9" * 17) as events:
        assert next(events).name == "reload"


def test_streams_are_limited_and_end_promptly_at_shutdown(
    kube: LocalCluster, tmp_path: Path
) -> None:
    with started(kube, tmp_path / "log", MAX_STREAMS="2") as api:
        ended: list[str] = []

        def read() -> None:
            with api.events("/events") as events:
                ended.extend(event.name for event in events if event.name == "resume")

        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        full = "track_tree_audio_api_streams 2.0"
        eventually(lambda: full in plain_http.get(f"{api.url}/metrics").text)
        refused = eventually(lambda: _refusal(api))
        assert refused
        assert int(refused.headers["Retry-After"]) > 0
        began = time.monotonic()
        api.process.send_signal(signal.SIGTERM)
        api.process.wait(patience())
        for reader in readers:
            reader.join(patience())
        assert ended == ["resume", "resume"]
        assert time.monotonic() - began < patience(10)


def _refusal(api: Api) -> httpx.Response | None:
    """Return the refusal of one stream too many; where the cluster is not heard of, ask again."""
    answer = api.get("/events")
    return answer if answer.json()["code"] == "too_many_streams" else None
