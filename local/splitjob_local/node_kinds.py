"""The two kinds of clusters on one machine, by how their node runs pods."""

from splitjob_local.cluster.local_cluster import LocalCluster
from splitjob_local.containers.container_cluster import ContainerCluster


def cluster_class(*, containers: bool) -> type[LocalCluster]:
    """Return the class of clusters whose node runs pods as containers, or as processes."""
    return ContainerCluster if containers else LocalCluster
