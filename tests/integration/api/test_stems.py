"""Downloads from the real bucket, with the API's own keys."""

import json
from pathlib import Path

import httpx
from tests.support import plain_http
from tests.support.api_harness import TOKEN, Api, body, finish, started, with_bucket
from tests.support.browser import browser
from tests.support.fake_api import a_waveform, waves
from tests.support.waiting import eventually

from splitjob_local.cluster.local_cluster import LocalCluster

WAVEFORM = json.dumps(a_waveform("vocals")).encode()


def test_a_stem_is_fetched_with_the_url_and_not_without_its_signature(
    kube: LocalCluster, tmp_path: Path
) -> None:
    s3 = kube.s3
    log = tmp_path / "log"
    with started(kube, log, **with_bucket(kube)) as api:
        path = _completed(kube, api)
        redirect = api.get(path)
        assert redirect.status_code == 307
        url = redirect.headers["Location"]
        fetched = plain_http.get(url)
        assert (fetched.status_code, fetched.content) == (200, b"a stem")
        assert fetched.headers["Content-Disposition"].startswith("attachment")
        assert plain_http.get(url.partition("?")[0]).status_code == 403
        _head_is_answered_by_the_bucket_too(api, path)
        answer = api.send("GET", path, Accept="application/json").json()
        assert plain_http.get(answer["url"]).content == b"a stem"
        _files_come_through(api, path.rpartition("/stems/")[0])
    signature = httpx.URL(url).params["X-Amz-Signature"]
    for secret in (signature, s3.secret_access_key):
        assert secret not in log.read_text()


def _head_is_answered_by_the_bucket_too(api: Api, path: str) -> None:
    """As `curl --head --location` asks: a signature for GET is none for HEAD."""
    redirect = api.send("HEAD", path)
    assert redirect.status_code == 307
    asked = plain_http.request("HEAD", redirect.headers["Location"])
    assert (asked.status_code, asked.headers["Content-Length"]) == (200, str(len(b"a stem")))


def _files_come_through(api: Api, job: str) -> None:
    """Waveform and manifest are read from the bucket by the API, with its own keys."""
    drawn = api.get(f"{job}/waveforms/vocals")
    assert (drawn.status_code, drawn.content) == (200, WAVEFORM)
    assert drawn.headers["Content-Type"] == "application/json"
    known = {"If-None-Match": str(drawn.headers["ETag"])}
    assert api.send("GET", f"{job}/waveforms/vocals", None, **known).status_code == 304
    head = api.send("HEAD", f"{job}/waveforms/vocals")
    assert (head.content, head.headers["Content-Length"]) == (b"", str(len(WAVEFORM)))
    assert api.get(f"{job}/manifest").json() == {"status": "completed"}
    assert api.get(f"{job}/waveforms/mixture").status_code == 404


def test_stems_are_played_in_the_console_from_the_real_bucket(
    kube: LocalCluster, tmp_path: Path
) -> None:
    """The page's policy names the bucket, and a player needs no CORS rule of it."""
    profile = tmp_path / "profile"
    with (
        started(kube, tmp_path / "log", **with_bucket(kube)) as api,
        browser(profile) as tab,
    ):
        job = _completed(kube, api, waves()).split("/")[2]
        tab.open(f"{api.url}/console?job={job}")
        eventually(lambda: tab.run("return Boolean(document.querySelector('[name=token]'))"))
        tab.fill("[name=token]", TOKEN)
        tab.press("Enter")
        tab.click(".desk button")
        eventually(lambda: tab.run("return document.querySelector('audio').currentTime > 0.3"))
        drawn = "return document.querySelector('[data-stem=vocals] .waveform path') !== null"
        eventually(lambda: tab.run(drawn))
        assert tab.troubles == []


def _completed(kube: LocalCluster, api: Api, content: bytes = b"a stem") -> str:
    """Complete a job, as worker and operator do; return the path of its stem."""
    job_id = api.post(body("downloaded")).json()["jobId"]
    key = f"downloaded/{job_id}/vocals.wav"
    waveform = f"downloaded/{job_id}/vocals.waveform.json"
    manifest = f"downloaded/{job_id}/manifest.json"
    stored = {key: content, waveform: WAVEFORM, manifest: b'{"status": "completed"}'}
    for name, one in stored.items():
        kube.s3.service().client.put_object(Bucket=kube.s3.bucket, Key=name, Body=one)
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
        "waveform": f"s3://{kube.s3.bucket}/{waveform}",
    }
    result = {
        "stems": [stem],
        "model": "htdemucs",
        "manifestUrl": f"s3://{kube.s3.bucket}/{manifest}",
    }
    finish(kube, job_id, "True", "Completed", result=result)
    return f"/jobs/{job_id}/stems/vocals"
