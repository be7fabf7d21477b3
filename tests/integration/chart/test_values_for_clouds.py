"""The values files for real clusters, on a real API server and scheduler.

Each is taken through the chart's schema, Pod Security `restricted` and a dry run of everything, and
so are the pods, the worker's included. A node with that cloud's labels and taints is there: the
scheduler has to find it for the worker.
"""

import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.support import chart
from tests.support.chart import CHART, Manifest, Render, apply
from tests.support.waiting import patience

from splitjob.resource import API_VERSION, KIND
from splitjob.status import Attempt
from splitjob_local.cluster.kubectl import KubectlClient
from splitjob_local.cluster.local_cluster import LocalCluster
from splitjob_local.cluster.objects import ClusterError
from splitjob_operator.core import worker_job
from splitjob_operator.core.observed import SplitJob
from splitjob_operator.core.settings import Settings

SECONDS = 30
REQUEST = {
    "versionId": "song-1",
    "model": "htdemucs",
    "source": {"url": "https://example.com/song.wav", "secretKey": "source"},
    "webhook": {"url": "https://example.com/hook"},
    "secretName": "one-source",
}
GPU_TAINT = {"key": "nvidia.com/gpu", "effect": "NoSchedule"}
# What OpenShift's SCC restricted-v2 asks of a pod: users and groups of the namespace's own range.
FIRST, LAST = 1000680000, 1000689999


@dataclass(frozen=True)
class Cloud:
    """A cloud as its GPU nodes look, and settings that its page in the documentation adds.

    Attributes:
        labels: of its GPU nodes.
        taints: of its GPU nodes.
        settings: more values, as in the documentation.
        gpu: the resource of its GPUs.
    """

    labels: dict[str, str]
    taints: list[dict[str, str]]
    settings: list[str] = field(default_factory=list)
    gpu: str = "nvidia.com/gpu"


ROLE = "storage.webIdentity.roleArn=arn:aws:iam::123456789012:role/track-tree-audio"
CLOUDS = {
    "eks": Cloud({}, [GPU_TAINT | {"value": "true"}]),
    "gke": Cloud(
        {"cloud.google.com/gke-accelerator": "nvidia-l4"},
        [GPU_TAINT | {"value": "present"}],
        [ROLE],
    ),
    "aks": Cloud(
        {"kubernetes.azure.com/accelerator": "nvidia"},
        [{"key": "sku", "value": "gpu", "effect": "NoSchedule"}],
        [ROLE],
    ),
    "openshift": Cloud({"nvidia.com/gpu.present": "true"}, [GPU_TAINT]),
    "kueue": Cloud({}, [GPU_TAINT]),
    "mig": Cloud(
        {"nvidia.com/mig.config.state": "success"}, [GPU_TAINT], gpu="nvidia.com/mig-1g.10gb"
    ),
    "spot": Cloud(
        {"cloud.google.com/gke-spot": "true"},
        [
            GPU_TAINT | {"value": "present"},
            {"key": "cloud.google.com/gke-spot", "value": "true", "effect": "NoSchedule"},
        ],
    ),
}
each_cloud = pytest.mark.parametrize("cloud", CLOUDS)


def values_file(cloud: str) -> Path:
    return CHART / f"values-{cloud}.yaml"


def test_there_is_a_file_for_each() -> None:
    assert {file.name for file in CHART.glob("values-*.yaml")} == {
        *(values_file(cloud).name for cloud in CLOUDS),
        "values-local.yaml",
    }


def rendered(render: Render, cloud: str) -> list[Manifest]:
    return render(*CLOUDS[cloud].settings, "crds.enabled=false", files=[values_file(cloud)])


