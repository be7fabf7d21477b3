"""What a pod sees of the machine, and what of its spec is real: at each level a node can give.

Three further nodes in the shared cluster, each told its level; what the machine does not allow at
all is left out, and then the node itself has to refuse to start.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.integration.local.kubelet.conftest import Pods
from tests.support import about_itself as about_itself_program
from tests.support.waiting import eventually, patience

from splitjob_local.cluster.local_cluster import LocalCluster

Json = dict[str, Any]
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"
LEVELS = ["root", "user-namespace", "none"]
CONFINED = LEVELS[:2]
ABOUT_ITSELF = Path(about_itself_program.__file__)
AS_THE_CHART_HAS_IT = {
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "runAsGroup": 65532,
    "fsGroup": 65532,
    "supplementalGroups": [7000],
}


def possible(level: str) -> bool:
    if level == "root":
        return os.geteuid() == 0
    if level == "user-namespace":
        check = ["unshare", "--user", "--map-root-user", "--mount", "true"]
        return subprocess.run(check, check=False, capture_output=True).returncode == 0
    return True


@pytest.fixture(scope="module", params=[level for level in LEVELS if possible(level)])
def level(request: pytest.FixtureRequest, cluster: LocalCluster) -> Iterator[str]:
    """A level, with a node of it under the name `node-LEVEL`."""
    preload = f"--preload=python {ABOUT_ITSELF}=json"
    cluster.add_node(f"node-{request.param}", f"--isolation={request.param}", preload)
    yield request.param
    cluster.remove_node(f"node-{request.param}")


@pytest.fixture
def pods(cluster: LocalCluster, namespace: str, level: str) -> Pods:
    return Pods(cluster, namespace, f"node-{level}")


@pytest.fixture
def confined(level: str) -> str:
    if level not in CONFINED:
        pytest.skip("paths are rewritten there, which the tests without this fixture are about")
    return level


def config_map(pods: Pods, **data: str) -> Json:
    pods.api.create_namespaced_config_map(
        pods.namespace, {"metadata": {"name": "conf"}, "data": data}
    )
    return {"name": "conf", "configMap": {"name": "conf"}}


def mounts(**at: str) -> list[Json]:
    return [{"name": name, "mountPath": path} for name, path in at.items()]


def about_itself(pods: Pods, name: str, **container: Any) -> Json:
    pods.run(name, "python", "-c", ABOUT_ITSELF.read_text(), **container)
    pod = pods.wait_for_phase(name, "Succeeded")
    found: Json = json.loads(pods.logs(name)) | {"pod": pod}
    return found


@pytest.mark.usefixtures("confined")
def test_a_pod_has_its_volumes_where_its_spec_says(pods: Pods) -> None:
    """Also in the middle of a script, where no rewriting could find them."""
    volumes = [config_map(pods, word="open"), {"name": "data", "emptyDir": {}}]
    one = {"name": "conf", "mountPath": "/etc/app/one.txt", "subPath": "word"}
    part = {"name": "data", "mountPath": "/srv/part", "subPath": "a/b"}
    script = (
        "cat /conf/word /etc/app/one.txt; echo; echo new > /srv/part/file && cat /data/a/b/file;"
        "touch /conf/x 2>&1; echo why > /dev/termination-log; stat -c %a /data"
    )
    pods.shell(
        "real",
        script,
        volumeMounts=[*mounts(conf="/conf", data="/data"), one, part],
        spec={"volumes": volumes},
    )

    pod = pods.wait_for_phase("real", "Succeeded")

    read, new, refused, mode, *_ = pods.logs("real").splitlines()
    assert (read, new) == ("openopen", "new")
    assert "Read-only file system" in refused
    assert mode.endswith("7") or pods.node == "node-user-namespace"
    assert pods.terminated(pod)["message"] == "why\n"


def test_a_pod_is_the_user_it_asks_for_and_has_no_name(confined: str, pods: Pods) -> None:
    found = about_itself(
        pods, "who", spec={"securityContext": AS_THE_CHART_HAS_IT}, workingDir="/work-here"
    )

    assert found["ids"] == [65532, 65532]
    if confined == "root":
        assert set(found["groups"]) == {7000, 65532}
    assert found["name"] in ("KeyError", "OSError")  # Python 3.13 gives the second
    assert set(found["capabilities"]) == {"0000000000000000"}
    assert found["no_new_privileges"] == "1"
    assert found["host"] == "who"
    assert found["directory"] == "/work-here"
    assert found["environment"]["HOME"] == "/"
    assert not {"USER", "LOGNAME", "KUBECONFIG", "TMPDIR"} & set(found["environment"])


def test_a_program_that_begins_as_a_copy_finds_what_one_finds_that_is_started(pods: Pods) -> None:
    """And ends with a status of its own; what differs is its own name and id alone."""
    started = {"name": "it", "value": "is told"}
    as_asked = {"spec": {"securityContext": AS_THE_CHART_HAS_IT, "hostname": "same"}}
    said = {}
    for name, words in {"copied": ["python"], "executed": ["python", "-s"]}.items():
        pods.run(name, *words, str(ABOUT_ITSELF), "3", env=[started], **as_asked)
        pod = pods.wait_for_phase(name, "Failed")
        assert pods.terminated(pod)["exitCode"] == 3
        said[name] = json.loads(pods.logs(name).replace(pod["metadata"]["uid"], "UID"))

    copied, executed = said.values()
    assert copied.pop("command") == ["python", str(ABOUT_ITSELF), "3"]
    assert executed.pop("command") == ["python", "-s", str(ABOUT_ITSELF), "3"]
    assert (copied.pop("preloaded"), executed.pop("preloaded")) == (True, False)
    assert copied == executed


def test_a_program_with_a_setting_of_the_interpreter_is_started_by_itself(pods: Pods) -> None:
    setting = {"name": "PYTHONHASHSEED", "value": "0"}
    pods.run("told", "python", str(ABOUT_ITSELF), env=[setting])

    pods.wait_for_phase("told", "Succeeded")

    assert not json.loads(pods.logs("told"))["preloaded"]


@pytest.mark.usefixtures("confined")
def test_a_pod_without_a_security_context_is_the_images_user(pods: Pods) -> None:
    assert about_itself(pods, "default")["ids"] == [65532, 65532]
    other = {"securityContext": {"runAsUser": 1234}}
    assert about_itself(pods, "other", **other)["ids"] == [1234, 0]


@pytest.mark.usefixtures("confined")
def test_a_pod_sees_nothing_else_of_this_machine(pods: Pods) -> None:
    found = about_itself(pods, "sees")

    assert found["home_of_root"] == "FileNotFoundError"
    assert found["shadow"] == "FileNotFoundError"
    assert "boot" not in found["root"]


@pytest.mark.usefixtures("confined")
def test_root_where_the_pod_rules_it_out(pods: Pods) -> None:
    pods.run("root", "true", spec={"securityContext": {"runAsNonRoot": True, "runAsUser": 0}})

    reason = "CreateContainerConfigError"
    pod = pods.wait("root", lambda pod: pods.waiting(pod).get("reason") == reason)
    assert "non-root policy" in pods.waiting(pod)["message"]


@pytest.mark.usefixtures("confined")
def test_a_read_only_root_leaves_volumes_to_write_to(pods: Pods) -> None:
    writes = (
        "for at in / /tmp /var/tmp /run /etc /data; do "
        "(: > $at/file) 2> /dev/null && echo $at; done; rm -f /data/file; true"
    )
    volume = {"volumes": [{"name": "data", "emptyDir": {}}]}
    common: Json = {"volumeMounts": mounts(data="/data"), "spec": volume}
    pods.shell("closed", writes, securityContext={"readOnlyRootFilesystem": True}, **common)
    pods.shell("open", writes, **common)

    for name in ("closed", "open"):
        pods.wait_for_phase(name, "Succeeded")

    assert pods.logs("closed") == "/data\n"
    assert {"/tmp", "/data"} <= set(pods.logs("open").split())


def test_files_are_for_the_group_of_the_pod(level: str, pods: Pods) -> None:
    """As a kubelet gives them: a mode of 0400 would otherwise shut the pod's own user out."""
    pods.api.create_namespaced_secret(
        pods.namespace, {"metadata": {"name": "keys"}, "stringData": {"key": "k"}}
    )
    pods.shell(
        "files",
        'cat "$KEY"; stat -Lc " %a %g" "$KEY" "$TOKEN"; stat -c %u:%g "$DATA"',
        env=[
            {"name": "KEY", "value": "/keys/key"},
            {"name": "TOKEN", "value": f"{TOKEN}/token"},
            {"name": "DATA", "value": "/data"},
        ],
        volumeMounts=mounts(keys="/keys", data="/data"),
        spec={
            "securityContext": AS_THE_CHART_HAS_IT,
            "volumes": [
                {"name": "keys", "secret": {"secretName": "keys", "defaultMode": 0o400}},
                {"name": "data", "emptyDir": {}},
            ],
        },
    )

    pods.wait_for_phase("files", "Succeeded")

    own = {
        "root": ["k 440 65532", " 640 65532", "0:65532"],
        "user-namespace": ["k 400 65532", " 600 65532", "65532:65532"],
        "none": [f"k 400 {os.getgid()}", f" 600 {os.getgid()}", f"{os.getuid()}:{os.getgid()}"],
    }
    assert pods.logs("files").splitlines() == own[level]


