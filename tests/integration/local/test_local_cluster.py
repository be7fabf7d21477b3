"""The cluster on this machine: what it promises to those who build and test on it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import httpx
import psutil
import pytest
from botocore.config import Config
from tests.support import plain_http
from tests.support.waiting import eventually, patience, timeout

from splitjob_local.cluster.kubectl import KubectlClient, KubectlError
from splitjob_local.cluster.local_cluster import LocalCluster
from splitjob_local.cluster.s3server import S3Access
from splitjob_local.cluster.service import Service


def test_the_service_is_installed_and_answers(cluster: LocalCluster, installed: Service) -> None:
    def replicas() -> list[str]:
        urls = sorted(set(installed.api_urls()))
        assert len(urls) == 2
        return urls

    for url in eventually(replicas):  # a test before this one may have killed the node
        assert plain_http.get(f"{url}/healthz").json() == {"ok": True}
    pods = cluster.objects.get("pods", namespace=installed.namespace)["items"]
    assert {pod["spec"]["serviceAccountName"] for pod in pods} == {
        "track-tree-audio-api",
        "track-tree-audio-operator",
    }


def test_authorization_is_real(cluster: LocalCluster, namespace: str) -> None:
    """A service account may do nothing that nobody allowed it."""
    account = f"--as=system:serviceaccount:{namespace}:default"

    assert cluster.kubectl("get", "configmaps", "-n", namespace)
    with pytest.raises(KubectlError, match="forbidden"):
        cluster.kubectl("get", "configmaps", "-n", namespace, account)


def test_pod_security_is_enforced(cluster: LocalCluster, namespace: str) -> None:
    label = "pod-security.kubernetes.io/enforce=restricted"
    cluster.kubectl("label", "namespace", namespace, label, "--overwrite")

    with pytest.raises(KubectlError, match="violates PodSecurity"):
        cluster.kubectl("run", "root", "-n", namespace, "--image=track-tree-audio/x")


def test_the_garbage_collector_follows_owners(cluster: LocalCluster, namespace: str) -> None:
    cluster.kubectl("create", "configmap", "owner", "-n", namespace)
    uid = cluster.objects.get("configmap", "owner", namespace=namespace)["metadata"]["uid"]
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}
    metadata = {"name": "owned", "ownerReferences": [reference]}
    owned = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    cluster.kubectl("create", "-n", namespace, "-f", "-", text=json.dumps(owned))

    cluster.kubectl("delete", "configmap", "owner", "-n", namespace)

    cluster.kubectl("wait", "-n", namespace, "--for=delete", "configmap/owned", timeout(20))


def test_the_api_server_comes_back_with_its_data(cluster: LocalCluster, namespace: str) -> None:
    """SIGKILL and a start again: same address, same objects."""
    cluster.kubectl("create", "configmap", "kept", "-n", namespace)

    cluster.kill("kube-apiserver")
    assert not cluster.objects.is_ready()
    cluster.start("kube-apiserver")

    assert cluster.kubectl("get", "configmap", "kept", "-n", namespace, "-o", "name")


@pytest.fixture
def s3_restored(cluster: LocalCluster) -> Iterator[None]:
    """The S3 server is running again afterwards, whatever the test did to it."""
    yield
    if cluster.processes.exit_code("s3") is not None:
        cluster.start("s3")


@pytest.mark.usefixtures("s3_restored")
def test_the_bucket_survives_its_server(cluster: LocalCluster) -> None:
    bucket = cluster.s3.service()
    bucket.put_if_absent("survivor.json", b"{}")

    cluster.kill("s3")
    with pytest.raises(httpx.ConnectError):
        plain_http.get(cluster.s3.endpoint)
    cluster.start("s3")

    assert bucket.get_json("survivor.json") == {}


def test_a_shell_on_the_cluster_finds_its_programs_and_the_bucket(cluster: LocalCluster) -> None:
    def run(*command: str) -> str:
        return subprocess.check_output(command, env=cluster.environment(), text=True)

    assert run("kubectl", "get", "nodes", "-o", "name") == "node/local\n"
    assert run("helm", "list", "-q", "-n", "default") == ""
    assert "can be used" in run("track-tree-audio", "storage", "test")


def s3_client(access: S3Access, secret: str) -> object:
    return boto3.client(
        "s3",
        endpoint_url=access.endpoint,
        region_name=access.region,
        aws_access_key_id=access.access_key_id,
        aws_secret_access_key=secret,
        config=Config(signature_version="s3v4", retries={"total_max_attempts": 1}),
    )


def presigned(access: S3Access, key: str, seconds: int) -> str:
    client = s3_client(access, access.secret_access_key)
    parameters = {"Bucket": access.bucket, "Key": key}
    url: str = client.generate_presigned_url(  # type: ignore[attr-defined]
        "get_object", Params=parameters, ExpiresIn=seconds
    )
    return url


def test_the_s3_server_refuses_a_wrong_key(cluster: LocalCluster) -> None:
    client = s3_client(cluster.s3, "not the secret")

    with pytest.raises(client.exceptions.ClientError, match="SignatureDoesNotMatch"):  # type: ignore[attr-defined]
        client.list_objects_v2(Bucket=cluster.s3.bucket)  # type: ignore[attr-defined]


def test_the_s3_server_refuses_expired_and_altered_urls(cluster: LocalCluster) -> None:
    bucket = cluster.s3.service()
    bucket.put_if_absent("song.json", b"[1]")
    brief, long = (presigned(cluster.s3, "song.json", seconds) for seconds in (1, 3600))

    assert plain_http.get(long).json() == [1]
    assert plain_http.get(long.replace("song.json", "other.json")).status_code == 403
    time.sleep(2.1)
    assert plain_http.get(brief).status_code == 403


def test_an_object_is_written_only_if_absent(cluster: LocalCluster) -> None:
    """`If-None-Match: *`, on which the manifest's first-writer-wins rests."""
    bucket = cluster.s3.service()

    assert bucket.put_if_absent("manifest.json", b'"first"')
    assert not bucket.put_if_absent("manifest.json", b'"second"')
    assert bucket.get_json("manifest.json") == "first"


