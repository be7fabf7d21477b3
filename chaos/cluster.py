"""The cluster of a storm: the ordinary local one, whose operator goes through a proxy."""

import json
from pathlib import Path
from random import Random
from typing import Any

import psutil
import yaml

from chaos.proxy import Proxy, Upstream
from splitjob_local.cluster.controlplane import LOOPBACK, ControlPlane
from splitjob_local.cluster.local_cluster import ClusterOptions, LocalCluster
from splitjob_local.console import Say
from splitjob_local.paths import REPOSITORY
from splitjob_local.processes.ports import PortLeases

WORKERS_AT_ONCE = 2
# Programs by what their command lines hold.
OPERATOR, API = "splitjob_operator.runtime.kopf_app", "splitjob_api"
WORKER = ("splitjob_worker", "chaos.stand_in")
STAND_IN = ["python", "-m", "chaos.stand_in"]


class StormyCluster(LocalCluster):
    """A cluster with the service on it and a proxy between its operator and the API server.

    Where the node can isolate nothing, pods reach the API server by a file instead of the variables
    that lead through the proxy, and the proxy's faults meet nobody.

    Args:
        seed: of what the proxy does.
        folder: for a file of chart values.
        say: told the progress.
        real: whether workers separate by a model, not by `stand_in`.

    Attributes:
        proxy: between operator and API server.
    """

    def __init__(self, seed: int, folder: Path, say: Say, *, real: bool) -> None:
        self.proxy = Proxy(Random(f"{seed} proxy"))
        values = folder / "values.yaml"
        values.write_text(yaml.safe_dump(chart_values(self.proxy.port, real=real)))
        super().__init__(ClusterOptions(values=[values], gpus=WORKERS_AT_ONCE), say)

    def _prepare(self, leases: PortLeases) -> ControlPlane:
        plane = super()._prepare(leases)
        identity = plane.server("proxy")
        self.proxy.start(Upstream(plane.url, plane.authority.certificate, identity))
        self._stack.callback(self.proxy.close)
        return plane

    @property
    def namespace(self) -> str:
        """The namespace of the service."""
        return self.options.namespace

    @property
    def pods_root(self) -> Path:
        """The folder in which the node has one for each pod."""
        return self.folder / f"node-{self.node_name}" / "pods"

    def processes_of(self, *words: str) -> list[psutil.Process]:
        """Return the processes of this cluster's pods whose command lines hold such words."""
        found = []
        for process in self._descendants():
            try:
                command = " ".join(process.cmdline())
                if any(word in command for word in words):
                    found.append(process)
            except psutil.Error:  # it has ended meanwhile
                continue
        return found

    def _descendants(self) -> list[psutil.Process]:
        try:
            node = psutil.Process(self.processes.pid(self.node_process))
            return node.children(recursive=True)
        except psutil.Error:
            return []


def chart_values(proxy_port: int, *, real: bool) -> dict[str, Any]:
    """Return what is other than on any local cluster: more at once, less patience, the proxy."""
    environment = {
        "KUBERNETES_SERVICE_HOST": LOOPBACK,
        "KUBERNETES_SERVICE_PORT": str(proxy_port),
        "RETRY_DELAY_SECONDS": "2",
        "ORPHAN_SECRET_SECONDS": "60",
        **({} if real else {"WORKER_COMMAND": json.dumps(STAND_IN)}),
    }
    path = {"name": "PYTHONPATH", "value": str(REPOSITORY)}  # where the stand-in is
    return {
        "queue": {"maxActiveJobs": WORKERS_AT_ONCE},
        "operator": {
            "resyncSeconds": 10,
            "nodeLostSeconds": 20,
            "extraEnv": [{"name": name, "value": value} for name, value in environment.items()],
        },
        "worker": {
            "cpu": "100m",
            "memory": "1Gi",
            "memoryRetry": "2Gi",
            "scratchSize": "1Gi",
            "terminationGracePeriodSeconds": 10,
            "extraEnv": [] if real else [path],
        },
    }
