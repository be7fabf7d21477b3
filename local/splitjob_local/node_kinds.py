"""The two kinds of nodes: pods run as processes, or as containers."""

from splitjob_local.cluster.local_cluster import LocalCluster
from splitjob_local.containers.container_cluster import ContainerCluster


def cluster_class(*, containers: bool) -> type[LocalCluster]:
    """Return the cluster whose node runs pods as containers, or as processes."""
    return ContainerCluster if containers else LocalCluster
