"""Containers on the process node: how they start, end and are reported, as by a kubelet."""

import time
from typing import Any

import psutil
from tests.support.waiting import patience

IMAGE = "track-tree-audio/test:local"


def test_a_pod_that_succeeds(pods: Any) -> None:
    pods.shell("ok", "echo hello")

    pod = pods.wait_for_phase("ok", "Succeeded")

    assert pods.terminated(pod)["exitCode"] == 0
    assert pods.terminated(pod)["reason"] == "Completed"
    assert pods.condition(pod, "Ready")["reason"] == "PodCompleted"
    assert pods.condition(pod, "PodScheduled")["status"] == "True"
    assert pod["status"]["podIP"].startswith("127.")
    assert pods.logs("ok") == "hello\n"


def test_a_pod_that_fails_says_why(pods: Any) -> None:
    """Only the last 4096 bytes of the termination message count, wherever it lies."""
    pods.shell(
        "bad",
        'head -c 5000 /dev/zero | tr "\\0" x > "$WHERE"; echo end >> "$WHERE"; exit 3',
        env=[{"name": "WHERE", "value": "/results/message"}],
        terminationMessagePath="/results/message",
    )

    pod = pods.wait_for_phase("bad", "Failed")

    ending = pods.terminated(pod)
    assert (ending["exitCode"], ending["reason"]) == (3, "Error")
    assert ending["message"] == "x" * 4092 + "end\n"
    assert pods.condition(pod, "ContainersReady")["reason"] == "PodFailed"


def test_the_message_falls_back_to_the_log(pods: Any) -> None:
    policy = "FallbackToLogsOnError"
    pods.shell("says", "echo what happened >&2; exit 1", terminationMessagePolicy=policy)
    pods.shell("fine", "echo nothing", terminationMessagePolicy=policy)

    assert pods.terminated(pods.wait_for_phase("says", "Failed"))["message"] == "what happened\n"
    assert "message" not in pods.terminated(pods.wait_for_phase("fine", "Succeeded"))


def test_a_signal_becomes_128_and_its_number(pods: Any) -> None:
    pods.shell("killed", "kill -KILL $$$$")  # Kubernetes makes one dollar sign of two

    pod = pods.wait_for_phase("killed", "Failed")

    assert pods.terminated(pod)["exitCode"] == 137
    assert pods.terminated(pod)["reason"] == "Error"


def test_a_crashing_container_is_backed_off(pods: Any) -> None:
    pods.shell("crash", "exit 7", spec={"restartPolicy": "OnFailure"})

    pod = pods.wait("crash", lambda pod: pods.waiting(pod).get("reason") == "CrashLoopBackOff")

    entry = pods.state(pod)
    assert pod["status"]["phase"] == "Running"
    assert entry["restartCount"] == 1
    assert entry["lastState"]["terminated"]["exitCode"] == 7
    assert entry["state"]["waiting"]["message"].startswith("back-off 10s restarting failed")
    assert pods.condition(pod, "Ready")["reason"] == "ContainersNotReady"


def test_on_failure_stops_at_success(pods: Any) -> None:
    pods.shell(
        "second",
        'test -e "$SEEN" || { touch "$SEEN"; exit 1; }',
        env=[{"name": "SEEN", "value": "/state/seen"}],
        volumeMounts=[{"name": "state", "mountPath": "/state"}],
        spec={
            "restartPolicy": "OnFailure",
            "volumes": [{"name": "state", "emptyDir": {}}],
        },
    )

    assert pods.state(pods.wait_for_phase("second", "Succeeded"))["restartCount"] == 1


def test_a_program_that_is_not_there(pods: Any) -> None:
    pods.run("missing", "/no/such/program")

    ending = pods.terminated(pods.wait_for_phase("missing", "Failed"))

    assert (ending["exitCode"], ending["reason"]) == (128, "StartError")
    assert '"/no/such/program": No such file or directory' in ending["message"]


def test_an_image_that_is_not_there(pods: Any) -> None:
    """Acceptance 40: ErrImagePull, then ImagePullBackOff."""
    pods.run("image", "true", image="example.com/other:1")

    pods.wait("image", lambda pod: pods.waiting(pod).get("reason") == "ErrImagePull")
    pod = pods.wait("image", lambda pod: pods.waiting(pod).get("reason") == "ImagePullBackOff")

    assert pod["status"]["phase"] == "Pending"
    assert 'Back-off pulling image "example.com/other:1"' in pods.waiting(pod)["message"]


def test_a_missing_secret_keeps_a_container_from_being_created(pods: Any) -> None:
    """Acceptance 43: CreateContainerConfigError, until the Secret is there."""
    reference = {"name": "late", "key": "word"}
    pods.shell(
        "secret",
        "echo $WORD",
        env=[{"name": "WORD", "valueFrom": {"secretKeyRef": reference}}],
    )
    reason = "CreateContainerConfigError"
    pod = pods.wait("secret", lambda pod: pods.waiting(pod).get("reason") == reason)
    assert 'secret "late" not found' in pods.waiting(pod)["message"]

    body = {"metadata": {"name": "late"}, "stringData": {"word": "open"}}
    pods.api.create_namespaced_secret(pods.namespace, body)

    pods.wait_for_phase("secret", "Succeeded")
    assert pods.logs("secret") == "open\n"


