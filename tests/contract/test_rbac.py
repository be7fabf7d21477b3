"""The Roles of the chart against the calls in the code: each is needed, none is missing.

Each component talks to the cluster in one file. The methods of the Kubernetes client that it names
say which verbs it needs on what, those of the client that both share among them.
"""

import ast
import re
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
VERBS = {
    "create": "create",
    "read": "get",
    "get": "get",
    "list": "list",
    "patch": "patch",
    "replace": "update",
    "delete": "delete",
}
PLURALS = {
    "custom_object": f"{GROUP}/splitjobs",
    "custom_object_status": f"{GROUP}/splitjobs/status",
    "job": "batch/jobs",
    "network_policy": "networking.k8s.io/networkpolicies",
    "lease": "coordination.k8s.io/leases",
    "pod": "pods",
    "pod_log": "pods/log",
    "secret": "secrets",
    "config_map": "configmaps",
    "event": "events",
    "node": "nodes",
}
# What the shared client is asked for by other names than the library's.
SHARED = {
    "events_about": ("events", "list"),
}
# What is done at the paths of `splitjob_kube.paths`, by the names they have there.
BY_PATH: dict[str, dict[str, set[str]]] = {
    "api": {"SPLITJOBS": {"create"}, "SECRETS": {"create"}},
    "operator": {
        "SPLITJOBS": {"get", "list", "delete"},
        "JOBS": {"create", "list", "delete"},
        "PODS": {"list", "delete"},
        "SECRETS": {"list", "delete"},
        "EVENTS": {"create"},
    },
}
# What a method's name does not tell.
BEYOND = {
    "api": {(f"{GROUP}/splitjobs", "watch")},
    "operator": {
        # kopf's own watching
        *((kind, "watch") for kind in (f"{GROUP}/splitjobs", "batch/jobs", "pods")),
        # below the paths of the SplitJobs and of the pods
        (f"{GROUP}/splitjobs/status", "update"),
        ("pods/log", "get"),
        # to be an owner that waits for what it owns
        (f"{GROUP}/splitjobs/finalizers", "update"),
    },
}


def needed(component: str) -> set[tuple[str, str]]:
    """Return what the component's code asks of the cluster, as (resource, verb)."""
    nodes = list(ast.walk(ast.parse(FILES[component].read_text())))
    names = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    names |= {node.id for node in nodes if isinstance(node, ast.Name)}
    found = set(BEYOND[component])
    for name in names:
        match = re.fullmatch(r"([a-z]+)_(?:namespaced|cluster)_(\w+)|(read|list)_(node)", name)
        if match:
            verb, kind = match[1] or match[3], match[2] or match[4]
            found.add((PLURALS[kind], VERBS[verb]))
    kinds = {name: kind for name, kind in vars(paths).items() if isinstance(kind, paths.Kind)}
    assert names & set(kinds) == set(BY_PATH[component]), "name the verbs of each path in BY_PATH"
    for name, verbs in BY_PATH[component].items():
        found |= {(kinds[name].resource, verb) for verb in verbs}
    return found | {SHARED[name] for name in names & set(SHARED)}


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