def pod_of(owner: Manifest) -> Manifest:
    """Return the Pod that a Deployment or Job would make: policies look at Pods alone."""
    if owner["kind"] == "Pod":
        return owner
    template = owner["spec"]["template"]
    metadata = {**template["metadata"], "name": f"{owner['metadata']['name']}-pod"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def worker(manifests: list[Manifest], monkeypatch: pytest.MonkeyPatch, namespace: str) -> Manifest:
    """Return the Job that the operator makes when it is configured by these manifests."""
    for name, value in chart.environment(manifests, "operator").items():
        monkeypatch.setenv(name, value)
    view = SplitJob.of(
        {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {
                "name": "one",
                "namespace": namespace,
                "uid": "0b1f7d1e-0000-4000-8000-000000000000",
                "resourceVersion": "1",
                "creationTimestamp": datetime.now(UTC).isoformat(),
            },
            "spec": {"request": REQUEST},
        }
    )
    return worker_job.build_job(view, Attempt(number=1, job_name="one-1"), Settings())


Pods = Callable[[str], list[Manifest]]


@pytest.fixture
def pods(
    crd: LocalCluster, restricted: str, render: Render, monkeypatch: pytest.MonkeyPatch
) -> Pods:
    """All pods of an installation on a cloud; their service accounts are there."""

    def of(cloud: str) -> list[Manifest]:
        manifests = rendered(render, cloud)
        accounts = [m for m in manifests if m["kind"] == "ServiceAccount"]
        apply(crd.cluster, restricted, *accounts, dry_run=False)
        owners = [m for m in manifests if m["kind"] in ("Deployment", "Pod")]
        return [pod_of(one) for one in (*owners, worker(manifests, monkeypatch, restricted))]

    return of


@each_cloud
def test_everything_is_accepted(
    crd: LocalCluster, restricted: str, render: Render, cloud: str
) -> None:
    manifests = rendered(render, cloud)
    accepted = apply(crd.cluster, restricted, *manifests)
    assert len(accepted) == len(manifests)


@each_cloud
def test_every_pod_is_accepted(crd: LocalCluster, restricted: str, pods: Pods, cloud: str) -> None:
    made = pods(cloud)
    assert len(made) == 4, "API, operator, worker, and that of helm test"
    apply(crd.cluster, restricted, *made)


@each_cloud
def test_the_job_of_a_worker_is_accepted(
    crd: LocalCluster,
    restricted: str,
    render: Render,
    monkeypatch: pytest.MonkeyPatch,
    cloud: str,
) -> None:
    built = worker(rendered(render, cloud), monkeypatch, restricted)
    assert built["metadata"]["namespace"] == restricted
    apply(crd.cluster, restricted, built)


@pytest.fixture
def gpu_node(crd: LocalCluster) -> Iterator[Callable[[Cloud], str]]:
    """Adds a node as a cloud makes it; no kubelet stands behind it."""
    name = f"gpu-{secrets.token_hex(4)}"

    def add(cloud: Cloud) -> str:
        node = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": cloud.labels},
            "spec": {"taints": cloud.taints},
        }
        crd.objects.create(node)
        room = {"cpu": "8", "memory": "32Gi", "ephemeral-storage": "100Gi", "pods": "50"}
        room |= {cloud.gpu: "1"}
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "yes"}
        ready |= {"lastHeartbeatTime": now, "lastTransitionTime": now}
        status = {"status": {"capacity": room, "allocatable": room, "conditions": [ready]}}
        crd.objects.patch("node", name, status, subresource="status")
        return name

    yield add
    crd.kubectl("delete", "node", name, "--ignore-not-found", "--wait=false")


def node_of(kube: KubectlClient, namespace: str, pod: str) -> str:
    until = time.monotonic() + patience(SECONDS)
    while time.monotonic() < until:
        found: str = kube.objects.get("pod", pod, namespace=namespace)["spec"].get("nodeName", "")
        if found:
            return found
        time.sleep(0.2)
    return json.dumps(kube.objects.get("pod", pod, namespace=namespace)["status"])


