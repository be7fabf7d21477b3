"""What goes wrong around the operator: it is killed, doubled, cut off, or given a poor cluster."""

import signal
import sys
import time
from pathlib import Path

import yaml
from tests.support.operator_harness import Site
from tests.support.waiting import eventually, patience, timeout
from tests.support.web import answer, in_turn

from splitjob.resource import LABEL_SPLITJOB


def test_killed_while_jobs_finish(here: Site) -> None:
    """Acceptance 52: what ended while it was down is reported, once."""
    operator = here.start()
    names = [here.ask("sleep 2; complete"), here.ask("sleep 2; fail audio_unreadable")]
    for name in names:
        here.running(name)
    operator.kill()
    eventually(
        lambda: all(here.pods(n)[0]["status"]["phase"] in ("Succeeded", "Failed") for n in names)
    )
    waiting = here.ask("complete")
    here.start()
    for name in (*names, waiting):
        here.told(name)
    time.sleep(1)
    assert [len(here.receiver.of(name)) for name in (*names, waiting)] == [1, 1, 1]
    assert [len(here.status(name)["attempts"]) for name in names] == [1, 1]


def test_killed_again_and_again(here: Site) -> None:
    """Acceptance 51: SIGKILL at any moment gives the same end, one webhook id."""
    names = [here.ask("sleep 0.3; complete", name=f"chaos-{n}") for n in range(6)]
    for delay in (0.15, 0.4, 0.7, 1.0):
        operator = here.start()
        time.sleep(delay)
        operator.kill()
    here.start()
    for name in names:
        here.told(name, 60)
        status = here.ended(name)
        assert status["phase"] == "Completed"
        assert len(status["attempts"]) == 1
        assert len({one.headers["webhook-id"] for one in here.receiver.of(name)}) == 1
    eventually(lambda: all(here.status(name)["counted"] for name in names))
    data = here.get("configmap", "track-tree-audio-totals")["data"]
    assert int(data["completed"]) == len(names)


def test_two_operators_by_mistake(here: Site) -> None:
    """Acceptance 54: one Job, one webhook id; the totals count once."""
    here.start(KEEP_FINISHED_JOBS_SECONDS="600")
    here.start(KEEP_FINISHED_JOBS_SECONDS="600")
    names = [here.ask("complete", name=f"twin-{n}") for n in range(5)]
    for name in names:
        here.told(name, 60)
        (attempt,) = here.ended(name)["attempts"]
        (job,) = here.jobs(name)
        assert job["metadata"]["uid"] == attempt["jobUid"]
        assert len(here.pods(name)) == 1
        assert len({one.headers["webhook-id"] for one in here.receiver.of(name)}) == 1
    eventually(lambda: all(here.status(name)["counted"] for name in names))
    data = here.get("configmap", "track-tree-audio-totals")["data"]
    assert int(data["completed"]) == len(names)


def test_the_api_server_is_away(here: Site) -> None:
    """Acceptance 53: killed while a job runs; recovers by itself within a resync."""
    operator = here.start()
    name = here.ask("sleep 4; complete")
    here.running(name)
    here.cluster.kill("kube-apiserver")
    time.sleep(6)
    here.cluster.start("kube-apiserver")
    event = here.told(name, 60)
    assert event.body["status"] == "completed"
    after = here.ask("complete")
    assert here.told(after, 60).body["status"] == "completed"
    assert operator.process.poll() is None, "the process itself went on"


def test_an_api_server_that_freezes(here: Site) -> None:
    """Acceptance 53: connections that hang are given up."""
    here.start()
    here.cluster.processes.send_signal("kube-apiserver", signal.SIGSTOP)
    time.sleep(8)
    here.cluster.processes.send_signal("kube-apiserver", signal.SIGCONT)
    name = eventually(lambda: here.ask("complete"))
    assert here.told(name, 60).body["status"] == "completed"


def test_a_job_does_not_start_while_the_storage_is_away(here: Site) -> None:
    """Acceptance 49, 72: it waits, says why, and goes on; a tombstone comes late, but it comes."""
    here.start()
    here.cluster.kill("s3")
    try:
        name = here.ask("complete")
        waits = eventually(lambda: here.status(name)["queue"]["reason"] and here.status(name))
        assert waits["queue"]["reason"] == "StorageUnavailable"
        assert here.jobs(name) == []
        canceled = here.ask("complete", spec={"canceled": True})
        assert here.told(canceled).body["status"] == "canceled"
        assert here.status(canceled)["tombstoneDue"]
    finally:
        here.cluster.start("s3")
    eventually(lambda: "tombstoneDue" not in here.status(canceled), 60)
    assert (here.manifest(canceled) or {})["status"] == "canceled"
    assert here.told(name, 60).body["status"] == "completed"


