"""Limits that really end a pod."""

import sys
from typing import Any

FILL = "x = b'x' * ({mib} << 20); import time; time.sleep(30)"
CHILD = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"


def test_a_container_above_its_memory_limit_is_killed(pods: Any) -> None:
    """Acceptance 36: OOMKilled, 137."""
    limit = {"limits": {"memory": "64Mi"}}
    pods.run("big", sys.executable, "-c", FILL.format(mib=200), resources=limit)

    ending = pods.terminated(pods.wait_for_phase("big", "Failed"))

    assert (ending["exitCode"], ending["reason"]) == (137, "OOMKilled")


def test_the_memory_of_children_counts(pods: Any) -> None:
    limit = {"limits": {"memory": "64Mi"}}
    pods.run("nested", sys.executable, "-c", CHILD, FILL.format(mib=200), resources=limit)

    assert pods.terminated(pods.wait_for_phase("nested", "Failed"))["reason"] == "OOMKilled"


def test_a_container_within_its_memory_limit_is_left_alone(pods: Any) -> None:
    limit = {"limits": {"memory": "256Mi"}}
    pods.run("fits", sys.executable, "-c", "x = b'x' * (100 << 20)", resources=limit)

    assert pods.terminated(pods.wait_for_phase("fits", "Succeeded"))["reason"] == "Completed"


def test_mapped_files_do_not_count(pods: Any) -> None:
    """A kernel takes their pages back before it kills."""
    script = """
import mmap, os, time
with open(os.environ["F"], "w+b") as file:
    for _ in range(100):
        file.write(bytes(1 << 20))
    file.flush()
    view = mmap.mmap(file.fileno(), 0)
    assert sum(view[at] for at in range(0, len(view), 4096)) == 0
    time.sleep(1.5)
"""
    pods.run(
        "mapped",
        sys.executable,
        "-c",
        script,
        env=[{"name": "F", "value": "/data/file"}],
        volumeMounts=[{"name": "data", "mountPath": "/data"}],
        resources={"limits": {"memory": "64Mi"}},
        spec={"volumes": [{"name": "data", "emptyDir": {}}]},
    )

    pods.wait_for_phase("mapped", "Succeeded")


def test_an_emptydir_that_is_too_full(pods: Any) -> None:
    """Acceptance 50: evicted, with a kubelet's words."""
    pods.shell(
        "full",
        'head -c 20000000 /dev/zero > "$DIR/file"; sleep 60',
        env=[{"name": "DIR", "value": "/scratch"}],
        volumeMounts=[{"name": "scratch", "mountPath": "/scratch"}],
        spec={"volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "10Mi"}}]},
    )

    pod = pods.wait_for_phase("full", "Failed")

    assert pod["status"]["reason"] == "Evicted"
    message = 'Usage of EmptyDir volume "scratch" exceeds the limit "10Mi". '
    assert pod["status"]["message"] == message
    assert pods.condition(pod, "DisruptionTarget")["status"] == "Unknown"


def test_too_much_ephemeral_storage(pods: Any) -> None:
    pods.shell(
        "writes",
        'head -c 20000000 /dev/zero > "${TMPDIR:-/tmp}/file"; sleep 60',
        resources={"limits": {"ephemeral-storage": "10Mi"}},
    )

    pod = pods.wait_for_phase("writes", "Failed")

    assert pod["status"]["reason"] == "Evicted"
    assert "exceeds the total limit of containers 10Mi" in pod["status"]["message"]
