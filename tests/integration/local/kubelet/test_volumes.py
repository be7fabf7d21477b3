"""Volumes, environment and credentials of pods on the process node."""

import base64
import json
import subprocess
from typing import Any

# What every pod is given, whatever the node can do; beside what says where the API server is.
PYTHON_ENV = {"PATH", "HOME", "HOSTNAME", "SPLITJOB_CONTAINER_ID"}
WITHOUT_NAMESPACES = {"LANG", "TMPDIR"}


def test_files_from_secrets_config_maps_and_the_pod(pods: Any) -> None:
    pods.api.create_namespaced_config_map(
        pods.namespace, {"metadata": {"name": "conf"}, "data": {"a.txt": "A", "b.txt": "B"}}
    )
    data = base64.b64encode(b"\x00\xff").decode()
    pods.api.create_namespaced_secret(
        pods.namespace, {"metadata": {"name": "keys"}, "data": {"raw": data}}
    )
    pods.shell(
        "files",
        'cat "$CONF/sub/one"; ls "$CONF"; od -An -tx1 "$KEY"; cat "$ALL/name"; stat -Lc %a "$KEY"',
        env=[
            {"name": "CONF", "value": "/conf"},
            {"name": "KEY", "value": "/keys/raw"},
            {"name": "ALL", "value": "/all/"},
        ],
        volumeMounts=[
            {"name": "conf", "mountPath": "/conf"},
            {"name": "keys", "mountPath": "/keys"},
            {"name": "all", "mountPath": "/all"},
        ],
        spec={
            "volumes": [
                {
                    "name": "conf",
                    "configMap": {"name": "conf", "items": [{"key": "a.txt", "path": "sub/one"}]},
                },
                {"name": "keys", "secret": {"secretName": "keys", "defaultMode": 0o444}},
                {
                    "name": "all",
                    "projected": {
                        "sources": [
                            {"configMap": {"name": "conf"}},
                            {
                                "downwardAPI": {
                                    "items": [
                                        {
                                            "path": "name",
                                            "fieldRef": {"fieldPath": "metadata.name"},
                                        }
                                    ]
                                }
                            },
                        ]
                    },
                },
            ]
        },
    )

    pods.wait_for_phase("files", "Succeeded")

    assert pods.logs("files") == "Asub\n 00 ff\nfiles444\n"


def test_a_volume_waits_for_its_secret(pods: Any) -> None:
    pods.shell(
        "waits",
        'cat "$F"',
        env=[{"name": "F", "value": "/late/word"}],
        volumeMounts=[{"name": "late", "mountPath": "/late"}],
        spec={"volumes": [{"name": "late", "secret": {"secretName": "late"}}]},
    )
    pod = pods.wait("waits", lambda pod: pods.waiting(pod).get("reason") == "ContainerCreating")
    assert pod["status"]["phase"] == "Pending"

    body = {"metadata": {"name": "late"}, "stringData": {"word": "now"}}
    pods.api.create_namespaced_secret(pods.namespace, body)

    pods.wait_for_phase("waits", "Succeeded")
    assert pods.logs("waits") == "now"


def test_environment_of_every_kind(pods: Any) -> None:
    pods.api.create_namespaced_config_map(
        pods.namespace, {"metadata": {"name": "conf"}, "data": {"ONE": "1", "TWO": "2"}}
    )
    pods.run(
        "env",
        "python",
        "-c",
        "import json, os; print(json.dumps(dict(os.environ)))",
        envFrom=[{"prefix": "C_", "configMapRef": {"name": "conf"}}],
        env=[
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {
                "name": "MIB",
                "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}},
            },
            {
                "name": "ABSENT",
                "valueFrom": {"configMapKeyRef": {"name": "none", "key": "x", "optional": True}},
            },
            {"name": "URL", "value": "http://$(IP):80/$(C_ONE)?$$(IP)=$(UNKNOWN)"},
        ],
        resources={"limits": {"memory": "128Mi"}},
        spec={"automountServiceAccountToken": False},
    )
    pod = pods.wait_for_phase("env", "Succeeded")

    env = json.loads(pods.logs("env"))

    ip = pod["status"]["podIP"]
    assert env["URL"] == f"http://{ip}:80/1?$(IP)=$(UNKNOWN)"
    assert (env["C_TWO"], env["MIB"], env["NODE"]) == ("2", "128", pod["spec"]["nodeName"])
    gpus = {"CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"}
    own = {"C_ONE", "C_TWO", "IP", "NODE", "MIB", "URL"}
    # Nothing else reaches a pod: neither what the node was started with, nor a token.
    others = {name for name in env if name.startswith("KUBERNETES_")}
    assert set(env) - gpus - others - WITHOUT_NAMESPACES - {"LC_CTYPE"} == PYTHON_ENV | own


def test_two_pods_listen_on_one_port(pods: Any) -> None:
    """Each pod has an address of its own; probes find it there, and so does everybody else."""
    server = (
        "import http.server as h, os;"
        "h.HTTPServer((os.environ['IP'], 18080), h.SimpleHTTPRequestHandler).serve_forever()"
    )
    for name in ("left", "right"):
        pods.run(
            name,
            "python",
            "-c",
            server,
            env=[{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
            ports=[{"name": "http", "containerPort": 18080}],
            readinessProbe={"httpGet": {"port": "http", "path": "/"}, "periodSeconds": 1},
        )

    addresses = {pods.wait_until_ready(name)["status"]["podIP"] for name in ("left", "right")}

    assert len(addresses) == 2


def test_deleted_with_force_nothing_is_left(pods: Any) -> None:
    pods.run("gone", "sleep", "654")
    pods.wait_until_ready("gone")

    pods.delete("gone", grace=0)
    pods.wait_until_gone("gone")

    check = ["pgrep", "-xf", "sleep 654"]
    for _ in range(40):
        if subprocess.run(check, check=False, capture_output=True).returncode == 1:
            return
        subprocess.run(["sleep", "0.1"], check=True)
    raise AssertionError("the process outlived its pod")
