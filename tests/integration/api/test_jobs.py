"""What requests become: SplitJobs, answers, refusals."""

import asyncio
import base64
import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support import plain_http
from tests.support.api_harness import (
    BEARER,
    NAMESPACE,
    QUERY,
    Api,
    body,
    finish,
    splitjobs,
    started,
    write_status,
)
from tests.support.waiting import eventually

from splitjob import resource
from splitjob.intent import LABEL_LENGTH
from splitjob.request import SplitRequest
from splitjob_api.kubernetes import (
    POLICY,
    Cluster,
    ClusterUnavailableError,
    SplitJobObject,
    Submissions,
)
from splitjob_api.submission import Submission
from splitjob_kube.async_client import AsyncKubernetesClient
from splitjob_kube.client import KubernetesClient
from splitjob_kube.paths import Kind
from splitjob_local.cluster.local_cluster import LocalCluster


def test_a_signed_request_becomes_a_splitjob_and_a_secret(kube: LocalCluster, api: Api) -> None:
    answer = api.post(body("happy", correlationId="c-1", stems=["vocals"]))
    assert answer.status_code == 202, answer.text
    job_id = answer.json()["jobId"]
    assert answer.json() == {"jobId": job_id}
    assert answer.headers["Location"] == f"/jobs/{job_id}"
    (splitjob,) = splitjobs(kube, "happy")
    assert splitjob["metadata"]["name"] == job_id
    request = splitjob["spec"]["request"]
    assert request["source"] == {
        "url": "https://audio.example.com/song.wav",
        "secretKey": "source",
    }
    assert splitjob["metadata"]["labels"][resource.LABEL_INTENT] == request["intent"][:LABEL_LENGTH]
    assert "secret-signature" not in json.dumps(splitjob)
    name = request["secretName"]
    secret = kube.objects.get("secret", name, namespace=NAMESPACE)
    assert (secret["type"], secret["immutable"]) == (resource.SECRET_TYPE, True)
    whole = base64.b64decode(secret["data"]["source"]).decode()
    assert whole == f"https://audio.example.com/song.wav?{QUERY}"


def test_headers_of_uploads_stand_in_the_secret_alone(kube: LocalCluster, api: Api) -> None:
    """Acceptance 73: and a retry with freshly signed ones is the same job."""

    def asked(signature: str, key: str) -> dict[str, Any]:
        url = f"https://s3.example.com/{{}}?X-Amz-SignedHeaders=host%3Bx-key&X-Amz-Signature={signature}"
        vocals = {"url": url.format("vocals"), "headers": {"X-Key": key}}
        manifest = f"https://s3.example.com/manifest?X-Amz-Signature={signature}"
        return body("headers", stems=["vocals"], uploads={"vocals": vocals, "manifest": manifest})

    answer = api.post(asked("one", "hush-hush"))
    assert answer.status_code == 202, answer.text
    again = api.post(asked("two", "another-key"))
    assert (again.status_code, again.json()) == (200, answer.json())
    (splitjob,) = splitjobs(kube, "headers")
    request = splitjob["spec"]["request"]
    assert request["uploads"]["vocals"]["headers"] == ["x-key"]
    secret = kube.objects.get("secret", request["secretName"], namespace=NAMESPACE)
    kept = secret["data"]["headers.vocals"]
    assert json.loads(base64.b64decode(kept)) == {"X-Key": "hush-hush"}
    assert "hush-hush" not in json.dumps(splitjob) + api.log.read_text()


