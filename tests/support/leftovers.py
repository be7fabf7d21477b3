"""What a run leaves behind, searched for what must not be there."""

import json
from collections.abc import Iterable

from splitjob_local.cluster.kubectl import KubectlClient

# Secrets hold what is secret, encoded; everything else of a namespace must not.
KINDS = (
    "splitjobs,jobs,pods,configmaps,serviceaccounts,roles,rolebindings,deployments,replicasets,"
    "services,leases,networkpolicies"
)


def assert_none_is_left(
    kube: KubectlClient, namespace: str, logs: Iterable[str], known: Iterable[str]
) -> None:
    """Fail where a secret stands in a log, an event or a resource.

    Args:
        kube: the cluster.
        namespace: whose resources and events are searched.
        logs: of the programs, as text.
        known: the secrets.
    """
    left = {f"log {number}": log for number, log in enumerate(logs)}
    for kinds in (KINDS, "events"):
        left[kinds] = json.dumps(kube.objects.get(kinds, namespace=namespace)["items"])
    assert all(left.values()), "there was something to look at"
    secrets = set(known)
    assert not {place for place, text in left.items() if any(one in text for one in secrets)}
