"""What goes wrong on the way, and what must come of it: each on the real cluster, end to end."""

import secrets
import signal
import time
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from tests.support import plain_http
from tests.support.leftovers import assert_none_is_left
from tests.support.waiting import eventually
from tests.support.web import Handler, Request, answer, give
from tests.support.whole_path import PATIENCE, WholePath

from bench.audio_files import tones, write_audio
from splitjob_client import (
    AnswerError,
    Client,
    InvalidRequestError,
    SigningToken,
    SplitFields,
)
from splitjob_local.cluster.objects import ClusterError

QUERY = "do-not-tell-anybody"


def redirect(target: str) -> Handler:
    return answer(302, Location=target)


def test_each_bad_source_gives_one_final_event_with_its_code(path: WholePath) -> None:
    """Acceptance 22, 23, 25, 29, 30: one final event each, with its code, and no secret in it."""
    web = path.web
    page = b"<html><body>Not found</body></html>" * 20
    asked = {
        path.ask(web.serve("/missing.wav", answer(404))): "source_not_found",
        path.ask(web.serve("/inside.wav", redirect("http://10.0.0.1/x"))): "source_forbidden",
        path.ask(web.serve("/round.wav", redirect("/round.wav"))): "source_forbidden",
        path.ask(web.give("/page.wav", page)): "audio_unreadable",
        path.ask(web.give("/empty.wav", b"")): "audio_unreadable",
        path.ask(web.give("/short.wav", path.song[: 44 + 4 * 4410])): "audio_too_short",
    }
    for name, code in asked.items():
        path.wait(name)
        body = path.final(name)
        assert (body["status"], body["errorCode"], body["stems"]) == ("failed", code, []), body
        assert body["error"]
        job = path.job(name)
        assert job["status"]["phase"] == "Failed"
        assert len(job["status"]["attempts"]) == 1
        assert QUERY not in str(job)
        assert QUERY not in str(body)


def test_03_a_signature_of_the_past(path: WholePath) -> None:
    """Acceptance 3: within the window, what is wrong with the request is told; outside, nothing."""

    def status(seconds_ago: float) -> int:
        signed = SigningToken(path.service.token, lambda: time.time() - seconds_ago)
        with Client(path.service.api_urls()[0], signed) as late, pytest.raises(AnswerError) as told:
            late.submit(version_id="", audio_url="", ai_model="", webhook="")
        return told.value.status

    assert [status(ago) for ago in (290, 301)] == [422, 401]


def test_a_model_whose_weights_are_not_there(path: WholePath) -> None:
    name = path.ask(path.song_url(), ai_model="htdemucs")
    path.wait(name)
    assert path.final(name)["errorCode"] == "model_unavailable"


def test_stems_go_to_urls_that_sign_headers(path: WholePath) -> None:
    """Acceptance 73: what the caller signed is sent, and its values show nowhere."""
    storage = path.service.s3.service()
    signed = {"ContentType": "audio/x-of-mine", "Metadata": {"key": "do-not-tell"}}
    vocals = storage.client.generate_presigned_url(
        "put_object", Params={"Bucket": storage.bucket, "Key": "mine/vocals", **signed}
    )
    uploads = {
        "vocals": {"url": vocals, "headers": {"Content-Type": "audio/x-of-mine"}},
        "manifest": storage.generate_presigned_put_url("mine/manifest"),
    }
    with pytest.raises(InvalidRequestError) as refused:
        path.ask(path.song_url(), stems=["vocals"], uploads=uploads)
    [wrong] = refused.value.errors
    assert wrong.field == "uploads.vocals"
    assert "the header x-amz-meta-key" in wrong.message
    uploads["vocals"]["headers"]["x-amz-meta-key"] = "do-not-tell"  # type: ignore[index]
    name = path.ask(path.song_url(), stems=["vocals"], uploads=uploads)
    path.wait(name)
    assert path.final(name)["status"] == "completed"
    stored = storage.get_object_metadata("mine/vocals")
    assert (stored["content_type"], stored["metadata"]) == (
        "audio/x-of-mine",
        {"key": "do-not-tell"},
    )
    assert "do-not-tell" not in str(path.job(name))
    uploads["vocals"]["headers"]["Content-Type"] = "audio/of-nobody"  # type: ignore[index]
    unlike = path.ask(path.song_url(), stems=["vocals"], uploads=uploads)
    path.wait(unlike)
    assert path.final(unlike)["errorCode"] == "upload_failed"
    assert "signed for other values of its headers" in path.final(unlike)["error"]
    assert "of-nobody" not in path.final(unlike)["error"]