@pytest.fixture
def command() -> Iterator[subprocess.Popen[str]]:
    """A second cluster beside the shared one, as a user starts it."""
    words = ["-c", "from track_tree_audio.main import main; main()", "local", "up", "--bare"]
    process = subprocess.Popen(
        [sys.executable, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    yield process
    process.terminate()
    process.communicate(timeout=patience(30))


def connection_of(process: subprocess.Popen[str]) -> tuple[dict[str, object], Path]:
    """Return the one line of JSON that the command prints, and the cluster's folder."""
    assert process.stdout is not None
    connection = json.loads(process.stdout.readline())
    return connection, Path(connection["kubeconfig"]).parents[1]


def processes_of(folder: Path) -> list[psutil.Process]:
    """Every process that has something of this cluster on its command line."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(str(folder) in word for word in process.info["cmdline"] or ())
    ]


def test_a_second_cluster_says_where_everything_is_and_keeps_it_running(
    cluster: LocalCluster, command: subprocess.Popen[str]
) -> None:
    connection, folder = connection_of(command)

    assert set(connection) == {
        "kubeconfig", "namespace", "apiUrls", "token", "webhookBase", "s3", "values",
    }  # fmt: skip
    assert set(connection["s3"]) == {"endpoint", "accessKeyId", "secretAccessKey", "bucket"}  # type: ignore[call-overload]
    assert folder != cluster.folder
    environment = os.environ | {"KUBECONFIG": str(connection["kubeconfig"])}
    kubectl = cluster.cluster.programs["kubectl"]
    nodes = subprocess.check_output([kubectl, "get", "nodes", "-o", "name"], env=environment)
    assert nodes == b"node/local\n"

    def etcd() -> list[psutil.Process]:
        return [process for process in processes_of(folder) if "etcd" in process.cmdline()[0]]

    before = etcd()[0]
    before.kill()
    eventually(lambda: bool(etcd()) and etcd()[0].pid != before.pid)

    command.send_signal(signal.SIGTERM)
    assert command.wait(patience(20)) == 0
    assert not folder.exists()
    assert not processes_of(folder)


def test_nothing_survives_kill_9(cluster: LocalCluster, command: subprocess.Popen[str]) -> None:
    """Not the control plane, not the pods, and not what a pod has set adrift."""
    connection, folder = connection_of(command)
    second = KubectlClient(Path(str(connection["kubeconfig"])), cluster.cluster.programs)
    second.create_namespace("adrift", pod_security="privileged")
    script = "setsid sleep 4321.25 & (setsid sleep 4321.25 &); sleep 4321.25"
    words = ("--image=track-tree-audio/x", "--command", "--", "sh", "-c", script)
    second.kubectl("run", "adrift", "-n", "adrift", *words)

    def sleepers() -> list[psutil.Process]:
        wanted = ["sleep", "4321.25"]
        return [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == wanted]

    eventually(lambda: len(sleepers()) == 3)
    assert len(processes_of(folder)) >= 6

    command.kill()

    eventually(lambda: not folder.exists() and not processes_of(folder) and not sleepers())
