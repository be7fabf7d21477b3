"""Downloads from the real bucket, with the API's own keys."""

from pathlib import Path

import httpx
from tests.support.api_harness import TOKEN, Api, body, finish, started
from tests.support.browser import browser
from tests.support.fake_api import waves
from tests.support.waiting import eventually

from splitjob_local.cluster.local_cluster import LocalCluster


def test_a_stem_is_fetched_with_the_url_and_not_without_its_signature(
    kube: LocalCluster, tmp_path: Path
) -> None:
    s3 = kube.s3
    log = tmp_path / "log"
    with started(kube, log, **_with_bucket(kube)) as api:
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


def test_stems_are_played_in_the_console_from_the_real_bucket(
    kube: LocalCluster, tmp_path: Path
) -> None:
    """The page's policy names the bucket, and a player needs no CORS rule of it."""
    profile = tmp_path / "profile"
    with (
        started(kube, tmp_path / "log", **_with_bucket(kube)) as api,
        browser(profile) as tab,
    ):
        job = _completed(kube, api, waves()).split("/")[2]
        tab.open(f"{api.url}/console?job={job}")
        eventually(lambda: tab.run("return Boolean(document.querySelector('[name=token]'))"))
        tab.fill("[name=token]", TOKEN)
        tab.press("Enter")
        tab.click(".desk button")
        eventually(lambda: tab.run("return document.querySelector('audio').currentTime > 0.3"))
        assert tab.troubles == []


def _with_bucket(kube: LocalCluster) -> dict[str, str]:
    """Return the environment that gives an API the bucket."""
    s3 = kube.s3
    return {
        "S3_ENDPOINT": s3.endpoint,
        "S3_REGION": s3.region,
        "S3_BUCKET": s3.bucket,
        "S3_ACCESS_KEY_ID": s3.access_key_id,
        "S3_SECRET_ACCESS_KEY": s3.secret_access_key,
    }


def _completed(kube: LocalCluster, api: Api, content: bytes = b"a stem") -> str:
    """Complete a job, as worker and operator do; return the path of its stem."""
    job_id = api.post(body("downloaded")).json()["jobId"]
    key = f"downloaded/{job_id}/vocals.wav"
    kube.s3.service().client.put_object(Bucket=kube.s3.bucket, Key=key, Body=content)
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
