"""Cancel, redeliver and retry on the real API server, from two replicas."""

import base64
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.support.api_harness import NAMESPACE, QUERY, Api, body, finish, splitjobs

from splitjob_local.cluster.local_cluster import LocalCluster


def spec_of(kube: LocalCluster, job_id: str) -> dict[str, Any]:
    found: dict[str, Any] = kube.objects.get("splitjob", job_id, namespace=NAMESPACE)["spec"]
    return found


def test_a_job_is_canceled_from_any_replica_and_an_ended_one_is_left(
    kube: LocalCluster, replicas: tuple[Api, Api]
) -> None:
    job_id = replicas[0].post(body("to-cancel")).json()["jobId"]
    with ThreadPoolExecutor(6) as pool:
        answers = list(
            pool.map(lambda n: replicas[n % 2].send("DELETE", f"/jobs/{job_id}"), range(6))
        )
    assert {answer.status_code for answer in answers} == {202}
    assert spec_of(kube, job_id)["canceled"] is True
    finish(kube, job_id, "False", "Canceled")
    answer = replicas[1].send("DELETE", f"/jobs/{job_id}")
    assert (answer.status_code, answer.json()["state"]) == (200, "canceled")


def test_redeliveries_at_once_on_two_replicas_are_all_counted(
    kube: LocalCluster, replicas: tuple[Api, Api]
) -> None:
    """Acceptance 60."""
    job_id = replicas[0].post(body("to-redeliver")).json()["jobId"]
    path = f"/jobs/{job_id}/redeliver"
    assert replicas[0].send("POST", path).json()["code"] == "not_finished"
    finish(kube, job_id, "False", "GpuError")
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda n: replicas[n % 2].send("POST", path), range(4)))
    assert [answer.status_code for answer in answers] == [202] * 4
    assert spec_of(kube, job_id)["redeliveries"] == 4


def test_retries_at_once_on_two_replicas_are_one_new_job(
    kube: LocalCluster, replicas: tuple[Api, Api]
) -> None:
    job_id = replicas[0].post(body("to-retry")).json()["jobId"]
    path = f"/jobs/{job_id}/retry"
    assert replicas[0].send("POST", path).json()["code"] == "not_finished"
    finish(kube, job_id, "False", "SourceUnavailable")
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda n: replicas[n % 2].send("POST", path), range(6)))
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [202]
    old, new = (one["spec"]["request"] for one in splitjobs(kube, "to-retry"))
    assert old.pop("submissionId") != new.pop("submissionId"), "its events are its own"
    assert old == new, "the Secret is shared"

    newest = answers[0].json()["jobId"]
    finish(kube, newest, "False", "SourceExpired")
    fresh = f"https://audio.example.com/song.wav?{QUERY}-fresh"
    answer = replicas[1].send("POST", f"/jobs/{newest}/retry", {"audioUrl": fresh})
    assert answer.status_code == 202, answer.text
    name = spec_of(kube, answer.json()["jobId"])["request"]["secretName"]
    secret = kube.objects.get("secret", name, namespace=NAMESPACE)
    assert base64.b64decode(secret["data"]["source"]).decode() == fresh
