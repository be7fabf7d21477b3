"""The chart on a real API server: Pod Security, rights as granted, upgrade and removal."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from tests.support import chart
from tests.support.chart import OWN_REGISTRY, RELEASE, Manifest, Render, apply, one
from tests.support.waiting import eventually

from splitjob.resource import API_VERSION, KIND
from splitjob.status import Attempt
from splitjob_local.cluster.local_cluster import LocalCluster
from splitjob_local.cluster.objects import ClusterError
from splitjob_operator.core.observed import SplitJob
from splitjob_operator.core.settings import Settings
from splitjob_operator.core.worker_job import build_job

REQUEST = {
    "versionId": "song-1",
    "model": "htdemucs",
    "source": {"url": "https://example.com/song.wav", "secretKey": "source"},
    "webhook": {"url": "https://example.com/hook"},
    "secretName": "one-source",
}
SPLITJOB = {
    "apiVersion": API_VERSION,
    "kind": KIND,
    "metadata": {"name": "one"},
    "spec": {"request": REQUEST},
}


def pod_of(owner: Manifest) -> Manifest:
    """Return the Pod that a Deployment or Job would make: only of Pods the policy is enforced."""
    template = owner["spec"]["template"]
    metadata = {**template["metadata"], "name": f"{owner['metadata']['name']}-pod"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def worker_job(render: Render, monkeypatch: pytest.MonkeyPatch, *settings: str) -> Manifest:
    """Return the Job that the operator makes when it is configured by the chart."""
    for name, value in chart.environment(render(*settings), "operator").items():
        monkeypatch.setenv(name, value)
    made = {
        "name": "one",
        "namespace": "audio",
        "uid": "0b1f7d1e-0000-4000-8000-000000000000",
        "resourceVersion": "1",
        "creationTimestamp": datetime.now(UTC).isoformat(),
    }
    view = SplitJob.of({**SPLITJOB, "metadata": made})
    built = build_job(view, Attempt(number=1, job_name="one-1"), Settings())
    built["metadata"].pop("namespace")
    return built


# Every option that makes an object, or adds to a pod, without others' CustomResourceDefinitions.
EVERYTHING = (
    "api.autoscaling.enabled=true",
    "api.service.ipFamilyPolicy=PreferDualStack",
    "ingress.enabled=true",
    "ingress.hosts={stems.example.com}",
    "storage.podIdentity=true",
    "caBundle.configMap=our-ca",
    "proxy.httpsProxy=http://proxy.example.com:3128",
    "commonLabels.cost-centre=songs",
    *(
        f"{component}.{option}"
        for component in ("api", "operator", "worker")
        for option in (
            "podLabels.team=audio",
            "extraEnv[0].name=EXTRA",
            "extraEnv[0].value=one",
            "extraVolumes[0].name=extra",
            "extraVolumes[0].emptyDir.sizeLimit=1Mi",
            "extraVolumeMounts[0].name=extra",
            "extraVolumeMounts[0].mountPath=/extra",
            "topologySpreadConstraints[0].maxSkew=1",
            "topologySpreadConstraints[0].topologyKey=zone",
            "topologySpreadConstraints[0].whenUnsatisfiable=ScheduleAnyway",
        )
    ),
)
ROLE = "storage.webIdentity.roleArn=arn:aws:iam::123456789012:role/stems"


@pytest.mark.parametrize("options", [(), EVERYTHING, (ROLE,)], ids=["default", "all", "role"])
def test_the_whole_chart_is_accepted_in_a_restricted_namespace(
    crd: LocalCluster, restricted: str, render: Render, options: tuple[str, ...]
) -> None:
    """Acceptance 64."""
    manifests = render("crds.enabled=false", *options)
    accepted = apply(crd.cluster, restricted, *manifests, dry_run=True)
    assert len(accepted) == len(manifests)
    owners = [m for m in manifests if m["kind"] == "Deployment"]
    accounts = [m for m in manifests if m["kind"] == "ServiceAccount"]
    apply(crd.cluster, restricted, *accounts, dry_run=False)
    apply(crd.cluster, restricted, *map(pod_of, owners), dry_run=True)


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("worker.models.volume.persistentVolumeClaim.claimName=models",),
        ("worker.models.volume.image.reference=registry.example/track-tree-audio/models:1",),
        (OWN_REGISTRY, "worker.gpu.count=0"),
        (*EVERYTHING, "worker.cpuLimit=4", "worker.ephemeralStorage=30Gi"),
        (ROLE,),
    ],
    ids=[
        "default",
        "models on a volume",
        "models in an image",
        "own registry, no GPU",
        "everything",
        "role",
    ],
)
def test_the_worker_is_accepted_in_a_restricted_namespace(
    cluster: LocalCluster,
    restricted: str,
    render: Render,
    monkeypatch: pytest.MonkeyPatch,
    settings: tuple[str, ...],
) -> None:
    """Acceptance 64 and 65."""
    built = worker_job(render, monkeypatch, *settings)
    accounts = [m for m in render() if m["kind"] == "ServiceAccount"]
    apply(cluster.cluster, restricted, *accounts, dry_run=False)
    apply(cluster.cluster, restricted, built, dry_run=True)
    pod = cluster.objects.create(pod_of(built), restricted, dry_run=True)
    mounted = [mount["mountPath"] for mount in pod["spec"]["containers"][0]["volumeMounts"]]
    assert "/var/run/secrets/kubernetes.io/serviceaccount" not in mounted


def test_a_careless_pod_is_refused_there(cluster: LocalCluster, restricted: str) -> None:
    """The two tests above mean something: the policy is enforced."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "careless"},
        "spec": {"containers": [{"name": "x", "image": "x"}]},
    }
    with pytest.raises(ClusterError, match="violates PodSecurity"):
        apply(cluster.cluster, restricted, pod, dry_run=True)