def test_priority_then_age_decide_and_never_more_run_than_the_bound(here: Site) -> None:
    """At most maxActiveJobs at once; priority, then age."""
    here.start(MAX_ACTIVE_JOBS="1")
    first = here.ask("sleep 8; complete")
    here.running(first)
    longer_than_a_second = "sleep 1.5; complete"  # the resolution of a pod's times
    low = here.ask(longer_than_a_second, spec={"priority": -5})
    high = here.ask(longer_than_a_second, spec={"priority": 5})
    eventually(lambda: here.status(high)["queue"]["position"] == 1)
    assert here.jobs(high) == []
    for name in (first, low, high):
        here.told(name)
    order = sorted((first, low, high), key=lambda n: here.status(n)["startedAt"])
    assert order == [first, high, low]
    jobs = [here.ask("sleep 0.5; complete") for _ in range(2)]
    while not all("finishedAt" in here.status(name) for name in jobs):
        alive = [p for p in here.get("pods")["items"] if p["status"]["phase"] == "Running"]
        assert len(alive) <= 1


def test_of_two_customers_none_waits_for_all_the_songs_of_the_other(here: Site) -> None:
    """Acceptance 78: they take turns, though all the songs of the first were there before."""

    def ask(customer: str, script: str = "sleep 1.5; complete") -> str:
        return here.ask(script, metadata={"script": script, "customer": customer})

    here.start(MAX_ACTIVE_JOBS="1", QUEUE_GROUP_BY="customer")
    first = ask("one", "sleep 60")
    here.running(first)
    earlier, other = [ask("one") for _ in range(3)], ask("another")
    eventually(lambda: here.status(other)["queue"]["position"] == 1)
    here.change(first, canceled=True)
    started = here.ended(other)["startedAt"]
    assert all(here.status(name).get("startedAt", "later") > started for name in earlier)


def test_a_paused_installation_admits_nothing_until_it_goes_on(here: Site) -> None:
    operator = here.start(PAUSED="true")
    name = here.ask("complete")
    eventually(lambda: here.condition(name, "Admitted")["reason"] == "InstallationPaused")
    operator.stop()
    here.start()
    assert here.told(name).body["status"] == "completed"


def test_a_strangers_job_is_in_the_way(here: Site) -> None:
    container = {"name": "x", "image": "track-tree-audio/x:1", "command": ["true"]}
    here.apply(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "taken-1"},
            "spec": {
                "suspend": True,
                "template": {"spec": {"restartPolicy": "Never", "containers": [container]}},
            },
        }
    )
    here.start()
    name = here.ask("complete", name="taken")
    assert here.told(name).body["errorCode"] == "worker_config"
    assert here.kubectl("get", "job/taken-1", "-o=name").strip() == "job.batch/taken-1"


def test_the_allowlist_was_narrowed_while_an_event_waited(here: Site) -> None:
    """Acceptance 63: blocked, and said so."""
    here.receiver.answers["/hooks/late"] = answer(503)
    operator = here.start()
    here.ask("complete", name="late")
    eventually(lambda: here.status("late")["webhook"]["attempts"] == 1)
    operator.stop()
    heard = len(here.receiver.of("late"))
    here.start(API_WEBHOOK_URL_ALLOWLIST="https://hooks.example.com/x")
    hook = eventually(
        lambda: (
            here.status("late")["webhook"]["state"] == "Blocked" and here.status("late")["webhook"]
        )
    )
    assert hook["lastError"]
    assert len(here.receiver.of("late")) == heard


MOVING = """
import os, socket
from pathlib import Path
from kopf.cli import main

ask, moved = socket.getaddrinfo, Path(os.environ["MOVED"])

def getaddrinfo(host, *given, **named):
    if host == "localhost" and moved.exists():
        host = moved.read_text()
    return ask(host, *given, **named)

socket.getaddrinfo = getaddrinfo
main()
"""  # the name that the receiver has may get another address at any time


def test_the_name_of_a_receiver_points_inside_while_an_event_waits(here: Site) -> None:
    """Acceptance 63: blocked, and said so; heard once the name points where it may again."""
    moved = here.folder / "moved"
    base = here.receiver.base.replace("127.0.0.1", "localhost")
    here.receiver.answers["/hooks/moving"] = in_turn(answer(503), answer(204))
    command = [sys.executable, "-c", MOVING, *here.arguments()]
    here.start(command, MOVED=str(moved), API_WEBHOOK_URL_ALLOWLIST=base)
    name = here.ask("complete", name="moving", webhook={"url": f"{base}moving"})
    eventually(lambda: here.status(name)["webhook"]["attempts"] == 1)
    moved.write_text("10.0.0.1")
    hook = eventually(
        lambda: here.status(name)["webhook"]["state"] == "Blocked" and here.status(name)["webhook"]
    )
    assert "10.0.0.1" in hook["lastError"]
    assert here.condition(name, "Notified")["status"] == "False"
    assert len(here.receiver.of(name)) == 1
    moved.unlink()
    here.change_status(name, webhook={"nextAttemptAt": "2026-01-01T00:00:00Z"})
    eventually(lambda: here.status(name)["webhook"]["state"] == "Delivered")
    first, second = here.receiver.of(name)
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


