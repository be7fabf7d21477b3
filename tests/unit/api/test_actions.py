"""Cancel, redeliver, retry: in every state, and whatever happens at the same moment."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.support.fake_cluster import (
    DELIVERED,
    Answer,
    FakeCluster,
    failed,
    refused,
    request_body,
    served,
    submitted,
)

from splitjob_api.kubernetes import ClusterUnavailableError
from splitjob_api.routes.actions import MAX_REDELIVERIES
from splitjob_api.spec_change import MAX_TRIES
from splitjob_kube.preconditions import Unready, UnreadyReason

ENDS = ["Completed", "SourceNotFound", "Canceled"]
Act = Callable[[TestClient, str], Answer]


def cancel(api: TestClient, job_id: str) -> Answer:
    return api.delete(f"/jobs/{job_id}")


def redeliver(api: TestClient, job_id: str) -> Answer:
    return api.post(f"/jobs/{job_id}/redeliver")


def retry(api: TestClient, job_id: str, **fields: Any) -> Answer:
    return api.post(f"/jobs/{job_id}/retry", json=fields or None)


# Cancel


def test_a_job_that_waits_is_canceled_once_however_often_it_is_asked(
    api: TestClient, cluster: FakeCluster
) -> None:
    job_id = submitted(api)
    for _ in range(3):
        answer = cancel(api, job_id)
        assert answer.status_code == 202
        assert answer.json()["cancelRequested"] is True
    assert cluster.splitjobs[job_id]["spec"]["canceled"] is True
    assert cluster.calls.count("patch_spec") == 1


@pytest.mark.parametrize("reason", ENDS)
def test_a_job_that_has_ended_stays_as_it_is(
    api: TestClient, cluster: FakeCluster, reason: str
) -> None:
    job_id = submitted(api)
    cluster.finish(job_id, reason)
    before = cluster.splitjobs[job_id]
    answer = cancel(api, job_id)
    assert answer.status_code == 200
    assert answer.json()["cancelRequested"] is False
    assert cluster.splitjobs[job_id] == before


def test_46a_a_job_that_completes_between_look_and_write_is_not_canceled(
    api: TestClient, cluster: FakeCluster
) -> None:
    """Acceptance 46a: the write is under the version that was read."""
    job_id = submitted(api)

    def complete(call: str) -> None:
        if call == "patch_spec":
            cluster.finish(job_id, "Completed")

    cluster.before = complete
    answer = cancel(api, job_id)
    assert (answer.status_code, answer.json()["state"]) == (200, "completed")
    assert "canceled" not in cluster.splitjobs[job_id]["spec"]


def test_a_job_that_changes_meanwhile_is_canceled_all_the_same(
    api: TestClient, cluster: FakeCluster
) -> None:
    job_id = submitted(api)
    percents = iter(range(3))

    def progress(call: str) -> None:
        if call == "patch_spec" and (percent := next(percents, None)) is not None:
            cluster.set_status(job_id, progress={"stage": "separate", "percent": percent})

    cluster.before = progress
    assert cancel(api, job_id).status_code == 202
    assert cluster.splitjobs[job_id]["spec"]["canceled"] is True


def test_a_job_that_changes_without_end_is_no_endless_loop(
    api: TestClient, cluster: FakeCluster
) -> None:
    job_id = submitted(api)
    cluster.before = lambda call: cluster.set_status(job_id, phase="Queued")
    answer = cancel(api, job_id)
    refused(answer, 503, "cluster_unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert cluster.calls.count("patch_spec") == MAX_TRIES


def test_two_cancels_and_a_retry_at_once(api: TestClient, cluster: FakeCluster) -> None:
    """The retry comes before the end, or after it; never is there a job too many."""
    job_id = submitted(api)
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda act: act(api, job_id), (cancel, retry, cancel)))
    assert [answer.status_code for answer in answers] == [202, 409, 202]
    cluster.finish(job_id, "Canceled")
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda act: act(api, job_id), (cancel, retry, cancel)))
    assert [answer.status_code for answer in answers] == [200, 202, 200]
    assert len(cluster.splitjobs) == 2


# Redeliver


def test_a_redelivery_is_one_more_than_there_were(api: TestClient, cluster: FakeCluster) -> None:
    """Acceptance 60."""
    job_id = failed(api, cluster)
    for _ in range(2):
        assert redeliver(api, job_id).status_code == 202
    assert cluster.splitjobs[job_id]["spec"]["redeliveries"] == 2


def test_two_redeliveries_at_once_are_two(api: TestClient, cluster: FakeCluster) -> None:
    """No lost update: whoever comes second reads again."""
    job_id = failed(api, cluster)
    others = iter(["another replica"])

    def overtake(call: str) -> None:
        if call == "patch_spec" and next(others, None):
            cluster.patch_spec(cluster.splitjobs[job_id], {"redeliveries": 1})

    cluster.before = overtake
    assert redeliver(api, job_id).status_code == 202
    assert cluster.splitjobs[job_id]["spec"]["redeliveries"] == 2


def test_where_there_is_nothing_to_send_again_it_is_refused(
    api: TestClient, cluster: FakeCluster
) -> None:
    job_id = submitted(api)
    refused(redeliver(api, job_id), 409, "not_finished")
    cluster.finish(job_id, "Completed", webhook={**DELIVERED, "state": "NotWanted"})
    assert "events" in refused(redeliver(api, job_id), 409, "nothing_to_send")
    cluster.finish(job_id, "Completed", webhook=DELIVERED)
    cluster.splitjobs[job_id]["spec"]["redeliveries"] = MAX_REDELIVERIES
    refused(redeliver(api, job_id), 409, "redeliveries_exhausted")


def test_a_body_means_nothing_to_a_redelivery_and_is_refused(
    api: TestClient, cluster: FakeCluster
) -> None:
    """Its signature would not cover the path, so that of any captured request would do."""
    job_id = failed(api, cluster)
    answer = api.post(f"/jobs/{job_id}/redeliver", json=request_body())
    refused(answer, 400, "body_not_expected")
    assert "redeliveries" not in cluster.splitjobs[job_id]["spec"]


# Retry


@pytest.mark.parametrize("reason", ["SourceNotFound", "Canceled"])
def test_a_retry_is_a_new_job_that_shares_the_secret(
    api: TestClient, cluster: FakeCluster, reason: str
) -> None:
    job_id = submitted(api, priority=7, metadata={"a": "b"})
    cluster.finish(job_id, reason)
    answer = retry(api, job_id)
    assert answer.status_code == 202
    new_id = answer.json()["jobId"]
    assert answer.headers["Location"] == f"/jobs/{new_id}"
    old, new = cluster.splitjobs[job_id]["spec"], cluster.splitjobs[new_id]["spec"]
    assert new_id != job_id
    ids = [request["request"].pop("submissionId") for request in (old, new)]
    assert len(set(ids)) == 2  # another job, with events of its own
    assert new["request"] == old["request"]
    assert new["priority"] == 7
    assert "canceled" not in new
    assert list(cluster.secrets) == [old["request"]["secretName"]]


def test_a_retry_of_a_request_that_is_served_gives_the_job_that_serves_it(
    api: TestClient, cluster: FakeCluster
) -> None:
    job_id = failed(api, cluster)
    new_id = retry(api, job_id).json()["jobId"]
    for answer in (retry(api, job_id), api.post("/split", json=request_body())):
        assert (answer.status_code, answer.json()["jobId"]) == (200, new_id)
    cluster.finish(new_id, "Completed")
    answer = retry(api, job_id)
    assert (answer.status_code, answer.json()["jobId"]) == (200, new_id)
    assert len(cluster.splitjobs) == 2


def test_a_job_that_may_yet_give_stems_or_has_is_not_tried_anew(
    api: TestClient, cluster: FakeCluster
) -> None:
    job_id = submitted(api)
    refused(retry(api, job_id), 409, "not_finished")
    cancel(api, job_id)
    refused(retry(api, job_id), 409, "not_finished")
    cluster.finish(job_id, "Completed")
    refused(retry(api, job_id), 409, "already_completed")
    assert len(cluster.splitjobs) == 1


def test_a_job_whose_stems_were_erased_is_gone_and_its_request_is_one_to_send_anew(
    api: TestClient, cluster: FakeCluster
) -> None:
    job_id = submitted(api)
    cluster.finish(job_id, "Completed")
    assert api.delete(f"/jobs/{job_id}/data").status_code == 202
    assert "POST /split" in refused(retry(api, job_id), 410, "erased")
    assert submitted(api) != job_id


def test_the_retry_of_a_keyed_job_is_another_job_and_the_key_stays_with_the_first(
    api: TestClient, cluster: FakeCluster
) -> None:
    job_id = failed(api, cluster, idempotencyKey="key-1")
    new_id = retry(api, job_id).json()["jobId"]
    assert new_id != job_id
    assert retry(api, job_id).json()["jobId"] == new_id
    assert api.post("/split", json=request_body(idempotencyKey="key-1")).json()["jobId"] == job_id


def test_a_priority_changed_by_hand_does_not_make_it_another_request(
    api: TestClient, cluster: FakeCluster
) -> None:
    job_id = failed(api, cluster)
    cluster.splitjobs[job_id]["spec"]["priority"] = 50
    new_id = retry(api, job_id).json()["jobId"]
    assert cluster.splitjobs[new_id]["spec"]["priority"] == 50
    assert api.post("/split", json=request_body()).json()["jobId"] == new_id


def test_an_intent_copied_by_hand_does_not_lead_to_the_job_it_was_copied_from(
    api: TestClient, cluster: FakeCluster
) -> None:
    original = submitted(api)
    copied = {**cluster.splitjobs[original]["spec"]["request"], "versionId": "another"}
    cluster.create({"metadata": {"name": "by-hand"}, "spec": {"request": copied}})
    cluster.finish("by-hand", "GpuError")
    answer = retry(api, "by-hand")
    assert answer.status_code == 202
    assert answer.json()["jobId"] not in {original, "by-hand"}


def test_what_is_no_longer_served_is_not_tried_anew(cluster: FakeCluster) -> None:
    job_id = failed(served(cluster), cluster)
    other_models = served(cluster, models="demo")
    answer = retry(other_models, job_id)
    refused(answer, 422, "request_invalid")
    assert [error["field"] for error in answer.json()["errors"]] == ["aiModel"]
    other_hooks = served(cluster, api_webhook_url_allowlist="https://other.example.com/")
    refused(retry(other_hooks, job_id), 422, "webhook_not_allowed")
    assert len(cluster.splitjobs) == 1


def test_a_retry_counts_for_the_queue_limit(cluster: FakeCluster) -> None:
    job_id = failed(served(cluster), cluster)
    limited = served(cluster, max_queued_jobs=1)
    submitted(limited, versionId="first-in-the-queue")
    answer = retry(limited, job_id)
    refused(answer, 429, "queue_full")
    assert int(answer.headers["Retry-After"]) > 0


def test_a_request_that_cannot_be_read_is_not_tried_anew(
    api: TestClient, cluster: FakeCluster
) -> None:
    cluster.create({"metadata": {"name": "old"}, "spec": {"request": {"later": "field"}}})
    cluster.finish("old", "RequestInvalid")
    refused(retry(api, "old"), 409, "not_retryable")


# Whatever it is


ACTIONS: list[Act] = [cancel, redeliver, retry]


@pytest.mark.parametrize("act", ACTIONS)
@pytest.mark.parametrize("job_id", ["nonesuch", "UPPER", "a" * 300, "%00"])
def test_a_job_that_is_not_there(
    api: TestClient, cluster: FakeCluster, act: Act, job_id: str
) -> None:
    refused(act(api, job_id), 404, "job_not_found")


@pytest.mark.parametrize("act", ACTIONS)
def test_a_job_that_is_being_deleted_is_not_there_any_more(
    api: TestClient, cluster: FakeCluster, act: Act
) -> None:
    job_id = failed(api, cluster)
    cluster.splitjobs[job_id]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    refused(act(api, job_id), 404, "job_not_found")


@pytest.mark.parametrize("act", ACTIONS)
def test_the_api_server_away_in_the_middle_is_a_503_and_asking_again_does_it_once(
    api: TestClient, cluster: FakeCluster, act: Act
) -> None:
    """At each call in turn: nothing half done stays in the way."""
    job_id = failed(api, cluster) if act is not cancel else submitted(api)
    done = 0
    for broken in range(10):
        before = len(cluster.calls)

        def away(call: str, at: int = before + broken + 1) -> None:
            if len(cluster.calls) == at:
                raise ClusterUnavailableError("cannot be reached (ReadTimeoutError)")

        cluster.before = away
        answer = act(api, job_id)
        if answer.is_success:
            break
        refused(answer, 503, "cluster_unavailable")
        assert int(answer.headers["Retry-After"]) > 0
        done += 1
    assert done >= 2
    assert len(cluster.splitjobs) == (2 if act is retry else 1)
    assert cluster.splitjobs[job_id]["spec"].get("redeliveries", 0) == (act is redeliver)


@pytest.mark.parametrize("act", ACTIONS)
def test_nothing_is_written_where_the_resource_would_drop_it(
    api: TestClient, cluster: FakeCluster, act: Act
) -> None:
    job_id = failed(api, cluster)
    cluster.calls.clear()
    cluster.unready = (Unready(UnreadyReason.CRD_OUTDATED, "the CustomResourceDefinition is old"),)
    refused(act(served(cluster), job_id), 503, "not_ready")
    assert cluster.calls == []
