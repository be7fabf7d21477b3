"""Downloads from the real bucket, with the API's own keys."""

from pathlib import Path

import httpx
from tests.support.api_harness import Api, body, finish, started

from splitjob_local.cluster.local_cluster import LocalCluster


def test_a_stem_is_fetched_with_the_url_and_not_without_its_signature(
    kube: LocalCluster, tmp_path: Path
) -> None:
    s3 = kube.s3
    environment = {
        "S3_ENDPOINT": s3.endpoint,
        "S3_REGION": s3.region,
        "S3_BUCKET": s3.bucket,
        "S3_ACCESS_KEY_ID": s3.access_key_id,
        "S3_SECRET_ACCESS_KEY": s3.secret_access_key,
    }
    log = tmp_path / "log"
    with started(kube, log, **environment) as api:
        path = _completed(kube, api)
        redirect = api.get(path)
        assert redirect.status_code == 307
        url = redirect.headers["Location"]
        fetched = httpx.get(url)
        assert (fetched.status_code, fetched.content) == (200, b"a stem")
        assert fetched.headers["Content-Disposition"].startswith("attachment")
        assert httpx.get(url.partition("?")[0]).status_code == 403
        answer = api.send("GET", path, Accept="application/json").json()
        assert httpx.get(answer["url"]).content == b"a stem"
    signature = httpx.URL(url).params["X-Amz-Signature"]
    for secret in (signature, s3.secret_access_key):
        assert secret not in log.read_text()


def _completed(kube: LocalCluster, api: Api) -> str:
    """Complete a job, as worker and operator do; return the path of its stem."""
    job_id = api.post(body("downloaded")).json()["jobId"]
    key = f"downloaded/{job_id}/vocals.wav"
    kube.s3.service().client.put_object(Bucket=kube.s3.bucket, Key=key, Body=b"a stem")
    stem = {
        "type": "vocals",
        "url": f"s3://{kube.s3.bucket}/{key}",
        "size": 6,
        "frames": 44100,
        "sampleRate": 44100,
        "checksum": "sha256:" + "0" * 64,
        "format": "wav",
        "peak": "0.5",
        "gain": "1",
    }
    finish(kube, job_id, "True", "Completed", result={"stems": [stem], "model": "htdemucs"})
    return f"/jobs/{job_id}/stems/vocals"
