"""The node process killed and started again, and the API server away: nothing is lost."""

import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from tests.support.waiting import eventually

from splitjob_local.cluster.local_cluster import LocalCluster


@pytest.fixture
def node(cluster: LocalCluster) -> Iterator[LocalCluster]:
    """The cluster, whose node and API server run again afterwards."""
    yield cluster
    for name in ("kube-apiserver", "node"):
        if cluster.processes.exit_code(name) is not None:
            cluster.start(name)


def running(*command: str) -> bool:
    commands = [process.info["cmdline"] for process in psutil.process_iter(["cmdline"])]
    return list(command) in commands


def test_the_node_is_killed(node: LocalCluster, pods: Any) -> None:
    """Acceptance 44: its processes die with it; the next start reports and restarts them."""
    pods.shell("once", "sleep 741 & wait")
    pods.run("always", "sleep", "742", spec={"restartPolicy": "Always"})
    for name in ("once", "always"):
        pods.wait_until_ready(name)

    node.kill("node")
    eventually(lambda: not running("sleep", "742"))
    node.start("node")

    failed = pods.wait_for_phase("once", "Failed")
    assert (pods.terminated(failed)["exitCode"], pods.terminated(failed)["reason"]) == (
        255,
        "Unknown",
    )
    pod = pods.wait("always", lambda pod: pods.state(pod)["restartCount"] == 1)
    pods.wait_until_ready("always")
    assert not running("sleep", "741")
    assert pods.state(pod)["lastState"]["terminated"]["reason"] == "Unknown"


def test_deleted_while_the_node_was_away(node: LocalCluster, pods: Any) -> None:
    pods.run("away", "sleep", "60")
    pods.wait_until_ready("away")

    node.kill("node")
    pods.delete("away")
    node.start("node")

    pods.wait_until_gone("away")


def test_a_pod_ends_while_the_api_server_is_away(node: LocalCluster, pods: Any) -> None:
    """Acceptance 53, seen from the node: it goes on, and reports as soon as it can."""
    pods.shell("alone", "sleep 1; echo said alone; exit 5")
    pods.wait_until_ready("alone")

    node.kill("kube-apiserver")
    time.sleep(2)
    node.start("kube-apiserver")

    pod = pods.wait_for_phase("alone", "Failed", seconds=30)
    assert pods.terminated(pod)["exitCode"] == 5
    assert pods.logs("alone") == "said alone\n"