def test_a_presigned_url_that_expires_in_the_queue(path: WholePath) -> None:
    """Acceptance 24: of the song, or for a stem; known before any work is done."""
    storage = path.service.s3.service()
    storage.upload_fileobj(BytesIO(path.song), "songs/e2e.wav")
    slow = path.ask(path.web.serve("/slow.wav", dawdle(path.song, 6)))
    eventually(lambda: path.status(slow).get("attempts"))  # it has the one place there is
    name = path.ask(storage.generate_presigned_get_url("songs/e2e.wav", expires_in=3))
    soon = {"manifest": storage.generate_presigned_put_url("late/manifest", expires_in=3)}
    late = path.ask(
        path.song_url(),
        stems=["vocals"],
        uploads={**soon, "vocals": storage.generate_presigned_put_url("late/vocals")},
    )
    path.wait(name)
    assert path.final(name)["errorCode"] == "source_expired"
    path.wait(late)
    assert path.final(late)["errorCode"] == "upload_failed"
    assert "uploads.manifest expired at" in path.final(late)["error"]
    assert path.status(late)["attempts"] == []
    path.wait(slow)
    assert path.final(slow)["status"] == "completed"


def dawdle(content: bytes, seconds: float) -> Handler:
    def handle(request: Request) -> None:
        time.sleep(seconds)
        give(request, content)

    return handle


def test_three_503s_then_a_song(path: WholePath) -> None:
    """Acceptance 25."""
    left = [503, 503, 503]

    def flaky(request: Request) -> None:
        if left:
            answer(left.pop())(request)
        else:
            give(request, path.song)

    name = path.ask(path.web.serve("/flaky.wav", flaky))
    path.wait(name)
    assert path.final(name)["status"] == "completed"
    assert len(path.status(name)["attempts"]) == 1


def test_the_receiver_is_down(path: WholePath) -> None:
    """Acceptance 59: delivered later, under the same id; the job's result is not touched."""
    path.hang_up()
    try:
        name = path.ask(path.song_url())
        path.wait_for_phase(name, "Completed")
        outbox = eventually(lambda: tried(path, name))
        assert outbox["state"] == "Pending"
        assert outbox["lastError"]
    finally:
        path.listen()
    path.wait(name)
    assert path.final(name)["status"] == "completed"
    assert path.status(name)["webhook"]["deliveredBy"] == "operator"


def tried(path: WholePath, name: str) -> dict[str, Any]:
    outbox: dict[str, Any] = path.status(name).get("webhook") or {}
    return outbox if outbox.get("attempts") else {}


def test_the_storage_is_down(path: WholePath) -> None:
    """Acceptance 49: a job under way and one that waits are both completed once it is back."""
    under_way = path.ask(path.web.serve("/under-way.wav", dawdle(path.song, 3)))
    path.wait_for_phase(under_way, "Running")
    path.kube.kill("s3")
    try:
        waiting = path.ask(path.song_url())
        time.sleep(10)
    finally:
        path.kube.start("s3")
    for name in (under_way, waiting):
        path.wait(name)
        assert path.final(name)["status"] == "completed"


def test_the_operator_is_killed_in_the_middle(path: WholePath) -> None:
    """Acceptance 51, 52: what happened meanwhile is seen afterwards."""
    name = path.ask(path.web.serve("/while-away.wav", dawdle(path.song, 3)))
    path.wait_for_phase(name, "Running")
    killed = path.processes("splitjob_operator.runtime.kopf_app")
    assert killed
    for process in killed:
        process.send_signal(signal.SIGKILL)
    path.wait(name)
    assert path.final(name)["status"] == "completed"
    assert len(path.status(name)["attempts"]) == 1