def test_the_service_account_of_a_pod(level: str, pods: Pods) -> None:
    """A client finds the API server and speaks for the pod's own account, with no more rights."""
    rule = ["--verb=get", "--resource=configmaps", "-n", pods.namespace]
    pods.cluster.kubectl("create", "role", "reader", *rule)
    account = f"--serviceaccount={pods.namespace}:default"
    binding = ["rolebinding", "reader", "--role=reader", account, "-n", pods.namespace]
    pods.cluster.kubectl("create", *binding)
    programs = Path(pods.cluster.cluster.programs["kubectl"]).resolve().parent
    pods.shell(
        "asks",
        'echo "[$KUBECONFIG]"; $KUBECTL get cm kube-root-ca.crt -o name && $KUBECTL get pods',
        env=[{"name": "KUBECTL", "value": "/tools/kubectl"}],
        volumeMounts=mounts(tools="/tools"),
        spec={"volumes": [{"name": "tools", "hostPath": {"path": str(programs)}}]},
    )

    pod = pods.wait_for_phase("asks", "Failed")

    kubeconfig, found, *_ = pods.logs("asks").splitlines()
    assert (kubeconfig == "[]") == (level in CONFINED)
    assert found == "configmap/kube-root-ca.crt"
    refused = f'"system:serviceaccount:{pods.namespace}:default" cannot list resource "pods"'
    assert refused in pods.logs("asks")
    assert pods.terminated(pod)["exitCode"] == 1


