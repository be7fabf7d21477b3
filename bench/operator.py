"""The operator by itself, with workers that never run: what it does a second, what 10,000 cost."""

from collections.abc import Callable, Iterator, Mapping

import yaml

from bench import operator_crowd, operator_life, operator_queue, operator_starts
from bench.figures import Figure
from bench.operator_process import Place
from bench.rows import wanted_rows
from splitjob.crd import custom_resource_definition
from splitjob_local.cluster.local_cluster import ClusterOptions, LocalCluster
from splitjob_local.processes.ports import PortLeases

ROWS: Mapping[str, Callable[[Place], Iterator[Figure]]] = {
    "life": operator_life.measure,
    "starts": operator_starts.measure,
    "crowd": operator_crowd.measure,
    "queue": operator_queue.measure,
}


def measure() -> Iterator[Figure]:
    """Yield the figures of the operator, each as it is measured; seven minutes on two idle cores.

    Each row has a cluster of its own: what one leaves behind would be work beside the next.
    `ROWS=life,starts` measures these alone.
    """
    for name in wanted_rows(ROWS):
        yield from _on_a_fresh_cluster(ROWS[name])


def _on_a_fresh_cluster(row: Callable[[Place], Iterator[Figure]]) -> Iterator[Figure]:
    with LocalCluster(ClusterOptions(install=False), print) as cluster, PortLeases() as leases:
        cluster.kubectl("apply", "-f", "-", text=yaml.safe_dump(custom_resource_definition()))
        cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=20s")
        yield from row(Place(cluster, leases))
