"""The chart's life with Helm 3 and Helm 4, and beside others who manage the same objects."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from tests.support.chart import CHART, LOCAL, NEEDED, Manifest
from tests.support.chart_tools import HELM3, find_tool
from tests.support.definition import is_established
from tests.support.waiting import eventually, patience, timeout

from splitjob.resource import API_VERSION, GROUP, KIND, PLURAL
from splitjob_local.cluster.kubectl import KubectlClient, KubectlError
from splitjob_local.cluster.local_cluster import LocalCluster
from splitjob_local.programs.gobuild import GoBuildError

RELEASE = "demo"
NAME = f"{PLURAL}.{GROUP}"
DEFINITION = f"customresourcedefinition/{NAME}"
WAIT = ("--wait", timeout(110))
KINDS = (
    "deployments,services,configmaps,secrets,serviceaccounts,roles,rolebindings,networkpolicies,"
    "poddisruptionbudgets,horizontalpodautoscalers,ingresses,jobs,pods,clusterroles,"
    "clusterrolebindings"
)


def splitjob(name: str) -> Manifest:
    """Return a SplitJob that is not to start."""
    request = {
        "versionId": "song-1",
        "model": "demo",
        "source": {"url": "https://example.com/song.wav"},
        "webhook": {"url": "https://example.com/hook"},
    }
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name},
        "spec": {"suspend": True, "request": request},
    }


@pytest.fixture(scope="module")
def local(bare: LocalCluster) -> Iterator[LocalCluster]:
    """A cluster to install on and remove from, with a namespace for it."""
    bare.cluster.create_namespace("audio")
    yield bare
    bare.kubectl("delete", "namespace", "audio", timeout(60))


@pytest.fixture(scope="module")
def helm4(local: LocalCluster) -> KubectlClient:
    return local.cluster


@pytest.fixture(scope="module")
def helm3(local: LocalCluster) -> KubectlClient:
    """The same cluster, with Helm 3."""
    try:
        program = find_tool(HELM3, print)
    except GoBuildError as error:
        pytest.skip(f"Helm 3 cannot be built on this machine: {error}")
    return replace(local.cluster, programs={**local.cluster.programs, "helm": program})


@pytest.fixture
def values(local: LocalCluster, tmp_path: Path) -> tuple[str, ...]:
    """The values with which the service really runs on this cluster."""
    own = tmp_path / "own.yaml"
    own.write_text(yaml.safe_dump(local.service.values()))
    return f"--values={LOCAL}", f"--values={own}", "--set=api.replicas=1"


def run(helm: KubectlClient, command: str, name: str, *arguments: str) -> str:
    chart = [str(CHART)] if command in {"install", "upgrade", "template"} else []
    return helm.helm(command, name, *chart, "--namespace=audio", *arguments)


def setting(kube: KubectlClient, name: str) -> str:
    """Return what the operator's pod was started with."""
    found = kube.objects.get("configmap", f"{RELEASE}-track-tree-audio-operator", namespace="audio")
    return str(found["data"][name])


def ready_replicas(kube: KubectlClient) -> int:
    """Return how many pods of the API are ready, at this moment."""
    found = kube.objects.get("deployment", f"{RELEASE}-track-tree-audio-api", namespace="audio")
    return int(found["status"].get("readyReplicas", 0))


def left_over(kube: KubectlClient, release: str = RELEASE) -> list[str]:
    """Return what is still there of a release, but for pods that are going."""
    chosen = f"app.kubernetes.io/instance={release}"
    found = kube.objects.get(KINDS, namespace="audio", selector=chosen)["items"]
    return [
        f"{one['kind']} {one['metadata']['name']}"
        for one in found
        if not one["metadata"].get("deletionTimestamp")
    ]


@pytest.fixture
def clean(helm4: KubectlClient) -> Iterator[None]:
    """Nothing of a release is left to the next test, whatever became of this one."""
    yield
    for release in json.loads(helm4.helm("list", "--all-namespaces", "--output=json")):
        helm4.helm("uninstall", release["name"], f"--namespace={release['namespace']}", "--wait")
    helm4.kubectl("delete", DEFINITION, "--ignore-not-found")