# What OpenShift's restricted-v2 asks of a pod: a user of the namespace's own range, or none named.
OWN_RANGE = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingAdmissionPolicy",
    "spec": {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"]}
                | {"resources": ["pods"]}
            ]
        },
        "validations": [
            {
                "expression": "!has(object.spec.securityContext.runAsUser) && "
                "!has(object.spec.securityContext.runAsGroup) && "
                "!has(object.spec.securityContext.fsGroup)",
                "message": "must be in the namespace's own range",
            }
        ],
    },
}


@pytest.fixture
def own_range(cluster: LocalCluster, restricted: str) -> Iterator[str]:
    """A restricted namespace that also refuses pods that choose their user or group."""
    metadata = {"name": restricted}
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": metadata,
        "spec": {
            "policyName": restricted,
            "validationActions": ["Deny"],
            "matchResources": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": restricted}}
            },
        },
    }
    for made in ({**OWN_RANGE, "metadata": metadata}, binding):
        cluster.objects.create(made)
    yield restricted
    for kind in (str(OWN_RANGE["kind"]), "ValidatingAdmissionPolicyBinding"):
        cluster.objects.delete(kind, restricted)


def test_pods_without_users_and_groups_are_accepted_as_openshift_wants_them(
    cluster: LocalCluster, own_range: str, render: Render, monkeypatch: pytest.MonkeyPatch
) -> None:
    unnamed = [
        f"{component}.podSecurityContext.{field}=null"
        for component in RIGHTS
        for field in ("runAsUser", "runAsGroup", "fsGroup")
    ]
    accounts = [m for m in render() if m["kind"] == "ServiceAccount"]
    apply(cluster.cluster, own_range, *accounts, dry_run=False)
    fixed, free = worker_job(render, monkeypatch), worker_job(render, monkeypatch, *unnamed)
    deployments = [m for m in render(*unnamed) if m["kind"] == "Deployment"]

    def refused() -> bool:  # the policy takes a moment to be in force
        with suppress(ClusterError):
            apply(cluster.cluster, own_range, pod_of(fixed), dry_run=True)
            return False
        return True

    eventually(refused)
    apply(cluster.cluster, own_range, *map(pod_of, [*deployments, free]), dry_run=True)


