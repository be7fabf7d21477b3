"""A retry with its URLs given anew: all of them, and the same but for their queries."""

from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.support.fake_cluster import SOURCE, Answer, FakeCluster, failed, refused

FILES = ("drums", "bass", "other", "vocals", "manifest")
FRESH = f"{SOURCE}?X-Amz-Signature=second"


def upload(name: str, query: str) -> str:
    return f"https://bucket.example.com/{name}?X-Amz-Signature={query}"


def retry(api: TestClient, job_id: str, fields: dict[str, Any]) -> Answer:
    return api.post(f"/jobs/{job_id}/retry", json=fields)


def wrong_fields(answer: Answer) -> list[str]:
    refused(answer, 422, "request_invalid")
    return [error["field"] for error in answer.json()["errors"]]


def test_fresh_urls_stand_in_a_secret_of_the_new_job(api: TestClient, cluster: FakeCluster) -> None:
    old = {name: upload(name, "first") for name in FILES}
    job_id = failed(api, cluster, uploads=old)
    new = {name: upload(name, "second") for name in FILES}
    answer = retry(api, job_id, {"audioUrl": FRESH, "uploads": new})
    assert answer.status_code == 202, answer.text
    request = cluster.splitjobs[answer.json()["jobId"]]["spec"]["request"]
    assert request["secretName"] != cluster.splitjobs[job_id]["spec"]["request"]["secretName"]
    assert cluster.secrets[request["secretName"]] == {
        "source": FRESH,
        **{f"upload.{name}": url for name, url in new.items()},
    }
    assert request["source"] == {"url": SOURCE, "secretKey": "source"}
    assert "second" not in str(request)
    assert retry(api, job_id, {"audioUrl": FRESH, "uploads": new}).status_code == 200


def test_headers_are_secrets_that_are_given_anew_too(api: TestClient, cluster: FakeCluster) -> None:
    def with_headers(query: str) -> dict[str, Any]:
        plain: dict[str, Any] = {name: upload(name, query) for name in FILES}
        put = {"url": "https://bucket.example.com/drums", "headers": {"X-Key": f"{query}-value"}}
        return plain | {"drums": put}

    job_id = failed(api, cluster, uploads=with_headers("first"))
    new = with_headers("second")
    others = {name: url for name, url in new.items() if name != "drums"}
    answer = retry(api, job_id, {"audioUrl": FRESH, "uploads": others})
    assert wrong_fields(answer) == ["uploads.drums"]
    answer = retry(api, job_id, {"audioUrl": FRESH, "uploads": new})
    assert answer.status_code == 202, answer.text
    request = cluster.splitjobs[answer.json()["jobId"]]["spec"]["request"]
    assert request["uploads"]["drums"]["headers"] == ["x-key"]
    assert "second-value" in cluster.secrets[request["secretName"]]["headers.drums"]
    assert "second-value" not in str(request)


def test_a_url_without_a_query_needs_no_secret(api: TestClient, cluster: FakeCluster) -> None:
    job_id = failed(api, cluster)
    answer = retry(api, job_id, {"audioUrl": SOURCE})
    request = cluster.splitjobs[answer.json()["jobId"]]["spec"]["request"]
    assert request["source"] == {"url": SOURCE}
    assert "secretName" not in request


def test_some_of_the_secret_urls_are_not_enough(api: TestClient, cluster: FakeCluster) -> None:
    job_id = failed(api, cluster, uploads={name: upload(name, "first") for name in FILES})
    missing = wrong_fields(retry(api, job_id, {"audioUrl": FRESH}))
    assert missing == [f"uploads.{name}" for name in FILES]
    assert wrong_fields(retry(api, job_id, {})) == ["audioUrl"]
    assert len(cluster.splitjobs) == len(cluster.secrets) == 1


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"audioUrl": "https://audio.example.com/another.wav?a=b"}, "audioUrl"),
        ({"audioUrl": FRESH, "webhook": "https://hooks.example.com/demucs/x"}, "webhook"),
        ({"audioUrl": FRESH, "uploads": {"drums": upload("drums", "x")}}, "uploads.drums"),
        ({"audioUrl": FRESH, "versionId": "song-2"}, "versionId"),
        ({"audioUrl": "file:///etc/passwd"}, "audioUrl"),
        ({"audioUrl": f"{SOURCE}?X-Amz-Date=20200101T000000Z&X-Amz-Expires=60"}, "audioUrl"),
        ({"audioUrl": 7}, "audioUrl"),
    ],
)
def test_another_request_is_no_retry(
    api: TestClient, cluster: FakeCluster, fields: dict[str, Any], wrong: str
) -> None:
    job_id = failed(api, cluster)
    assert wrong_fields(retry(api, job_id, fields)) == [wrong]
    assert len(cluster.splitjobs) == len(cluster.secrets) == 1


def test_a_body_that_is_no_object_is_refused(api: TestClient, cluster: FakeCluster) -> None:
    job_id = failed(api, cluster)
    refused(api.post(f"/jobs/{job_id}/retry", content=b"[]"), 400, "json_invalid")