@pytest.mark.parametrize("first", ["helm3", "helm4"])
@pytest.mark.timeout(patience(600))
@pytest.mark.usefixtures("clean")
def test_install_upgrade_rollback_and_removal(
    first: str, helm4: KubectlClient, values: tuple[str, ...], request: pytest.FixtureRequest
) -> None:
    """Begun with either, upgraded by the same, then by Helm 4; every step waited for.

    With the chart's own two replicas of the API: what is waited for is both of them.
    """
    helm: KubectlClient = request.getfixturevalue(first)
    run(helm, "install", RELEASE, *values, "--set=api.replicas=2", *WAIT)
    assert ready_replicas(helm) == 2
    run(helm, "upgrade", RELEASE, *values, "--set=queue.maxActiveJobs=3", *WAIT)
    assert setting(helm, "MAX_ACTIVE_JOBS") == "3"
    run(helm4, "upgrade", RELEASE, *values, "--set=queue.maxActiveJobs=4", *WAIT)
    assert setting(helm4, "MAX_ACTIVE_JOBS") == "4"
    helm4.helm("rollback", RELEASE, "1", "--namespace=audio", *WAIT)
    assert setting(helm4, "MAX_ACTIVE_JOBS") == "1"
    assert ready_replicas(helm4) == 2
    run(helm, "uninstall", RELEASE, "--wait")
    assert left_over(helm4) == []


@pytest.mark.usefixtures("clean")
def test_helm_test_says_what_it_found_and_leaves_nothing(
    helm4: KubectlClient, local: LocalCluster, values: tuple[str, ...]
) -> None:
    run(helm4, "install", RELEASE, *values, *WAIT)
    (address,) = local.service.api_urls()
    run(helm4, "upgrade", RELEASE, *values, f"--set=tests.address={address}")
    said = run(helm4, "test", RELEASE, timeout(60))
    assert re.search(r"Phase: +Succeeded", said)
    names = helm4.kubectl("get", "pods", "-n", "audio", "-o", "name")
    assert f"{RELEASE}-track-tree-audio-test" not in names


@pytest.mark.usefixtures("clean")
def test_another_field_manager_finds_nothing_to_change(
    helm4: KubectlClient, values: tuple[str, ...], tmp_path: Path
) -> None:
    """As Argo CD and Flux compare: what is rendered again is what is there, to the last field."""
    options = ("api.autoscaling.enabled=true", "ingress.enabled=true", "ingress.hosts={a.example}")
    more = ("caBundle.configMap=our-ca", "queue.keepFinishedJobsSeconds=9")
    scaled = (*values, *(f"--set={option}" for option in (*options, *more)))
    run(helm4, "install", RELEASE, *scaled)
    deployment = f"{RELEASE}-track-tree-audio-api"
    helm4.kubectl("scale", f"deployment/{deployment}", "-n", "audio", "--replicas=3")
    rendered = tmp_path / "rendered.yaml"
    rendered.write_text(run(helm4, "template", RELEASE, *scaled, "--no-hooks"))
    manager = ("--server-side", "--field-manager=argocd-controller", "-n", "audio")
    differences = helm4.kubectl("diff", *manager, "-f", str(rendered))
    assert differences == ""
    helm4.kubectl("apply", *manager, "-f", str(rendered))
    assert helm4.objects.get("deployment", deployment, namespace="audio")["spec"]["replicas"] == 3
    assert helm4.kubectl("diff", *manager, "-f", str(rendered)) == ""
    run(helm4, "upgrade", RELEASE, *scaled)
    assert helm4.objects.get("deployment", deployment, namespace="audio")["spec"]["replicas"] == 3


@pytest.mark.usefixtures("clean")
def test_a_second_release_in_the_namespace_is_refused_in_words(
    helm4: KubectlClient, values: tuple[str, ...]
) -> None:
    run(helm4, "install", RELEASE, *values)
    with pytest.raises(KubectlError, match="Namespace audio has the release demo already") as said:
        run(helm4, "install", "second", *values, "--set=crds.enabled=false")
    assert "Install into another namespace, or uninstall demo first" in str(said.value)
    assert left_over(helm4, "second") == []
    run(helm4, "uninstall", RELEASE, "--wait")
    run(helm4, "install", "second", *values, "--set=crds.enabled=false")