def test_the_kubernetes_api_is_killed_in_the_middle(path: WholePath) -> None:
    """Acceptance 53: SIGKILL of the API server and of etcd; all recover by themselves."""
    name = path.ask(path.web.serve("/no-api.wav", dawdle(path.song, 2)))
    path.wait_for_phase(name, "Running")
    path.kube.kill("kube-apiserver")
    path.kube.kill("etcd")
    time.sleep(5)
    path.kube.start("etcd")
    path.kube.start("kube-apiserver")
    path.wait(name)
    assert path.final(name)["status"] == "completed"
    assert len(path.status(name)["attempts"]) == 1


def test_16_the_api_is_killed_and_the_caller_asks_again(path: WholePath) -> None:
    """Acceptance 16, 17: the retry, to a new process, gives the same job."""
    request: SplitFields = {
        "version_id": f"again-{secrets.token_hex(4)}",
        "audio_url": path.song_url(),
        "ai_model": "demo",
        "webhook": path.service.webhook_base,
    }
    name = path.client.submit(**request).job_id
    for process in path.processes("splitjob_api"):
        process.send_signal(signal.SIGKILL)
    eventually(lambda: answers_again(path), 60)
    again = path.client.submit(**request)
    assert (again.created, again.job_id) == (False, name)
    path.wait(name)
    assert path.final(name)["status"] == "completed"


def answers_again(path: WholePath) -> bool:
    try:
        return plain_http.get(f"{path.service.api_urls()[0]}/readyz").is_success
    except httpx.TransportError:
        return False


def test_the_pod_is_killed_in_the_middle(path: WholePath) -> None:
    """Acceptance 44: the pod goes, another attempt is made, one final event comes."""
    name = path.ask(path.web.serve("/pod-killed.wav", dawdle(path.song, 4)))
    path.wait_for_phase(name, "Running")
    [pod] = path.pods_of(name)
    path.cluster.kubectl(
        *("delete", "pod", pod, "-n", path.service.namespace, "--grace-period=0", "--force")
    )
    path.wait(name)
    assert path.final(name)["status"] == "completed"
    assert len(path.status(name)["attempts"]) == 2


def test_the_worker_is_killed_in_the_middle(path: WholePath) -> None:
    """SIGKILL from outside, no word of its own: another attempt."""
    name = path.ask(path.web.serve("/worker-killed.wav", dawdle(path.song, 4)))
    path.wait_for_phase(name, "Running")
    for process in eventually(lambda: path.processes("splitjob_worker")):
        process.send_signal(signal.SIGKILL)
    path.wait(name)
    assert path.final(name)["status"] == "completed"
    assert len(path.status(name)["attempts"]) == 2


def test_a_long_song_goes_on_where_its_worker_was_killed(path: WholePath, tmp_path: Path) -> None:
    """Acceptance 77: one final event, all stems, and nothing left of what was kept meanwhile."""
    storage = path.service.s3.service()

    def kept() -> list[str]:
        return [
            one["key"] for one in storage.list_objects("e2e-kept/") if "/checkpoint/" in one["key"]
        ]

    song = write_audio(tmp_path / "long.wav", tones(44100, 40.0, 2)).read_bytes()
    name = path.ask(path.web.give("/long.wav", song), version_id="e2e-kept")
    eventually(lambda: any(key.endswith("/index.json") for key in kept()), PATIENCE)
    for process in path.processes("splitjob_worker"):
        process.send_signal(signal.SIGKILL)
    eventually(lambda: "goes on from a checkpoint" in log_of(path, f"{name}-2"), PATIENCE)
    path.wait(name)
    assert path.final(name)["status"] == "completed"
    assert len(path.status(name)["attempts"]) == 2
    assert kept() == []


def log_of(path: WholePath, job: str) -> str:
    return path.cluster.kubectl("logs", f"job/{job}", "-n", path.service.namespace)