def test_a_quota_on_everything_lets_every_pod_in(
    cluster: LocalCluster, restricted: str, render: Render, monkeypatch: pytest.MonkeyPatch
) -> None:
    hard = {
        f"{kind}.{resource}": "100" if resource == "cpu" else "100Gi"
        for kind in ("requests", "limits")
        for resource in ("cpu", "memory", "ephemeral-storage")
    }
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "all"}}
    accounts = [m for m in render() if m["kind"] == "ServiceAccount"]
    apply(cluster.cluster, restricted, *accounts, dry_run=False)
    apply(cluster.cluster, restricted, {**quota, "spec": {"hard": hard}}, dry_run=False)
    options = (
        "worker.cpuLimit=4",
        "api.resources.limits.cpu=1",
        "operator.resources.limits.cpu=1",
    )
    made = render(*options)
    owners = [m for m in made if m["kind"] == "Deployment"]
    pods = [
        *map(pod_of, owners),
        one(made, "Pod"),
        pod_of(worker_job(render, monkeypatch, *options)),
    ]

    def counted() -> bool:  # before its controller has counted, a quota lets nothing in
        return bool(cluster.objects.get("resourcequota", "all", namespace=restricted).get("status"))

    eventually(counted)
    apply(cluster.cluster, restricted, *pods, dry_run=True)
    careless = pod_of(worker_job(render, monkeypatch))
    with pytest.raises(ClusterError, match=r"must specify limits\.cpu"):
        apply(cluster.cluster, restricted, careless, dry_run=True)


RIGHTS: dict[str, dict[str, set[str]]] = {
    "api": {
        "splitjobs.audio.track-tree.com": {"create", "get", "list", "patch", "watch"},
        "secrets": {"create"},
        "configmaps": {"get"},
        "events": {"list"},
    },
    "operator": {
        "splitjobs.audio.track-tree.com": {"get", "list", "watch", "delete"},
        "splitjobs.audio.track-tree.com/status": {"update"},
        "splitjobs.audio.track-tree.com/finalizers": {"update"},
        "jobs.batch": {"create", "get", "list", "watch", "delete"},
        "networkpolicies.networking.k8s.io": {"create"},
        "leases.coordination.k8s.io": {"create", "get", "update"},
        "pods": {"list", "watch", "delete"},
        "pods/log": {"get"},
        "secrets": {"get", "list", "patch", "delete"},
        "events": {"create", "list"},
        "configmaps": {"create", "get", "update"},
        "nodes": {"get"},
    },
    "worker": {},
}


def rights_of(cluster: LocalCluster, namespace: str, account: str) -> dict[str, set[str]]:
    """Return the verbs by resource that `kubectl auth can-i --list` gives for an account."""
    user = f"--as=system:serviceaccount:{namespace}:{account}"
    listed = cluster.kubectl("auth", "can-i", "--list", "--no-headers", "-n", namespace, user)
    rights: dict[str, set[str]] = {}
    for line in listed.splitlines():
        if not line.startswith(" "):  # those are addresses, as /healthz
            verbs = line[line.rindex("[") + 1 : line.rindex("]")].split()
            rights.setdefault(line.split()[0], set()).update(verbs)
    return rights


@pytest.mark.parametrize("component", RIGHTS)
def test_the_accounts_can_do_this_and_nothing_else(
    cluster: LocalCluster, restricted: str, render: Render, component: str
) -> None:
    """Acceptance 66, as the API server sees it."""
    kinds = ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "ServiceAccount")
    granted = [m for m in render() if m["kind"] in kinds]
    apply(cluster.cluster, restricted, *granted, dry_run=False)
    try:
        everybodys = rights_of(cluster, restricted, "nobody")
        rights = rights_of(cluster, restricted, f"{RELEASE}-track-tree-audio-{component}")
    finally:
        cluster_wide = [m for m in granted if m["kind"].startswith("Cluster")]
        for made in cluster_wide:
            cluster.objects.delete(made["kind"], made["metadata"]["name"])
    own = {name: verbs for name, verbs in rights.items() if name not in everybodys}
    assert own == RIGHTS[component]