@pytest.mark.usefixtures("clean")
def test_what_was_kept_is_taken_over(helm4: KubectlClient, values: tuple[str, ...]) -> None:
    """By a release of the same name as it is, by another with Helm's flag for it."""
    run(helm4, "install", RELEASE, *values)
    eventually(lambda: is_established(helm4.objects, NAME))
    helm4.objects.create(splitjob("kept"), "audio")
    uid = helm4.objects.get(PLURAL, "kept", namespace="audio")["metadata"]["uid"]
    run(helm4, "uninstall", RELEASE, "--wait")
    run(helm4, "install", RELEASE, *values)
    run(helm4, "uninstall", RELEASE, "--wait")
    with pytest.raises(KubectlError, match="cannot be imported into the current release"):
        run(helm4, "install", "other", *values)
    run(helm4, "install", "other", *values, "--take-ownership")
    assert helm4.objects.get(PLURAL, "kept", namespace="audio")["metadata"]["uid"] == uid
    helm4.objects.delete(PLURAL, "kept", namespace="audio")
    owner = helm4.objects.get("crd", NAME)["metadata"]["annotations"]["meta.helm.sh/release-name"]
    assert owner == "other"
    run(helm4, "uninstall", "other", "--wait")
    helm4.kubectl("delete", DEFINITION)


def test_custom_resources_of_others_that_are_missing_are_named(
    helm4: KubectlClient, values: tuple[str, ...]
) -> None:
    """Helm says so itself, before anything is made."""
    for option, kind in (
        ("metrics.serviceMonitor.enabled=true", "ServiceMonitor"),
        ("httpRoute.enabled=true,httpRoute.parentRefs[0].name=public", "HTTPRoute"),
    ):
        with pytest.raises(KubectlError, match=f'no matches for kind "{kind}"'):
            run(helm4, "install", RELEASE, *values, f"--set={option}")
    assert left_over(helm4) == []


def test_the_chart_passes_helms_own_linter(helm4: KubectlClient, values: tuple[str, ...]) -> None:
    assert "1 chart(s) linted, 0 chart(s) failed" in helm4.helm(
        "lint", "--strict", str(CHART), *values
    )


def put_nowhere(helm: KubectlClient, command: str, *settings: str, source: Path = CHART) -> str:
    """Install or upgrade; the pods fit on no node, for here nothing needs to run."""
    nowhere = ("api.nodeSelector.never=here", "operator.nodeSelector.never=here")
    values = [f"--set={setting}" for setting in (*NEEDED, *nowhere, *settings)]
    return helm.helm(command, RELEASE, str(source), "--namespace=audio", *values)


def exists(kube: KubectlClient, kind: str, name: str) -> bool:
    return name in kube.objects.names(kind)


@pytest.mark.usefixtures("clean")
def test_upgrade_and_uninstall(helm4: KubectlClient, tmp_path: Path) -> None:
    """Acceptance 67."""
    deployment = f"{RELEASE}-track-tree-audio-api"
    said = put_nowhere(helm4, "install")
    assert "kubectl --namespace audio get splitjobs" in said
    eventually(lambda: is_established(helm4.objects, NAME))
    helm4.objects.create(splitjob("one"), "audio")
    before = helm4.objects.get("deployment", deployment, namespace="audio")
    before_it_all = helm4.objects.get(PLURAL, "one", namespace="audio")

    newer = tmp_path / "chart"
    shutil.copytree(CHART, newer)
    file = newer / "files" / "crd.yaml"
    file.write_text(file.read_text().replace("    - splits\n", "    - splits\n    - stemjobs\n"))
    put_nowhere(helm4, "upgrade", source=newer)
    names = helm4.objects.get("crd", NAME)["spec"]["names"]
    assert names["shortNames"] == ["splits", "stemjobs"]
    after = helm4.objects.get("deployment", deployment, namespace="audio")
    assert after["metadata"]["generation"] == before["metadata"]["generation"]

    helm4.helm("uninstall", RELEASE, "--namespace=audio", "--wait")
    assert not exists(helm4, "deployment", deployment)
    assert helm4.objects.get(PLURAL, "one", namespace="audio") == before_it_all

    put_nowhere(helm4, "install", "crds.keep=false")
    helm4.helm("uninstall", RELEASE, "--namespace=audio", "--wait")
    assert not exists(helm4, "crd", NAME)