def test_a_namespace_goes_also_without_the_operator(here: Site) -> None:
    """Acceptance 55: no finalizer of ours holds anything, of what runs or of what has ended."""
    operator = here.start()
    ended, name = here.ask("complete"), here.ask("sleep 60")
    here.told(ended)
    here.running(name)
    for kind in ("splitjobs", "jobs", "secrets", "configmaps", "leases"):
        held = [one["metadata"].get("finalizers") for one in here.get(kind)["items"]]
        assert not any(held), kind
    operator.kill()
    here.cluster.kubectl("delete", "namespace", here.namespace, timeout(40))
    assert here.namespace not in here.cluster.objects.names("namespaces")
    assert here.receiver.of(name) == []


def test_a_token_is_needed_to_start(here: Site) -> None:
    """Acceptance 9."""
    operator = here.launch(DEMUCSSVC_TOKEN=" , ")
    assert operator.process.wait(patience(30)) != 0
    assert "DEMUCSSVC_TOKEN" in operator.log.read_text()


def test_forbidden_for_a_while(here: Site) -> None:
    """Acceptance 53: 403 to everything, the watches included; recovers by itself."""
    operator = here.start(KUBECONFIG=str(account(here)))
    name = here.ask("sleep 2; complete")
    here.running(name)
    here.delete("rolebinding", "op")
    time.sleep(15)
    assert "finishedAt" not in here.status(name)
    bind(here)
    assert here.told(name, 60).body["status"] == "completed"
    later = here.ask("complete")
    assert here.told(later, 60).body["status"] == "completed"
    assert operator.process.poll() is None, "the process itself went on"


def account(place: Site) -> Path:
    """Return a kubeconfig of an account with the rights that `bind` gives."""
    place.kubectl("create", "serviceaccount", "op")
    bind(place)
    config = yaml.safe_load(place.cluster.kubeconfig.read_text())
    token = place.kubectl("create", "token", "op").strip()
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": token}}]
    path = place.folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


def bind(place: Site) -> None:
    who = f"--serviceaccount={place.namespace}:op"
    place.kubectl("create", "rolebinding", "op", "--clusterrole=cluster-admin", who)


def test_a_job_on_a_lost_node_gets_another_attempt(here: Site) -> None:
    """Acceptance 44: another attempt once the node has been away too long."""
    here.start(NODE_LOST_SECONDS="3")
    name = here.ask("deaf; sleep 600", script2="complete")
    here.running(name)
    here.cluster.kill("node")
    try:
        eventually(lambda: here.status(name)["attempts"][0]["reason"] == "WorkerLost", 90)
        eventually(lambda: len(here.status(name)["attempts"]) == 2)
    finally:
        here.cluster.start("node")
    assert here.told(name, 60).body["status"] == "completed"
    assert len(here.receiver.of(name)) == 1


def test_a_deadline_that_passes_on_a_lost_node_is_a_lost_worker(here: Site) -> None:
    """Acceptance 44: long before the node is given up; the job is tried again."""
    here.start(NODE_LOST_SECONDS="600")
    name = here.ask("deaf; sleep 600", script2="complete", runDeadlineSeconds=25)
    here.running(name)
    here.cluster.kill("node")
    try:
        eventually(lambda: here.status(name)["attempts"][0]["reason"] == "WorkerLost")
    finally:
        here.cluster.start("node")
    assert "has been away since" in here.status(name)["attempts"][0]["message"]
    assert here.told(name, 60).body["status"] == "completed"
    assert len(here.receiver.of(name)) == 1


def test_pods_that_were_left_behind_by_the_jobs_of_a_job_that_has_ended(here: Site) -> None:
    """Acceptance 46: `kubectl delete jobs --cascade=orphan`, of all attempts."""
    here.start(KEEP_FINISHED_JOBS_SECONDS="600", RESYNC_SECONDS="1")
    name = here.ask("fail source_unavailable again")
    here.ended(name, 60)
    assert len(here.pods(name)) == len(here.jobs(name)) == 3
    here.kubectl("delete", "jobs", f"--selector={LABEL_SPLITJOB}={name}", "--cascade=orphan")
    eventually(lambda: not here.pods(name))


def test_secrets_that_nothing_refers_to(here: Site) -> None:
    """Acceptance 16: what a crash between the two writes of a request leaves behind."""
    plain = f"{here.receiver.base}song.wav"
    for name in ("orphan", "referred"):
        here.secret(name, source=f"{plain}?X-Amz-Signature=x")
    here.secret("other", "Opaque", source="mine")
    source = {"url": plain, "secretKey": "source"}
    here.ask("sleep 60", secretName="referred", source=source, spec={"suspend": True})
    here.start(ORPHAN_SECRET_SECONDS="2", RESYNC_SECONDS="1")

    def names() -> set[str]:
        return set(here.names("secrets"))

    eventually(lambda: "orphan" not in names())
    assert {"referred", "other", "keys"} <= names()
