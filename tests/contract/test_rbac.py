"""The Roles of the chart against the calls in the code: each is needed, none is missing.

Each component talks to the cluster in one file. The kinds of objects whose paths it names are those
that it needs rights on, and the verbs are said here.
"""

import ast
from pathlib import Path
from typing import Any

import pytest
from tests.support.chart import RELEASE, Manifest, Render

import splitjob_api.kubernetes
from splitjob.resource import GROUP
from splitjob_kube import paths
from splitjob_operator.adapters import kubernetes as operator_kubernetes

ROOT = Path(__file__).parents[2]
FILES = {
    "api": ROOT / "api/splitjob_api/kubernetes.py",
    "operator": ROOT / "operator/splitjob_operator/adapters/kubernetes.py",
}
LOOKED_FOR = {
    "api": splitjob_api.kubernetes.rights_needed("totals"),
    "operator": operator_kubernetes.rights_needed("totals", "lease", network_policies=True),
}
# What is done at the paths of `splitjob_kube.paths`, by the names they have there.
BY_PATH: dict[str, dict[str, set[str]]] = {
    "api": {
        "SPLITJOBS": {"create", "get", "list", "watch", "patch"},
        "SECRETS": {"create"},
        "CONFIGMAPS": {"get"},
    },
    "operator": {
        "SPLITJOBS": {"get", "list", "watch", "delete"},
        "JOBS": {"create", "get", "list", "watch", "delete"},
        "PODS": {"list", "watch", "delete"},
        "SECRETS": {"get", "list", "patch", "delete"},
        "EVENTS": {"create", "list"},
        "CONFIGMAPS": {"create", "get", "update"},
        "LEASES": {"create", "get", "update"},
        "NETWORK_POLICIES": {"create"},
        "NODES": {"get"},
    },
}
# What the names of paths do not tell.
BEYOND = {
    "api": {("events", "list")},  # of the client that both share: `events_about`
    "operator": {
        # below the paths of the SplitJobs and of the pods
        (f"{GROUP}/splitjobs/status", "update"),
        ("pods/log", "get"),
        # to be an owner that waits for what it owns
        (f"{GROUP}/splitjobs/finalizers", "update"),
    },
}


def needed(component: str) -> set[tuple[str, str]]:
    """Return what the component's code asks of the cluster, as (resource, verb)."""
    nodes = ast.walk(ast.parse(FILES[component].read_text()))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    kinds = {name: kind for name, kind in vars(paths).items() if isinstance(kind, paths.Kind)}
    assert names & set(kinds) == set(BY_PATH[component]), "name the verbs of each path in BY_PATH"
    by_path = {
        (kinds[name].resource, verb) for name, verbs in BY_PATH[component].items() for verb in verbs
    }
    return by_path | BEYOND[component]


def granted(manifests: list[Manifest], component: str) -> set[tuple[str, str]]:
    """Return what the Roles bound to the component's account allow, as (resource, verb)."""
    account = f"{RELEASE}-track-tree-audio-{component}"
    roles = {(m["kind"], m["metadata"]["name"]): m for m in manifests if "rules" in m}
    rules: list[dict[str, Any]] = [
        rule
        for m in manifests
        if m["kind"] in {"RoleBinding", "ClusterRoleBinding"}
        and account in [subject["name"] for subject in m["subjects"]]
        for rule in roles[m["roleRef"]["kind"], m["roleRef"]["name"]]["rules"]
    ]
    return {
        (f"{group}/{kind}" if group else kind, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for kind in rule["resources"]
        for verb in rule["verbs"]
    }


@pytest.mark.parametrize("component", FILES)
def test_the_rights_are_those_the_code_needs(manifests: list[Manifest], component: str) -> None:
    """Acceptance 66."""
    assert granted(manifests, component) == needed(component)


@pytest.mark.parametrize("component", FILES)
def test_what_is_looked_for_at_the_start_is_what_the_chart_grants(
    manifests: list[Manifest], component: str
) -> None:
    """Nodes may be left out (rbac.nodes), so their absence is no reason not to be ready."""
    looked_for = {
        (f"{right.group}/{right.resource}" if right.group else right.resource, right.verb)
        for right in LOOKED_FOR[component]
    }
    assert looked_for == granted(manifests, component) - {("nodes", "get")}


def test_kubernetes_tokens_take_two_more_rights_of_the_api(
    render: Render, manifests: list[Manifest]
) -> None:
    """To ask whose token it is, in the whole cluster; and what they may do, in the namespace."""
    rendered = render("api.kubernetesTokens.enabled=true")
    more = granted(rendered, "api") - granted(manifests, "api")
    assert more == {
        ("authentication.k8s.io/tokenreviews", "create"),
        ("authorization.k8s.io/localsubjectaccessreviews", "create"),
    }
    looked_for = splitjob_api.kubernetes.rights_needed("totals", reviews=True)
    assert more == {
        (f"{right.group}/{right.resource}", right.verb)
        for right in set(looked_for) - set(LOOKED_FOR["api"])
    }
    (wide,) = (
        m
        for m in rendered
        if m["kind"] == "ClusterRole" and m["metadata"]["name"].endswith("-api:tokenreviews")
    )
    assert [rule["resources"] for rule in wide["rules"]] == [["tokenreviews"]]


def test_kueue_takes_two_more_rights_of_the_operator(
    render: Render, manifests: list[Manifest]
) -> None:
    """To say why a Job is held, and to have it held."""
    rendered = render("kueue.localQueue=audio")
    more = granted(rendered, "operator") - granted(manifests, "operator")
    looked_for = operator_kubernetes.rights_needed(
        "totals", "lease", network_policies=True, kueue=True
    )
    assert more == {
        (f"{right.group}/{right.resource}", right.verb)
        for right in set(looked_for) - set(LOOKED_FOR["operator"])
    }
    assert more == {("kueue.x-k8s.io/workloads", verb) for verb in ("list", "update")}


def test_the_api_cannot_read_secrets(manifests: list[Manifest]) -> None:
    assert {verb for kind, verb in granted(manifests, "api") if kind == "secrets"} == {"create"}


def test_nothing_is_granted_wholesale(manifests: list[Manifest]) -> None:
    for m in manifests:
        for rule in m.get("rules", []):
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]


def test_the_only_right_beyond_the_namespace_is_to_read_nodes(manifests: list[Manifest]) -> None:
    bound = [m["roleRef"]["name"] for m in manifests if m["kind"] == "ClusterRoleBinding"]
    assert bound == ["audio:demo-track-tree-audio-operator:nodes"]
    (role,) = (
        m for m in manifests if m["kind"] == "ClusterRole" and m["metadata"]["name"] in bound
    )
    assert role["rules"] == [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}]
