"""Jobs and the list of them, read on a real API server."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from tests.support.accounts import account, grant
from tests.support.api_harness import Api, body, finish, started
from tests.support.waiting import eventually

from splitjob_api.kubernetes import rights_needed
from splitjob_local.cluster.local_cluster import LocalCluster


@pytest.fixture(scope="module")
def listed(replicas: tuple[Api, Api]) -> list[str]:
    """Seven jobs of one song in both replicas' lists, the newest first."""
    first, second = replicas
    posted = [first.post(body("listed", priority=number)).json()["jobId"] for number in range(7)]
    for api in replicas:
        eventually(lambda api=api: len(jobs(api, versionId="listed")) == 7)  # type: ignore[misc]
    ids = [job["jobId"] for job in jobs(second, versionId="listed")]
    assert sorted(ids) == sorted(posted)
    return ids


def page(api: Api, **query: Any) -> dict[str, Any]:
    answer = api.get("/jobs?" + urlencode(query, doseq=True))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def jobs(api: Api, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = page(api, **query)["jobs"]
    return found


def test_a_job_can_be_read_right_after_its_202_on_any_replica(replicas: tuple[Api, Api]) -> None:
    for number in range(10):
        posted = replicas[number % 2].post(body(f"at-once-{number}"))
        read = replicas[(number + 1) % 2].get(f"/jobs/{posted.json()['jobId']}")
        assert (read.status_code, read.json()["state"]) == (200, "queued")


def test_the_list_is_paged_with_a_cursor_that_any_replica_takes(
    replicas: tuple[Api, Api], listed: list[str]
) -> None:
    first, second = replicas
    one = page(first, versionId="listed", limit=3)
    newest = datetime.fromisoformat(one["jobs"][0]["createdAt"])
    # Times of creation are whole seconds: within one the names decide.
    eventually(lambda: datetime.now(UTC) >= newest + timedelta(seconds=1), pause=0.05)
    first.post(body("listed", priority=50))  # newer: it moves no page
    two = page(second, versionId="listed", limit=3, cursor=one["nextCursor"])
    three = page(first, versionId="listed", limit=3, cursor=two["nextCursor"])
    ids = [job["jobId"] for part in (one, two, three) for job in part["jobs"]]
    assert ids == listed
    assert three["nextCursor"] is None
    times = [job["createdAt"] for part in (one, two, three) for job in part["jobs"]]
    assert times == sorted(times, reverse=True)


def test_the_list_is_filtered_by_state_version_model_and_time(
    kube: LocalCluster, api: Api, listed: list[str]
) -> None:
    job_id = api.post(body("filtered")).json()["jobId"]
    eventually(lambda: jobs(api, versionId="filtered", status="queued"))
    finish(kube, job_id, "False", "SourceNotFound")
    eventually(lambda: jobs(api, versionId="filtered", status=["failed", "canceled"]))
    (found,) = jobs(api, versionId="filtered")
    assert (found["jobId"], found["state"]) == (job_id, "failed")
    created = found["createdAt"]
    cases: list[tuple[dict[str, str], bool]] = [
        ({"status": "queued"}, False),
        ({"model": "htdemucs"}, True),
        ({"model": "demo"}, False),
        ({"since": created}, True),
        ({"until": created}, False),
    ]
    for query, among in cases:
        ids = [job["jobId"] for job in jobs(api, versionId="filtered", **query)]
        assert ids == [job_id] * among, query


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=done", "status.0"),
        ("status=", "status.0"),
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=many", "limit"),
        ("since=yesterday", "since"),
        ("since=1700000000", "since"),
        ("until=2026-01-01T00:00:00", "until"),
        ("until=2026-13-01T00:00:00Z", "until"),
        ("versionId=", "versionId"),
        ("model=" + "a" * 64, "model"),
        ("state=queued", "state"),
        ("cursor=made-up", "cursor"),
        ("cursor=%C3%A9", "cursor"),
        ("cursor=" + "a" * 600, "cursor"),
    ],
)
def test_what_the_list_does_not_understand_is_refused_by_name(
    api: Api, query: str, field: str
) -> None:
    answer = api.get(f"/jobs?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "request_invalid")
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_a_cursor_of_another_filter_is_refused(api: Api, listed: list[str]) -> None:
    cursor = page(api, versionId="listed", limit=1)["nextCursor"]
    answer = api.get(f"/jobs?versionId=other&limit=1&cursor={cursor}")
    assert answer.status_code == 422
    assert "nextCursor" in answer.json()["errors"][0]["message"]


def test_what_has_not_changed_is_not_sent_again(kube: LocalCluster, api: Api) -> None:
    job_id = api.post(body("etag")).json()["jobId"]
    eventually(lambda: jobs(api, versionId="etag"))
    for path in (f"/jobs/{job_id}", "/jobs?versionId=etag"):
        tag = api.get(path).headers["ETag"]
        again = api.get(path, **{"If-None-Match": tag})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    finish(kube, job_id, "False", "Canceled")
    eventually(lambda: api.get(path, **{"If-None-Match": tag}).status_code == 200)
    assert api.get(f"/jobs/{job_id}").json()["state"] == "canceled"


def test_head_is_answered_where_get_is(api: Api, listed: list[str]) -> None:
    paths = ("/jobs", f"/jobs/{listed[0]}", "/models", "/queue/status", "/healthz", "/docs")
    for path in (*paths, "/events", f"/jobs/{listed[0]}/events"):
        answer = api.head(path)
        assert (answer.status_code, answer.content) == (200, b""), path
        assert answer.headers["X-Request-Id"]
    tag = api.head(f"/jobs/{listed[0]}").headers["ETag"]
    assert tag == api.get(f"/jobs/{listed[0]}").headers["ETag"]
    assert api.head("/jobs/split-none").status_code == 404
    assert api.head("/split").status_code == 405


def test_with_the_watch_cut_off_no_old_state_is_told_as_new(
    kube: LocalCluster, namespace: str, tmp_path: Path
) -> None:
    """A job is then read from the API server; the list and the counts answer 503 until listed."""
    kubeconfig = account(kube, namespace, "reader", tmp_path)
    rights = rights_needed("")
    grant(kube, namespace, "reader", rights)
    more = {"NAMESPACE": namespace, "KUBECONFIG": str(kubeconfig)}
    with started(kube, tmp_path / "log", **more) as api:
        job_id = api.post(body("cut-off")).json()["jobId"]
        eventually(lambda: jobs(api, versionId="cut-off"))
        grant(kube, namespace, "reader", [right for right in rights if right.verb != "watch"])
        eventually(lambda: api.get("/jobs").status_code == 503)
        finish(kube, job_id, "False", "Canceled", namespace=namespace)
        assert api.get(f"/jobs/{job_id}").json()["state"] == "canceled"
        answer = eventually(lambda: _refused(api, "/jobs"))
        assert answer
        assert answer.json()["code"] == "cluster_unavailable"
        assert int(answer.headers["Retry-After"]) > 0


def _refused(api: Api, path: str) -> httpx.Response | None:
    """Return the refusal; between two refusals a list that was just made may be told."""
    answer = api.get(path)
    assert answer.status_code in {200, 503}
    return answer if answer.status_code == 503 else None