def test_exec_and_probes_enter_the_container(level: str, pods: Pods) -> None:
    pods.run(
        "box",
        "sleep",
        "60",
        volumeMounts=mounts(conf="/conf"),
        readinessProbe={"exec": {"command": ["cat", "/conf/word"]}, "periodSeconds": 1},
        spec={"volumes": [config_map(pods, word="inside")]},
    )
    pods.wait_until_ready("box")

    kubectl = pods.cluster.cluster.programs["kubectl"]
    command = [str(kubectl), "exec", "-n", pods.namespace, "box", "--"]
    environment = pods.cluster.cluster.environment()

    def run(*words: str) -> str:
        said: str = subprocess.check_output(
            [*command, *words], env=environment, text=True, timeout=patience(20)
        )
        return said

    assert run("cat", "/conf/word") == "inside"
    if level in CONFINED:
        assert run("sh", "-c", "id -u; hostname; pwd").split() == ["65532", "box", "/"]
        with pytest.raises(subprocess.CalledProcessError):
            run("sh", "-c", ": > /usr/file")


def test_pods_die_with_their_node_and_start_again(level: str, pods: Pods) -> None:
    """Whoever they run as, what they started too."""
    pods.shell("dies", "sleep 873 & exec sleep 874", spec={"restartPolicy": "Always"})
    pods.wait_until_ready("dies")

    def sleepers() -> list[str]:
        found = [one.info["cmdline"] or [] for one in psutil.process_iter(["cmdline"])]
        return [one[1] for one in found if one in (["sleep", "873"], ["sleep", "874"])]

    pods.cluster.kill(f"node-{level}")
    eventually(lambda: "874" not in sleepers())
    pods.cluster.start(f"node-{level}")

    pods.wait("dies", lambda pod: pods.state(pod)["restartCount"] == 1)
    pods.wait_until_ready("dies")
    eventually(lambda: sorted(sleepers()) == ["873", "874"])
    pods.delete("dies", grace=0)
    eventually(lambda: not sleepers())


