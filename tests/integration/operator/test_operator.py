"""The operator on a real cluster: one operator for all of these, each with SplitJobs of its own."""

import json
import secrets
import time
from collections.abc import Iterator
from io import BytesIO

import pytest
from tests.support import plain_http
from tests.support.operator_harness import Site, site
from tests.support.waiting import eventually

from splitjob_local.cluster.local_cluster import LocalCluster


@pytest.fixture(scope="module")
def here(crd: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(crd, tmp_path_factory.mktemp("operator")) as place:
        place.start()
        yield place


def test_a_completed_job_is_told_and_leaves_only_its_splitjob(here: Site) -> None:
    """From the SplitJob to the signed webhook, and nothing left but the SplitJob."""
    name = here.ask("progress 40; sleep 1; complete")
    event = here.told(name)
    status = here.ended(name)
    assert status["phase"] == "Completed"
    assert [stem["type"] for stem in status["result"]["stems"]] == ["drums", "vocals"]
    assert status["result"]["stems"][0]["url"].endswith(f"/v-{name}/{name}/drums.wav")
    assert event.body["status"] == "completed"
    assert event.body["jobId"] == name
    assert event.headers["webhook-id"] == f"evt-{here.job(name)['metadata']['uid']}-completed"
    assert event.headers["x-signature"].startswith("sha256=")
    eventually(lambda: not here.jobs(name) and not here.pods(name))
    eventually(lambda: here.condition(name, "Notified")["status"] == "True")
    eventually(lambda: here.status(name)["counted"])
    about = f"--field-selector=involvedObject.name={name}"
    eventually(
        lambda: {"AttemptStarted", "Completed"} <= set(here.kubectl("get", "events", about).split())
    )


def test_progress_comes_from_the_log(here: Site) -> None:
    name = here.ask("progress 40; sleep 8; complete")
    eventually(lambda: here.status(name)["progress"]["percent"] == 40)
    assert here.status(name)["progress"]["stage"] == "separate"


def test_what_the_worker_delivered_is_not_sent_again(here: Site) -> None:
    """Acceptance 47."""
    name = here.ask("manifest; told")
    status = here.ended(name)
    assert status["webhook"]["deliveredBy"] == "worker"
    time.sleep(1)
    assert here.receiver.of(name) == []


def test_killed_after_the_manifest_is_completed(here: Site) -> None:
    """Acceptance 48: the manifest is the proof, whatever became of the pod."""
    name = here.ask("manifest; exit 137")
    assert here.reason(name) == "Completed"
    assert here.told(name).body["stems"]


def test_canceled_while_it_runs(here: Site) -> None:
    """Acceptance 46a: final only when the pod is gone; the bucket is claimed."""
    name = here.ask("sleep 60")
    here.running(name)
    here.change(name, canceled=True)
    event = here.told(name)
    assert (event.body["status"], event.body["errorCode"]) == ("canceled", "canceled")
    assert here.pods(name) == []
    assert here.manifest(name)["status"] == "canceled"  # type: ignore[index]


def test_cancel_and_completion_at_once(here: Site) -> None:
    """Acceptance 46a: whichever the manifest says."""
    name = here.ask("deaf; manifest; sleep 60")
    here.running(name)
    eventually(lambda: here.manifest(name))
    here.change(name, canceled=True)
    assert here.reason(name) == "Completed"
    assert here.told(name).body["status"] == "completed"


def test_of_a_hundred_at_once_none_is_stuck(here: Site) -> None:
    """Acceptance 57, in small: each ends, is told and is counted; a bench has ten thousand."""
    names = {here.ask("", spec={"canceled": True}) for _ in range(100)}

    def told_and_counted() -> set[str]:
        jobs = {job["metadata"]["name"]: job["status"] for job in here.get("splitjobs")["items"]}
        return {
            name
            for name in names
            if jobs[name]["webhook"]["state"] == "Delivered" and jobs[name]["counted"]
        }

    eventually(lambda: told_and_counted() == names, 60)
    ids = [{one.headers["webhook-id"] for one in here.receiver.of(name)} for name in names]
    assert [len(of_one) for of_one in ids] == [1] * 100


def test_a_file_that_two_jobs_read_goes_with_the_second(here: Site) -> None:
    """Acceptance 28c: on the real API server, and the real bucket."""
    key = f"_inputs/{secrets.token_hex(16)}/song.wav"
    bucket = here.cluster.s3.service()
    bucket.upload_fileobj(BytesIO(b"a song"), key)
    source = {"url": bucket.url(key)}
    second = here.ask("complete", source=source, spec={"suspend": True})
    first = here.ask("complete", source=source)
    assert here.reason(first) == "Completed"
    eventually(lambda: here.condition(first, "Notified")["status"] == "True")
    assert bucket.file_exists(key)
    here.change(second, suspend=False)
    assert here.reason(second) == "Completed"
    eventually(lambda: here.status(second)["inputDeletedAt"])
    assert not bucket.file_exists(key)


def test_suspended_and_resumed(here: Site) -> None:
    name = here.ask("complete", spec={"suspend": True})
    eventually(lambda: here.status(name)["phase"] == "Suspended")
    assert here.jobs(name) == []
    here.change(name, suspend=False)
    assert here.reason(name) == "Completed"


def test_a_worker_cut_off_completes_nothing_afterwards(here: Site) -> None:
    """Acceptance 46b: the tombstone stands where its manifest would."""
    name = here.ask("sleep 60")
    here.running(name)
    here.change(name, canceled=True)
    here.told(name)
    key = f"v-{name}/{name}/manifest.json"
    assert not here.cluster.s3.service().put_if_absent(key, b"{}")


def test_a_later_job_of_the_same_name_runs(here: Site) -> None:
    """A tombstone of another uid is cleared before the attempt."""
    name = here.ask("fail audio_too_short")
    here.told(name)
    here.delete("splitjob", name)
    here.ask("complete", name=name)
    eventually(lambda: here.status(name)["phase"] == "Completed")
    assert here.manifest(name)["status"] == "completed"  # type: ignore[index]


def test_a_restored_backup_runs_nothing_again(here: Site) -> None:
    name = here.ask("complete")
    here.told(name)
    eventually(lambda: here.status(name)["counted"])
    here.delete("splitjob", name)
    here.ask("complete", name=name)
    status = here.ended(name)
    assert status["phase"] == "Completed"
    assert "attempts" not in status or status["attempts"] == []


def test_another_request_under_the_name_of_a_completed_job_runs(here: Site) -> None:
    """Stems of one request are no answer to another."""
    name = here.ask("complete")
    here.told(name)
    eventually(lambda: here.status(name)["counted"])
    here.delete("splitjob", name)
    here.ask("complete", name=name, format="flac")
    status = here.ended(name)
    assert status["phase"] == "Completed"
    assert len(status["attempts"]) == 1


def test_a_deleted_splitjob_takes_everything_with_it(here: Site) -> None:
    """Acceptance 55."""
    url = f"{here.receiver.base}song.wav?X-Amz-Signature=secret"
    here.secret("urls-55", source=url)
    source = {"url": f"{here.receiver.base}song.wav", "secretKey": "source"}
    name = here.ask("sleep 60", secretName="urls-55", source=source)
    here.running(name)
    owners = here.get("secret", "urls-55")["metadata"]["ownerReferences"]
    assert [owner["name"] for owner in owners] == [name]
    assert "finalizers" not in here.job(name)["metadata"]
    here.delete("splitjob", name)
    eventually(lambda: not here.jobs(name) and not here.pods(name))
    eventually(lambda: "urls-55" not in here.names("secrets"))
    assert here.receiver.of(name) == []


def test_the_data_of_a_completed_job_are_erased_once(here: Site) -> None:
    """Acceptance 74: nothing of others goes; the job and its result stay on record."""
    name = here.ask("complete")
    here.ended(name)
    bucket = here.cluster.s3.service()
    stems = [f"v-{name}/{name}/{stem}.wav" for stem in ("drums", "vocals")]
    others = [f"v-{name}/{name}-2/drums.wav"]
    for key in (*stems, *others):
        bucket.client.put_object(Bucket=bucket.bucket, Key=key, Body=b"sound")
    here.change(name, erase=True)
    erased = eventually(lambda: here.status(name)["erased"]["at"] and here.status(name)["erased"])
    assert erased["objects"] == 3
    assert erased["files"] == ["drums.wav", "manifest.json", "vocals.wav"]
    left = [found["key"] for found in bucket.list_objects(f"v-{name}/")]
    assert left == sorted([*others, f"v-{name}/{name}/manifest.json"])
    manifest = here.manifest(name)
    assert manifest
    assert manifest["status"] == "erased"
    assert here.status(name)["result"]["stems"]
    assert here.told(name).body["status"] == "completed"
    told = here.kubectl("get", "events", f"--field-selector=involvedObject.name={name}")
    assert "Erased" in told


def test_a_secret_that_a_retry_shares_outlives_the_first_job(here: Site) -> None:
    here.secret("urls-shared", source=f"{here.receiver.base}song.wav?X-Amz-Signature=secret")
    source = {"url": f"{here.receiver.base}song.wav", "secretKey": "source"}
    first = here.ask("fail source_not_found", secretName="urls-shared", source=source)
    here.ended(first)
    second = here.ask("sleep 60", secretName="urls-shared", source=source)
    here.running(second)

    def owners() -> list[str]:
        found = here.get("secret", "urls-shared")["metadata"]["ownerReferences"]
        return [owner["name"] for owner in found]

    assert owners() == [first, second]
    here.delete("splitjob", first)
    eventually(lambda: owners() == [second])
    here.delete("splitjob", second)
    eventually(lambda: "urls-shared" not in here.names("secrets"))


def test_requests_written_by_hand_are_checked_again(here: Site) -> None:
    """A model not there or not offered, a Secret of another type, a webhook off the list."""
    here.secret("other-type", "Opaque", source="https://x.example.com/s?a=b")
    names = [
        here.ask("complete", model="nothing"),
        here.ask("complete", secretName="other-type"),
        here.ask("complete", webhook={"url": "https://evil.example.com/hooks"}),
        here.ask("complete", stems=["kazoo"]),
        here.ask("complete", webhook={"url": "https://[oops/hooks"}),
        here.ask("complete", model="htdemucs"),
    ]
    for name in names:
        status = here.ended(name)
        assert status["failure"]["code"] == "request_invalid"
        assert "attempts" not in status or status["attempts"] == []
    for name in (names[2], names[4]):
        blocked = eventually(lambda: here.status(name)["webhook"].get("lastError"))  # noqa: B023
        assert "not allowed" in blocked or "cannot be used" in blocked
        assert here.status(name)["webhook"]["state"] == "Blocked"


def test_a_secret_that_is_not_there(here: Site) -> None:
    """Acceptance 43."""
    name = here.ask("complete", secretName="nowhere")
    assert here.ended(name)["failure"]["code"] == "worker_config"


def test_an_expired_url_is_not_tried(here: Site) -> None:
    """Acceptance 24."""
    plain = f"{here.receiver.base}song.wav"
    query = "X-Amz-Date=20200101T000000Z&X-Amz-Expires=60&X-Amz-Signature=s3cret"
    here.secret("urls-24", source=f"{plain}?{query}")
    source = {"url": plain, "secretKey": "source"}
    name = here.ask("complete", secretName="urls-24", source=source)
    status = here.ended(name)
    assert status["failure"]["code"] == "source_expired"
    assert "s3cret" not in json.dumps(here.job(name))


def test_the_totals_count_each_job_once(here: Site) -> None:
    """They outlive the SplitJobs."""

    def everything() -> bool:
        jobs = here.get("splitjobs")["items"]
        return all(job["status"]["counted"] for job in jobs if "finishedAt" in job["status"])

    eventually(everything)
    data = here.get("configmap", "track-tree-audio-totals")["data"]
    seen = {one.headers["webhook-id"] for one in here.receiver.heard}
    completed = sum(name.endswith("-completed") for name in seen)
    assert int(data["completed"]) >= completed
    assert int(data["canceled"]) >= sum(name.endswith("-canceled") for name in seen)


def test_metrics_and_health(here: Site) -> None:

    url = here.operators[0].url
    assert plain_http.get(f"{url}/healthz").json()["ok"] is True
    text = plain_http.get(f"{url}/metrics").text
    assert "splitjob_finished_total" in text
    assert "splitjob_resync_age_seconds" in text


def test_the_log_names_the_job_and_holds_no_secret(here: Site) -> None:
    lines = here.operators[0].log.read_text().splitlines()
    parsed = [json.loads(line) for line in lines if line.startswith("{")]
    assert any(line.get("jobId") and line.get("versionId") for line in parsed)
    assert "s3cret" not in "".join(lines)
    assert "X-Amz-Signature=secret" not in "".join(lines)