def test_06_replays_give_the_same_job_until_it_fails(
    kube: LocalCluster, replicas: tuple[Api, Api]
) -> None:
    """Acceptance 6."""
    first, second = replicas
    job_id = first.post(body("replay")).json()["jobId"]
    fresh = body("replay", audioUrl="https://audio.example.com/song.wav?X-Amz-Signature=fresh")
    for api, again in ((first, body("replay")), (second, body("replay")), (second, fresh)):
        answer = api.post(again)
        assert (answer.status_code, answer.json()) == (200, {"jobId": job_id})
    finish(kube, job_id, "False", "SourceNotFound")
    answer = second.post(fresh)
    assert answer.status_code == 202
    next_id = answer.json()["jobId"]
    assert next_id != job_id
    assert first.post(body("replay")).json()["jobId"] == next_id
    finish(kube, next_id, "True", "Completed")
    answer = first.post(body("replay"))
    assert (answer.status_code, answer.json()["jobId"]) == (200, next_id)


def test_06_a_generation_is_not_repeated_after_its_clean_up(kube: LocalCluster, api: Api) -> None:
    """A failed job whose retry is under way is cleaned up: the retry still stands."""
    first = api.post(body("cleaned")).json()["jobId"]
    finish(kube, first, "False", "Canceled")
    second = api.post(body("cleaned")).json()["jobId"]
    kube.objects.delete("splitjob", first, namespace=NAMESPACE)
    answer = api.post(body("cleaned"))
    assert (answer.status_code, answer.json()["jobId"]) == (200, second)


def test_06_one_key_with_two_bodies(kube: LocalCluster, api: Api) -> None:
    """Acceptance 6."""
    first = api.post(body("keyed", idempotencyKey="key-1"))
    assert first.status_code == 202
    job_id = first.json()["jobId"]
    assert api.post(body("keyed", idempotencyKey="key-1")).status_code == 200
    conflict = api.post(body("other", idempotencyKey="key-1"))
    assert (conflict.status_code, conflict.json()["code"]) == (409, "idempotency_conflict")
    assert conflict.json()["jobId"] == job_id
    finish(kube, job_id, "False", "GpuError")
    again = api.post(body("keyed", idempotencyKey="key-1"))
    assert (again.status_code, again.json()["jobId"]) == (200, job_id)
    assert api.post(body("keyed")).json()["jobId"] != job_id


@pytest.mark.parametrize("key", [{}, {"idempotencyKey": "crowd"}])
def test_07_twenty_identical_posts_on_two_replicas_give_one_splitjob(
    kube: LocalCluster, replicas: tuple[Api, Api], key: dict[str, str]
) -> None:
    """Acceptance 7."""
    version_id = f"crowd-{len(key)}"
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda n: replicas[n % 2].post(body(version_id, **key)), range(20)))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [200] * 19 + [202]
    assert len({answer.json()["jobId"] for answer in answers}) == 1
    assert len(splitjobs(kube, version_id)) == 1


def test_12_to_21_bad_requests_leave_nothing_behind(kube: LocalCluster, api: Api) -> None:
    """Acceptance 12, 13, 19 to 22, 24, 73."""
    expired = "X-Amz-Date=20200101T000000Z&X-Amz-Expires=60"
    uploads = {"bass": "https://s3.example.com/bass", "manifest": "https://s3.example.com/m"}
    signing = f"{uploads['bass']}?X-Amz-SignedHeaders=content-type%3Bhost"
    checksum = f"{uploads['bass']}?x-amz-checksum-crc32=AAAAAA%3D%3D"
    sas = f"{uploads['bass']}?sv=2024-11-04&sr=b&sig=x"
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"aiModel": "nonesuch"}, "request_invalid", "aiModel"),
        ({"stems": ["banjo"]}, "request_invalid", "stems.0"),
        ({"nonsense": 1}, "request_invalid", "nonsense"),
        ({"versionId": "../x"}, "request_invalid", "versionId"),
        ({"audioUrl": "file:///etc/passwd"}, "request_invalid", "audioUrl"),
        ({"audioUrl": "https://169.254.169.254/latest"}, "request_invalid", "audioUrl"),
        ({"audioUrl": f"https://s3.example.com/a?{expired}"}, "request_invalid", "audioUrl"),
        *(
            (
                {"stems": ["bass"], "uploads": {**uploads, "bass": url}},
                "request_invalid",
                "uploads.bass",
            )
            for url in (signing, checksum, sas, f"{uploads['bass']}?{expired}")
        ),
        ({"webhook": "https://hooks.example.com.evil.com/demucs"}, "webhook_not_allowed", ""),
        ({"webhook": "https://hooks.example.com@evil.com/demucs"}, "request_invalid", "webhook"),
        ({"webhook": "https://hooks.example.com/demucs-evil"}, "webhook_not_allowed", ""),
        ({"webhook": "https://hooks.example.com/demucs/../admin"}, "request_invalid", "webhook"),
        ({"webhook": "http://hooks.example.com/demucs"}, "webhook_not_allowed", ""),
        ({"webhook": "http://127.0.0.1/demucs"}, "webhook_not_allowed", ""),
    ]
    for fields, code, field in cases:
        answer = api.post(body("bad", **fields))
        assert (answer.status_code, answer.json()["code"]) == (422, code), fields
        if field:
            assert [error["field"] for error in answer.json()["errors"]] == [field]
    for raw in (b"", b"[]", b"{", b"\xff", b'{"versionId":"a","versionId":"b"}'):
        assert api.post(raw).status_code == (400 if raw else 401)
    assert splitjobs(kube, "bad") == []