def test_too_much_memory_is_seen(pods: Pods) -> None:
    """The node looks into processes of other users, too."""
    fill = "x = b'x' * (200 << 20); import time; time.sleep(30)"
    pods.run("big", "python", "-c", fill, resources={"limits": {"memory": "64Mi"}})

    assert pods.terminated(pods.wait_for_phase("big", "Failed"))["reason"] == "OOMKilled"


def test_what_a_pod_writes_outside_of_volumes_is_measured(pods: Pods) -> None:
    pods.shell(
        "writes",
        'head -c 20000000 /dev/zero > "${TMPDIR:-/tmp}/file"; sleep 60',
        resources={"limits": {"ephemeral-storage": "10Mi"}},
    )

    assert pods.wait_for_phase("writes", "Failed")["status"]["reason"] == "Evicted"


@pytest.fixture
def rewriting(level: str) -> None:
    if level in CONFINED:
        pytest.skip("nothing is rewritten there")


@pytest.mark.usefixtures("rewriting")
def test_paths_below_mounts_become_paths_here(pods: Pods) -> None:
    pods.run(
        "paths",
        "echo",
        "--out=/data/x",
        "/data",
        "/database",
        "/data/deep/y",
        "$(WHERE)/z",
        env=[{"name": "WHERE", "value": "/data"}],
        volumeMounts=[
            {"name": "data", "mountPath": "/data"},
            {"name": "deep", "mountPath": "/data/deep", "subPath": "in/it"},
        ],
        spec={"volumes": [{"name": "data", "emptyDir": {}}, {"name": "deep", "emptyDir": {}}]},
    )
    pod = pods.wait_for_phase("paths", "Succeeded")

    uid = pod["metadata"]["uid"]
    flag, root, other, deep, expanded = pods.logs("paths").split()

    assert root.endswith(f"{uid}/volumes/data")
    assert (flag, other, expanded) == (f"--out={root}/x", "/database", f"{root}/z")
    assert deep.endswith(f"{uid}/volumes/deep/in/it/y")
    pods.delete("paths")
    pods.wait_until_gone("paths")
    assert not Path(root).exists()


def test_a_project_in_tmp_is_seen_below_a_volume_there(
    cluster: LocalCluster, namespace: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A volume at /tmp must not hide a shared directory that lies below /tmp."""
    if not possible("root") and not possible("user-namespace"):
        pytest.skip("this machine has no mount namespaces to give")
    shared = tmp_path_factory.mktemp("shared")
    shared.chmod(0o755)
    (shared / "word").write_text("seen")
    cluster.add_node("node-shares", f"--share={shared}")
    try:
        pods = Pods(cluster, namespace, "node-shares")
        pods.run(
            "tmp",
            "cat",
            str(shared / "word"),
            volumeMounts=mounts(tmp=str(Path(shared).parents[-2])),
            spec={"volumes": [{"name": "tmp", "emptyDir": {}}]},
        )
        pods.wait_for_phase("tmp", "Succeeded")
        assert pods.logs("tmp") == "seen"
    finally:
        cluster.remove_node("node-shares")


def test_a_node_that_cannot_do_what_it_is_told_says_so(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    """Here a pod's user cannot run what stands for the image."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "python").write_text("#!/bin/sh\nexit 1\n")
    (programs / "python").chmod(0o755)
    spec = cluster._node(1, "node-broken", "--isolation=user-namespace")
    words = [
        f"--environment=*={programs}" if word.startswith("--environment") else word
        for word in spec.command
    ]
    ran = subprocess.run(
        words,
        env=dict(spec.environment),
        check=False,
        capture_output=True,
        text=True,
        timeout=patience(60),
    )
    assert ran.returncode == 1
    assert "the node cannot start: user-namespace: " in ran.stderr
