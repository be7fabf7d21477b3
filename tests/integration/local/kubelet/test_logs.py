"""Logs over the node's own endpoint, the way `kubectl logs` gets them."""

import ssl
import subprocess
from typing import Any

import httpx
import pytest
from tests.support.waiting import patience

from splitjob_local.cluster.kubectl import KubectlError
from splitjob_local.cluster.local_cluster import LocalCluster


def kubectl_logs(pods: Any, *arguments: str) -> str:
    return str(pods.cluster.kubectl("logs", "-n", pods.namespace, *arguments))


def test_tail_time_and_limits(pods: Any) -> None:
    pods.shell("lines", "for i in 1 2 3 4 5; do echo line $i; done; printf end")
    pods.wait_for_phase("lines", "Succeeded")

    assert kubectl_logs(pods, "lines", "--tail=2") == "line 5\nend"
    assert kubectl_logs(pods, "lines", "--limit-bytes=8") == "line 1\nl"
    assert kubectl_logs(pods, "lines", "--since=1h").startswith("line 1\n")
    stamped = kubectl_logs(pods, "lines", "--timestamps").splitlines()
    assert [line.split(" ", 1)[1] for line in stamped[:2]] == ["line 1", "line 2"]
    since = stamped[2].split(" ", 1)[0]
    assert kubectl_logs(pods, "lines", f"--since-time={since}").endswith("end")


def test_following_to_the_end(pods: Any) -> None:
    """Lines come as they are written, and the command ends with the container."""
    pods.shell(
        "slow",
        'echo 1; until [ -e "$READ" ]; do sleep 0.1; done; echo 2; echo 3',
        env=[{"name": "READ", "value": "/state/the-first-line-was-read"}],
        volumeMounts=[{"name": "state", "mountPath": "/state"}],
        spec={"volumes": [{"name": "state", "emptyDir": {}}]},
    )
    pods.wait_until_ready("slow")
    kubectl = pods.cluster.cluster.programs["kubectl"]
    environment = pods.cluster.cluster.environment()
    with subprocess.Popen(
        [kubectl, "logs", "-f", "-n", pods.namespace, "slow"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as reader:
        assert reader.stdout is not None
        first = reader.stdout.readline()
        touch = [kubectl, "exec", "-n", pods.namespace, "slow", "--", "sh", "-c", 'touch "$READ"']
        subprocess.run(touch, env=environment, check=True)
        rest = reader.stdout.readlines()

    assert [first, *rest] == ["1\n", "2\n", "3\n"]
    assert reader.returncode == 0


def test_the_container_before(pods: Any) -> None:
    pods.shell("again", "echo run; exit 1", spec={"restartPolicy": "OnFailure"})
    pods.run("first", "sleep", "60")
    pods.wait_until_ready("first")
    with pytest.raises(KubectlError, match="previous terminated container"):
        kubectl_logs(pods, "first", "--previous")

    pods.wait("again", lambda pod: pods.state(pod).get("restartCount") == 1)

    assert kubectl_logs(pods, "again", "--previous") == "run\n"


def test_before_the_start(pods: Any) -> None:
    pods.run("never", "true", image="example.com/none")
    pods.wait("never", pods.waiting)

    with pytest.raises(KubectlError, match="is waiting to start"):
        kubectl_logs(pods, "never")


def test_strangers_are_refused(cluster: LocalCluster) -> None:
    """Without a certificate of the cluster nothing, with one only what the authorizer allows."""
    node = cluster.objects.get("nodes")["items"][0]
    port = node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"]
    url = f"https://127.0.0.1:{port}/pods"
    authority = cluster.control_plane.authority
    tls = ssl.create_default_context(cafile=str(authority.certificate))

    with pytest.raises(httpx.TransportError):
        httpx.get(url, verify=tls, timeout=patience(10))

    for user, groups, status in (("mallory", (), 403), ("admin", ("system:masters",), 200)):
        pair = authority.client(user, groups)
        tls.load_cert_chain(pair.certificate, pair.key)
        assert httpx.get(url, verify=tls, timeout=patience(10)).status_code == status