def test_19_upper_case_and_the_default_port_are_the_same_url(api: Api) -> None:
    """Acceptance 19."""
    answer = api.post(body("upper", webhook="HTTPS://HOOKS.Example.com:443/demucs/a?key=1"))
    assert answer.status_code == 202


def test_14_two_versions_by_case_alone(api: Api) -> None:
    """Acceptance 14."""
    ids = {api.post(body(version_id)).json()["jobId"] for version_id in ("Ab", "ab")}
    assert len(ids) == 2


def test_24_a_repeat_is_answered_after_its_url_has_expired(api: Api) -> None:
    """The job is there: that its URL could not be used for a new one does not matter."""
    signed_at = datetime.now(UTC) - timedelta(seconds=595)
    url = f"https://s3.example.com/a.wav?X-Amz-Date={signed_at:%Y%m%dT%H%M%SZ}&X-Amz-Expires=600"
    first = api.post(body("expires", audioUrl=url))
    assert first.status_code == 202
    time.sleep(max(0.0, (signed_at + timedelta(seconds=601) - datetime.now(UTC)).total_seconds()))
    assert api.post(body("too-late", audioUrl=url)).status_code == 422
    again = api.post(body("expires", audioUrl=url))
    assert (again.status_code, again.json()) == (200, {"jobId": first.json()["jobId"]})


class Crashing(Submissions):
    """The real cluster, and a process that dies before or after the write of the SplitJob."""

    def __init__(self, *, after: bool) -> None:
        super().__init__(AsyncKubernetesClient(KubernetesClient(POLICY)), NAMESPACE)
        self._after = after

    async def create(self, splitjob: SplitJobObject) -> SplitJobObject | None:
        if self._after:
            await super().create(splitjob)
        raise SystemExit


async def crash(request: SplitRequest, *, after: bool) -> None:
    """Submit a request, and die before or after the SplitJob is written."""
    crashing = Crashing(after=after)
    submission = Submission(
        crashing,
        request.to_resource_draft(),
        0,
        retried=lambda _: False,
        absent=lambda _: True,
        refusal=lambda: None,
    )
    try:
        await submission.submit()
    finally:
        await crashing.close()


