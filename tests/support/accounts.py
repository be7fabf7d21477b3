"""Service accounts with exactly the rights that a test gives them."""

from collections.abc import Iterable
from pathlib import Path

import yaml

from splitjob_kube.rights import Right
from splitjob_local.cluster.local_cluster import LocalCluster


def account(cluster: LocalCluster, namespace: str, name: str, folder: Path) -> Path:
    """Make a service account; return a kubeconfig for it."""
    kind = {"apiVersion": "v1", "kind": "ServiceAccount"}
    cluster.objects.create(kind | {"metadata": {"name": name}}, namespace)
    return kubeconfig_of(cluster, namespace, name, folder)


def kubeconfig_of(cluster: LocalCluster, namespace: str, name: str, folder: Path) -> Path:
    """Return a kubeconfig for a service account that is there."""
    token = cluster.kubectl("-n", namespace, "create", "token", name).strip()
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": token}}]
    path = folder / f"{name}.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path


def grant(cluster: LocalCluster, namespace: str, name: str, rights: Iterable[Right]) -> None:
    """Let an account do this in its namespace, and nothing else."""
    rules = [
        {
            "apiGroups": [right.group],
            "resources": [right.resource],
            "verbs": [right.verb],
            **({"resourceNames": [right.name]} if right.name else {}),
        }
        for right in rights
    ]
    kind = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": name}}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    subject = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    manifests = [
        {**kind, "kind": "Role", "rules": rules},
        {**kind, "kind": "RoleBinding", "roleRef": role, "subjects": [subject]},
    ]
    for manifest in manifests:
        cluster.objects.apply(manifest, namespace)
