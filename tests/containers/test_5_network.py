"""NetworkPolicies as they are enforced: what a pod with a worker's labels reaches, and what not."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.containers.answers import answering
from tests.containers.report import Report
from tests.containers.world import World

from splitjob_local.containers.network import MACHINE, METADATA, NODE_ADDRESS, WORLD

PROBE = """
import socket, sys
NAME = b"".join(bytes([len(p)]) + p for p in b"kubernetes.default.svc.cluster.local".split(b"."))
QUERY = b"ab\\x01\\x00\\x00\\x01" + bytes(6) + NAME + b"\\x00\\x00\\x01\\x00\\x01"
def reach(host, port):
    if port != 53:
        socket.create_connection((host, port), 3).close()
        return
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(3)
        probe.sendto(QUERY, (host, port))
        probe.recv(512)
for place in sys.argv[1:]:
    host, port = place.rsplit(":", 1)
    try:
        reach(host, int(port))
        print("open")
    except OSError:
        print("closed")
"""
PORT = 8099
LABEL = "audio.track-tree.com/splitjob"


def test_what_a_worker_can_reach(world: World, report: Report) -> None:
    """The same probe from the same pod, with the policies and without."""
    api = world.pod_of("api")["status"]["podIP"]
    open_ = {
        "storage": f"{MACHINE}:9000",
        "source": world.web.url.removeprefix("https://"),
        "DNS": f"{NODE_ADDRESS}:53",
        "the world": f"{WORLD}:{PORT}",
    }
    closed = {
        "API server": f"{MACHINE}:6443",
        "API server by its Service": "10.96.0.1:443",
        "metadata address": f"{METADATA}:80",
        "the service's API, another pod": f"{api}:8080",
        "the operator, another pod": f"{world.pod_of('operator')['status']['podIP']}:8081",
        "kubelet on the node": f"{NODE_ADDRESS}:10250",
    }
    places = {**open_, **closed}
    with answering(world.kube.processes, world.containers.namespaces, PORT):
        with probe_pod(world, "probe", {LABEL: "probe"}) as pod:
            wanted = expected(open_, closed)
            found = settled(world, pod, places, wanted)
            for what, is_open in found.items():
                report.tell(f"worker to {what}", wanted[what], is_open)
            assert found == wanted
        with probe_pod(world, "free", {}) as pod:
            free = reach(world, pod, places)
            for what, is_open in free.items():
                report.tell(f"without a policy to {what}", "open", is_open)
            assert set(free.values()) == {"open"}


def expected(open_: dict[str, str], closed: dict[str, str]) -> dict[str, str]:
    return dict.fromkeys(open_, "open") | dict.fromkeys(closed, "closed")


def settled(
    world: World, pod: str, places: dict[str, str], wanted: dict[str, str]
) -> dict[str, str]:
    """Return what is reached once it is as wanted, or at the last try whatever it is."""
    deadline = time.monotonic() + 20
    while (found := reach(world, pod, places)) != wanted and time.monotonic() < deadline:
        time.sleep(1)
    return found


def reach(world: World, pod: str, places: dict[str, str]) -> dict[str, str]:
    """Return for each place whether a pod reaches it."""
    said = world.kubectl("exec", pod, "--", "python", "-c", PROBE, *places.values())
    return dict(zip(places, said.split(), strict=True))


@contextmanager
def probe_pod(world: World, name: str, labels: dict[str, str]) -> Iterator[str]:
    """Run a pod that waits to be asked."""
    image = f"docker.io/track-tree-audio/api:{world.containers.images.provide()['api']}"
    security = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "containers": [
                {
                    "name": "main",
                    "image": image,
                    "imagePullPolicy": "Never",
                    "command": ["python", "-c", "import time; time.sleep(3600)"],
                    "securityContext": security,
                }
            ],
        },
    }
    world.kubectl("create", "-f", "-", text=json.dumps(pod))
    try:
        world.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")
        yield name
    finally:
        world.kubectl("delete", "pod", name, "--force", "--grace-period=0")