@pytest.mark.parametrize("after", [False, True])
def test_16_and_17_a_crash_between_the_writes_and_the_answer(
    kube: LocalCluster, api: Api, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    """Acceptance 16 and 17: the retry gives one job, with the URLs of the try that made it."""
    monkeypatch.setenv("KUBECONFIG", str(kube.kubeconfig))
    version_id = f"crash-{after}"
    request = SplitRequest.model_validate(body(version_id))
    with pytest.raises(SystemExit):
        asyncio.run(crash(request, after=after))
    answer = api.post(body(version_id))
    assert answer.status_code == (200 if after else 202)
    (splitjob,) = splitjobs(kube, version_id)
    assert splitjob["metadata"]["name"] == answer.json()["jobId"]
    name = splitjob["spec"]["request"]["secretName"]
    assert name in kube.objects.names("secrets", namespace=NAMESPACE)


def test_18_a_full_queue_refuses_new_jobs_with_retry_after_and_finds_the_ones_it_took(
    kube: LocalCluster, api: Api, tmp_path: Path
) -> None:
    """Acceptance 18: new jobs are refused, the ones already taken are still found."""
    api.post(body("in-the-queue"))
    with started(kube, tmp_path / "log", MAX_QUEUED_JOBS="1") as limited:
        answer = limited.post(body("one-too-many"))
        assert (answer.status_code, answer.json()["code"]) == (429, "queue_full")
        assert int(answer.headers["Retry-After"]) > 0
        assert limited.post(body("in-the-queue")).status_code == 200
    assert splitjobs(kube, "one-too-many") == []


def test_15_without_the_kubernetes_api_it_answers_503_with_retry_after_and_recovers(
    kube: LocalCluster, replicas: tuple[Api, Api]
) -> None:
    """Acceptance 15: 503 with Retry-After, and the retry works."""
    api = replicas[0]
    kube.kill("kube-apiserver")
    try:
        eventually(lambda: plain_http.get(f"{api.url}/readyz").status_code == 503, 10)
        assert plain_http.get(f"{api.url}/healthz").json() == {"ok": True}
        answer = api.post(body("outage"))
        assert (answer.status_code, answer.json()["code"]) == (503, "cluster_unavailable")
        assert int(answer.headers["Retry-After"]) > 0
        assert api.get("/queue/status").status_code == 503
        assert api.get("/jobs/split-a").status_code == 503
        bearer = plain_http.get(
            f"{replicas[1].url}/models", headers={"Authorization": f"Bearer {BEARER}"}
        )
        assert (bearer.status_code, bearer.json()["code"]) == (503, "cluster_unavailable")
        assert int(bearer.headers["Retry-After"]) > 0
    finally:
        kube.start("kube-apiserver")
    eventually(lambda: api.post(body("outage")).status_code == 202)
    assert len(splitjobs(kube, "outage")) == 1
    before = api.get("/queue/status").json()["queue_depth"]
    assert api.post(body("after the outage".replace(" ", "-"))).status_code == 202
    eventually(lambda: api.get("/queue/status").json()["queue_depth"] > before)


def test_a_job_is_shown_as_it_stands(kube: LocalCluster, api: Api) -> None:
    job_id = api.post(body("shown", metadata={"a": "b"}, correlationId="c")).json()["jobId"]
    shown = api.get(f"/jobs/{job_id}").json()
    assert (shown["jobId"], shown["versionId"], shown["state"]) == (job_id, "shown", "queued")
    assert (shown["metadata"], shown["correlationId"]) == ({"a": "b"}, "c")
    stem = {
        "type": "vocals",
        "url": "s3://bucket/shown/vocals.wav",
        "size": 10,
        "frames": 44100,
        "sampleRate": 44100,
        "checksum": "sha256:" + "0" * 64,
        "format": "wav",
        "peak": "0.5",
        "gain": "1",
    }
    finish(
        kube,
        job_id,
        "True",
        "Completed",
        result={"stems": [stem], "model": "htdemucs", "residualDbfs": "-60.5"},
        finishedAt="2026-01-01T00:00:00Z",
        webhook={"eventId": "evt-1", "event": "completed", "state": "Pending"},
    )
    eventually(lambda: api.get(f"/jobs/{job_id}").json()["state"] == "completed")
    shown = api.get(f"/jobs/{job_id}").json()
    assert shown["result"]["stems"][0]["duration"] == 1.0
    assert shown["result"]["residual"] == -60.5
    assert shown["webhook"]["state"] == "Pending"


def test_readiness_asks_for_the_resource(
    kube: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the CustomResourceDefinition the probe says so."""
    monkeypatch.setenv("KUBECONFIG", str(kube.kubeconfig))
    cluster = Cluster(NAMESPACE)
    cluster.probe()
    monkeypatch.setattr(cluster, "_splitjobs", Kind("nonesuch", resource.GROUP).path(NAMESPACE))
    with pytest.raises(ClusterUnavailableError, match="CustomResourceDefinition"):
        cluster.probe()


def test_jobs_that_are_not_there(api: Api) -> None:
    for path in (
        "split-aaaa",
        "..%2f",
        "UPPER",
        "a" * 300,
        "%00",
        "a%20b",
        "-",
        "é".encode().hex(),
    ):
        answer = api.get(f"/jobs/{path}")
        assert answer.status_code == 404, path
        assert answer.headers["content-type"] == "application/problem+json"


def test_queue_status_has_the_seeds_keys_first(kube: LocalCluster, tmp_path: Path) -> None:
    """Totals: the operator's object, plus what it has not counted, whichever replica starts."""
    counted = {"completed": "40", "failed": "3", "canceled": "2", "batch": "[]"}
    kube.objects.create(config_map("my-totals", counted), NAMESPACE)
    more = {"TOTALS_CONFIGMAP": "my-totals", "QUEUE_STATUS_PUBLIC": "true"}
    with started(kube, tmp_path / "log", **more) as public:
        before = plain_http.get(f"{public.url}/queue/status").json()
        assert list(before) == [
            "queue_depth",
            "active_workers",
            "completed_jobs",
            "failed_jobs",
            "canceled_jobs",
            "oldest_queued_seconds",
            "estimated_drain_seconds",
            "observed_at",
        ]
        job_id = public.post(body("counted")).json()["jobId"]
        after = plain_http.get(f"{public.url}/queue/status").json()
        assert after["queue_depth"] == before["queue_depth"] + 1
        finish(kube, job_id, "False", "Canceled")
        eventually(
            lambda: (
                plain_http.get(f"{public.url}/queue/status").json()["canceled_jobs"]
                == before["canceled_jobs"] + 1
            )
        )


def config_map(name: str, data: dict[str, str]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def test_totals_that_somebody_broke_are_no_500(kube: LocalCluster, tmp_path: Path) -> None:
    kube.objects.create(config_map("broken-totals", {"completed": "many"}), NAMESPACE)
    with started(kube, tmp_path / "log", TOTALS_CONFIGMAP="broken-totals") as broken:
        answer = broken.get("/queue/status")
        assert answer.status_code == 503
        assert "broken-totals" in answer.json()["detail"]


def test_24_a_url_that_ends_before_its_turn_is_warned_of(
    kube: LocalCluster, namespace: str, tmp_path: Path
) -> None:
    """Acceptance 24: the estimate is compared with the expiry, and the answer says so."""
    signed_at = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    url = f"https://s3.example.com/a.wav?X-Amz-Date={signed_at}&X-Amz-Expires=600"
    with started(kube, tmp_path / "log", NAMESPACE=namespace) as api:
        calm = api.post(body("calm", audioUrl=url))
        assert calm.json() == {"jobId": calm.json()["jobId"]}
        name = calm.json()["jobId"]
        write_status(kube, name, namespace=namespace, queue={"etaSeconds": 3600})
        eventually(lambda: (api.get("/queue/status").json()["estimated_drain_seconds"] or 0) > 3000)
        late = api.post(body("late", audioUrl=url))
        assert late.status_code == 202
        (warning,) = late.json()["warnings"]
        assert "audioUrl" in warning
        assert "X-Amz" not in warning