@each_cloud
def test_the_scheduler_finds_the_gpu_node_for_a_worker(
    crd: LocalCluster,
    restricted: str,
    pods: Pods,
    gpu_node: Callable[[Cloud], str],
    cloud: str,
) -> None:
    name = gpu_node(CLOUDS[cloud])
    pod = pods(cloud)[-1]
    # The node of the tests has GPUs too, without labels and taints.
    only = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [name]}]}
    affinity = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [only]}}
    pod["spec"]["affinity"] = {"nodeAffinity": affinity}
    apply(crd.cluster, restricted, pod, dry_run=False)
    assert node_of(crd.cluster, restricted, pod["metadata"]["name"]) == name


@pytest.fixture
def like_restricted_v2(crd: LocalCluster, restricted: str) -> Iterator[None]:
    """Refuse, in one namespace, what OpenShift's SCC restricted-v2 refuses there."""

    def rule(name: str) -> dict[str, str]:
        given = f"object.spec.securityContext.{name}"
        return {
            "expression": f"!has(object.spec.securityContext) || !has({given}) || "
            f"({given} >= {FIRST} && {given} <= {LAST})",
            "message": f"{name}: must be in the ranges: [{FIRST}, {LAST}]",
        }

    pods = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"]}
    here = {"matchLabels": {"kubernetes.io/metadata.name": restricted}}
    policy: dict[str, Any] = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": restricted},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [{**pods, "resources": ["pods"]}]},
            "validations": [rule("runAsUser"), rule("runAsGroup"), rule("fsGroup")],
        },
    }
    binding: dict[str, Any] = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": restricted},
        "spec": {
            "policyName": restricted,
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": here},
        },
    }
    text = yaml.safe_dump_all([policy, binding])
    crd.kubectl("apply", "-f", "-", text=text)
    yield
    crd.kubectl("delete", "-f", "-", "--wait=false", text=text)


def refused(kube: KubectlClient, namespace: str, pod: Manifest) -> str:
    """Return why a pod is refused; the policy takes a moment until it counts."""
    until = time.monotonic() + patience(SECONDS)
    while time.monotonic() < until:
        try:
            apply(kube, namespace, pod)
        except ClusterError as error:
            return str(error)
        time.sleep(0.2)
    return ""


@pytest.mark.usefixtures("like_restricted_v2")
def test_openshift_chooses_users_and_groups_itself(
    crd: LocalCluster, restricted: str, pods: Pods
) -> None:
    elsewhere = pods("eks")
    for pod in elsewhere:
        assert "must be in the ranges" in refused(crd.cluster, restricted, pod)
    apply(crd.cluster, restricted, *pods("openshift"))


def test_openshift_reaches_its_dns_on_its_own_port(render: Render) -> None:
    """Policies see the port of the DNS pods, 5353, not that of their Service."""
    policies = [m for m in rendered(render, "openshift") if m["kind"] == "NetworkPolicy"]
    open_to_dns = {
        policy["metadata"]["name"].rpartition("-")[2]
        for policy in policies
        for rule in policy["spec"].get("egress", [])
        if {(port["port"], port["protocol"]) for port in rule.get("ports", [])}
        == {(5353, "UDP"), (5353, "TCP")}
    }
    assert open_to_dns == {"api", "operator", "worker"}


AGENT = {"169.254.170.23/32", "fd00:ec2::23/128"}


@pytest.mark.parametrize(("cloud", "wanted"), [("eks", AGENT), ("gke", set()), ("aks", set())])
def test_of_the_link_local_addresses_only_named_ones_are_open(
    render: Render, cloud: str, wanted: set[str]
) -> None:
    """The metadata server is never reached over http; DNS at its address is another port."""
    found: set[str] = set()
    for policy in (m for m in rendered(render, cloud) if m["kind"] == "NetworkPolicy"):
        for rule in policy["spec"].get("egress", []):
            ports = {port["port"] for port in rule.get("ports", [])}
            blocks = {to["ipBlock"]["cidr"] for to in rule.get("to", []) if "ipBlock" in to}
            local = {cidr for cidr in blocks if cidr.startswith(("169.254.", "fd00:ec2"))}
            if ports != {53}:
                found |= local
    assert found == wanted