def test_sigterm_and_the_grace_period(pods: Any) -> None:
    """A process that obeys ends with its own code, one that does not is killed in time."""
    wait = "while true; do sleep 0.05; done"
    kinds = (("obeys", "trap 'echo bye; exit 0' TERM", 30), ("deaf", "trap '' TERM", 2))
    for name, trap, grace in kinds:
        pods.shell(name, f"{trap}; echo up; {wait}", spec={"terminationGracePeriodSeconds": grace})
        pods.wait_until_ready(name)
        while "up" not in pods.logs(name):
            time.sleep(0.02)
    begun = time.monotonic()

    pods.delete("obeys")
    pods.wait_until_gone("obeys")
    assert time.monotonic() - begun < patience(15)

    pods.delete("deaf")
    begun = time.monotonic()
    pods.wait_until_gone("deaf")
    assert 1.5 < time.monotonic() - begun < patience(15)


def test_the_status_of_a_deleted_pod_is_final(pods: Any) -> None:
    """With a finalizer the last status can be seen: 143, Failed."""
    pods.run("last", "sleep", "60")
    pods.wait_until_ready("last")
    body = {"metadata": {"finalizers": ["example.com/keep"]}}
    pods.api.patch_namespaced_pod("last", pods.namespace, body)

    pods.delete("last", grace=1)
    pod = pods.wait_for_phase("last", "Failed")

    assert pods.terminated(pod)["exitCode"] == 143
    pods.api.patch_namespaced_pod("last", pods.namespace, {"metadata": {"finalizers": None}})
    pods.wait_until_gone("last")


def test_what_a_pod_started_ends_with_it(pods: Any) -> None:
    """A daemon in a session of its own, whose parent is gone, is ended too."""
    daemon = "setsid sh -c 'sleep 987 & exec sleep 986' < /dev/null > /dev/null 2>&1 &"
    pods.shell("parent", f"({daemon}) & sleep 0.3; echo up; sleep 0.5")

    pods.wait_for_phase("parent", "Succeeded")

    commands = [process.info["cmdline"] for process in psutil.process_iter(["cmdline"])]
    assert not [one for one in commands if one in (["sleep", "986"], ["sleep", "987"])]


def test_a_pod_is_ended_at_its_deadline(pods: Any) -> None:
    """Acceptance 45: the pod's own deadline fails it with DeadlineExceeded."""
    pods.run("slow", "sleep", "60", spec={"activeDeadlineSeconds": 3})

    pod = pods.wait_for_phase("slow", "Failed")

    assert pod["status"]["reason"] == "DeadlineExceeded"
    assert pods.terminated(pod)["exitCode"] == 143


def test_init_containers_run_in_order(pods: Any) -> None:
    mount = {
        "image": IMAGE,
        "env": [{"name": "FILE", "value": "/shared/file"}],
        "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
    }
    pods.create(
        "order",
        {
            "restartPolicy": "Never",
            "volumes": [{"name": "shared", "emptyDir": {}}],
            "initContainers": [
                {"name": "one", "command": ["sh", "-c", 'sleep 0.2; echo 1 >> "$FILE"'], **mount},
                {"name": "two", "command": ["sh", "-c", 'echo 2 >> "$FILE"'], **mount},
            ],
            "containers": [{"name": "main", "command": ["sh", "-c", 'cat "$FILE"'], **mount}],
        },
    )

    pod = pods.wait_for_phase("order", "Succeeded")

    assert pods.logs("order", container="main") == "1\n2\n"
    assert pods.state(pod, "two", of="initContainerStatuses")["ready"]


def test_a_failed_init_container_fails_the_pod(pods: Any) -> None:
    pods.create(
        "init",
        {
            "restartPolicy": "Never",
            "initContainers": [{"name": "no", "image": IMAGE, "command": ["false"]}],
            "containers": [{"name": "main", "image": IMAGE, "command": ["true"]}],
        },
    )

    pod = pods.wait_for_phase("init", "Failed")

    assert pods.condition(pod, "Initialized")["status"] == "False"
    assert pods.waiting(pod)["reason"] == "PodInitializing"


def test_a_sidecar_runs_beside_and_ends_after(pods: Any) -> None:
    pods.create(
        "side",
        {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 5,
            "initContainers": [
                {
                    "name": "sidecar",
                    "image": IMAGE,
                    "restartPolicy": "Always",
                    "command": ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.05; done"],
                }
            ],
            "containers": [{"name": "main", "image": IMAGE, "command": ["sleep", "0.5"]}],
        },
    )

    pod = pods.wait_for_phase("side", "Succeeded")

    sidecar = pods.state(pod, "sidecar", of="initContainerStatuses")
    assert sidecar["state"]["terminated"]["exitCode"] == 0


def test_a_container_without_a_command(pods: Any) -> None:
    pods.run("empty", image=IMAGE)

    pod = pods.wait("empty", lambda pod: pods.waiting(pod).get("reason") == "CreateContainerError")

    assert "no command specified" in pods.waiting(pod)["message"]


def test_more_gpus_than_there_are(pods: Any) -> None:
    """Bound past the scheduler, the pod is refused by the node."""
    limits = {"limits": {"nvidia.com/gpu": "5"}}
    node = pods.cluster.objects.get("nodes")["items"][0]["metadata"]["name"]
    pods.run("greedy", "true", resources=limits, spec={"nodeName": node})

    pod = pods.wait_for_phase("greedy", "Failed")

    assert pod["status"]["reason"] == "OutOfnvidia.com/gpu"


def test_each_pod_sees_its_own_gpu(pods: Any) -> None:
    limits = {"limits": {"nvidia.com/gpu": "1"}}
    for name in ("a", "b"):
        pods.shell(name, "echo $CUDA_VISIBLE_DEVICES; sleep 2", resources=limits)
    pods.shell("none", 'echo "[$CUDA_VISIBLE_DEVICES]"')
    for name in ("a", "b", "none"):
        pods.wait_for_phase(name, "Succeeded")

    assert {pods.logs("a"), pods.logs("b")} == {"0\n", "1\n"}
    assert pods.logs("none") == "[]\n"
