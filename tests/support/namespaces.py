"""Namespaces for one test each, on a cluster that many tests share."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from splitjob_local.cluster.local_cluster import LocalCluster

# What makes pods, before the pods.
_RUNNING = ("deployments", "jobs", "pods")


@contextmanager
def new_namespace(cluster: LocalCluster, prefix: str, pod_security: str) -> Iterator[str]:
    """Give a new namespace; whatever runs in it is ended with the block.

    The namespace itself stays until the cluster ends: to delete one, objects of every kind that
    there is are deleted in it, which takes 0.4 s of a processor even where there are none.

    Args:
        cluster: the cluster.
        prefix: how its name begins.
        pod_security: the level, as for `create_namespace`.
    """
    name = f"{prefix}-{secrets.token_hex(4)}"
    cluster.cluster.create_namespace(name, pod_security=pod_security)
    try:
        yield name
    finally:
        for kind in _RUNNING:
            cluster.objects.delete_all(kind, namespace=name)
