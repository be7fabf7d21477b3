"""A file of a caller's own, sent to the real bucket by what the real API gave for it."""

from pathlib import Path

import httpx
from tests.support import plain_http
from tests.support.api_harness import NAMESPACE, body, splitjobs, started, with_bucket
from tests.support.leftovers import assert_none_is_left

from splitjob_local.cluster.local_cluster import LocalCluster

SONG = b"a song" * 1000


def test_a_file_is_sent_once_as_it_was_announced_and_asked_for_by_its_address(
    kube: LocalCluster, tmp_path: Path
) -> None:
    """Acceptance 28a."""
    log = tmp_path / "log"
    settings = {"UPLOADS_ENABLED": "true", "STORAGE_PREFIX": "taken", "MAX_SOURCE_BYTES": "6000"}
    with started(kube, log, **with_bucket(kube), **settings) as api:
        asked = {"filename": "../My söng.wav", "size": len(SONG)}
        too_large = api.send("POST", "/uploads", {**asked, "size": len(SONG) + 1})
        assert too_large.status_code == 422
        answer = api.send("POST", "/uploads", asked)
        assert answer.status_code == 201
        given = answer.json()
        url, headers = given["url"], given["headers"]
        longer = {**headers, "Content-Length": str(len(SONG) + 1)}
        assert plain_http.put(url, content=SONG + b"!", headers=longer).status_code == 403
        unsigned = url.partition("?")[0]
        assert plain_http.put(unsigned, content=SONG, headers=headers).status_code == 403
        assert plain_http.put(url, content=SONG, headers=headers).status_code == 200
        assert plain_http.put(url, content=SONG, headers=headers).status_code == 412
        bucket, _, key = given["audioUrl"].removeprefix("s3://").partition("/")
        assert bucket == kube.s3.bucket
        assert key.startswith("taken/_inputs/")
        assert kube.s3.service().get_object(key) == SONG
        taken = api.post(body("sent", audioUrl=given["audioUrl"]))
        assert taken.status_code == 202
        other = given["audioUrl"].replace("_inputs", "song-1")
        assert api.post(body("sent", audioUrl=other)).status_code == 422
    [job] = splitjobs(kube, "sent")
    assert job["spec"]["request"]["source"] == {"url": given["audioUrl"]}
    signature = httpx.URL(url).params["X-Amz-Signature"]
    secrets = (signature, kube.s3.secret_access_key)
    assert_none_is_left(kube.cluster, NAMESPACE, [log.read_text()], secrets)
