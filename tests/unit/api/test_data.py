"""Erasing a job's data: who may ask, and what the answer says."""

from starlette.testclient import TestClient
from tests.support.fake_cluster import (
    RESULT,
    FakeCluster,
    refused,
    request_body,
    submitted,
)

from splitjob_api.kubernetes import ClusterUnavailableError

FILES = ("drums", "bass", "other", "vocals", "manifest")
ERASED = {"at": "2026-01-02T00:00:00Z", "objects": 2, "files": ["drums.wav", "manifest.json"]}


def completed(api: TestClient, cluster: FakeCluster) -> str:
    job_id = submitted(api)
    cluster.finish(job_id, "Completed", result=RESULT)
    return job_id


def test_it_is_asked_for_once_and_the_answer_says_when_it_is_done(
    api: TestClient, cluster: FakeCluster
) -> None:
    """Acceptance 74."""
    job_id = completed(api, cluster)
    for _ in range(2):
        answer = api.delete(f"/jobs/{job_id}/data")
        assert answer.status_code == 202
        assert (answer.json()["eraseRequested"], answer.json()["erased"]) == (True, None)
    assert cluster.calls.count("patch_spec") == 1
    cluster.set_status(job_id, erased={"lastError": "cannot list"})
    assert api.delete(f"/jobs/{job_id}/data").status_code == 202
    cluster.set_status(job_id, erased={**ERASED, "lastError": ""})
    answer = api.delete(f"/jobs/{job_id}/data")
    assert answer.status_code == 200
    assert answer.json()["erased"] == ERASED
    assert answer.json()["state"] == "completed"
    assert answer.json()["result"], "the job stays on record"
    assert cluster.calls.count("patch_spec") == 1


def test_a_job_that_has_not_ended_keeps_its_data(api: TestClient, cluster: FakeCluster) -> None:
    job_id = submitted(api)
    refused(api.delete(f"/jobs/{job_id}/data"), 409, "not_finished")
    refused(api.delete("/jobs/nonesuch/data"), 404, "job_not_found")


def test_stems_at_the_callers_urls_are_theirs_to_erase(
    api: TestClient, cluster: FakeCluster
) -> None:
    job_id = submitted(api, uploads={name: f"https://put.example.com/{name}" for name in FILES})
    cluster.finish(job_id, "Completed", result=RESULT)
    refused(api.delete(f"/jobs/{job_id}/data"), 409, "stems_elsewhere")
    assert "erase" not in cluster.splitjobs[job_id]["spec"]


def test_the_same_request_after_it_was_erased_is_a_new_job(
    api: TestClient, cluster: FakeCluster
) -> None:
    """The old one has no stems to give any more."""
    job_id = completed(api, cluster)
    api.delete(f"/jobs/{job_id}/data")
    answer = api.post("/split", json=request_body())
    assert answer.status_code == 202
    assert answer.json()["jobId"] != job_id


def test_a_redelivery_meanwhile_goes_its_own_way(api: TestClient, cluster: FakeCluster) -> None:
    """Acceptance 74."""
    job_id = completed(api, cluster)
    others = iter(["a redelivery"])

    def overtake(call: str) -> None:
        if call == "patch_spec" and next(others, None):
            assert api.post(f"/jobs/{job_id}/redeliver").status_code == 202

    cluster.before = overtake
    assert api.delete(f"/jobs/{job_id}/data").status_code == 202
    spec = cluster.splitjobs[job_id]["spec"]
    assert (spec["erase"], spec["redeliveries"]) == (True, 1)


def test_the_api_server_away_is_a_503(api: TestClient, cluster: FakeCluster) -> None:
    job_id = completed(api, cluster)
    for broken in ("get", "patch_spec"):

        def away(call: str, at: str = broken) -> None:
            if call == at:
                raise ClusterUnavailableError("cannot be reached (ReadTimeoutError)")

        cluster.before = away
        answer = api.delete(f"/jobs/{job_id}/data")
        refused(answer, 503, "cluster_unavailable")
        assert int(answer.headers["Retry-After"]) > 0
    assert "erase" not in cluster.splitjobs[job_id]["spec"]
