"""The two kinds of clusters on one machine, by how their node runs pods."""

from splitjob_local.cluster.local_cluster import LocalCluster


def cluster_class(*, containers: bool) -> type[LocalCluster]:
    """Return the class of clusters whose node runs pods as containers, or as processes."""
    if not containers:
        return LocalCluster
    from splitjob_local.containers.container_cluster import ContainerCluster  # noqa: PLC0415 - Linux only

    return ContainerCluster