def test_46_the_job_is_deleted_by_hand(path: WholePath) -> None:
    name = path.ask(path.web.serve("/job-deleted.wav", dawdle(path.song, 4)))
    path.wait_for_phase(name, "Running")
    path.cluster.objects.delete("job", f"{name}-1", namespace=path.service.namespace)
    path.wait(name)
    assert path.final(name)["status"] == "completed"
    assert len(path.status(name)["attempts"]) == 2


def test_canceling_by_hand_stops_the_worker_and_says_so_once(path: WholePath) -> None:
    """spec.canceled: the worker is stopped, the one final event says canceled."""
    name = path.ask(path.web.serve("/canceled.wav", dawdle(path.song, 30)))
    path.wait_for_phase(name, "Running")
    change = {"spec": {"canceled": True}}
    path.cluster.objects.patch("splitjob", name, change, namespace=path.service.namespace)
    path.wait(name, seconds=60)
    body = path.final(name)
    assert (body["status"], body["errorCode"]) == ("canceled", "canceled")
    eventually(lambda: path.pods_of(name) == [])  # a kubelet takes a moment to let go of it


def test_55_a_deleted_splitjob_takes_everything_along(path: WholePath) -> None:
    name = path.ask(path.web.serve("/deleted.wav", dawdle(path.song, 30)))
    path.wait_for_phase(name, "Running")
    namespace = path.service.namespace
    secret = path.job(name)["spec"]["request"]["secretName"]
    path.cluster.objects.delete("splitjob", name, namespace=namespace)
    eventually(lambda: not path.pods_of(name), 60)
    for kind, what in (("job", f"{name}-1"), ("secret", secret)):
        eventually(partial(is_gone, path, kind, what), 60)


def is_gone(path: WholePath, kind: str, name: str) -> bool:
    return name not in path.cluster.objects.names(kind, namespace=path.service.namespace)


def test_56_the_request_cannot_be_edited(path: WholePath) -> None:
    name = path.ask(path.song_url())
    change = {"spec": {"request": {"model": "other"}}}
    namespace = path.service.namespace
    with pytest.raises(ClusterError, match=r"immutable|cannot"):
        path.cluster.objects.patch("splitjob", name, change, namespace=namespace)
    path.wait(name)


def test_queue_status_counts_each_job_once(path: WholePath) -> None:
    """What this module did is in the totals, once."""
    eventually(partial(all_are_counted, path), PATIENCE)  # those of the tests before this one
    before = path.client.queue_status()
    names = [path.ask(path.song_url()) for _ in range(2)]
    names.append(path.ask(path.web.serve("/missing-2.wav", answer(404))))
    for name in names:
        path.wait(name)
        eventually(partial(is_counted, path, name))
    after = path.client.queue_status()
    assert after.completed_jobs - before.completed_jobs == 2
    assert after.failed_jobs - before.failed_jobs == 1


def all_are_counted(path: WholePath) -> bool:
    jobs = path.cluster.objects.get("splitjobs", namespace=path.service.namespace)["items"]
    return all(job.get("status", {}).get("counted") for job in jobs)


def is_counted(path: WholePath, name: str) -> bool:
    return bool(path.status(name).get("counted"))


def test_no_secret_is_left_in_a_log_an_event_or_a_resource(path: WholePath) -> None:
    """Of all that the tests of this file did, and of a run that ends well; nor in a webhook."""
    name = path.ask(path.song_url())
    path.wait(name)
    link = parse_qs(urlsplit(path.client.stem_url(name, "drums").url).query)
    s3, namespace = path.service.s3, path.service.namespace
    keys = (s3.access_key_id, s3.secret_access_key)
    known = (path.service.token, QUERY, *keys, *link["X-Amz-Signature"])
    ours = "--selector=app.kubernetes.io/name=track-tree-audio"
    every = ("--all-containers", "--tail=-1", "--max-log-requests=20")
    logged = path.cluster.kubectl("logs", "-n", namespace, ours, *every)
    assert "request answered" in logged
    told = "".join(one.body.decode() for one in path.deliveries)
    assert name in told
    assert_none_is_left(path.cluster, namespace, [logged, told], known)
