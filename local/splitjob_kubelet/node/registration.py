"""The Node object, its conditions and its lease."""

import asyncio
import logging
import os
import platform
import shutil
import sys
import uuid
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

from splitjob_kubelet.api.apiserver import ApiServer, ApiServerError, until_answered
from splitjob_kubelet.objects import Json, timestamp
from splitjob_kubelet.settings import Settings

log = logging.getLogger(__name__)

_MOST_PODS = 250
_KIB = 1024
_WEBSOCKETS = "ExtendWebSocketsToKubelet"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_PRESSURES = {
    "MemoryPressure": ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    "DiskPressure": ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    "PIDPressure": ("KubeletHasSufficientPID", "kubelet has sufficient PID available"),
}


def machine_capacity(root: Path) -> dict[str, str]:
    """The resources of this machine, before --capacity."""
    return {
        "cpu": str(os.cpu_count() or 1),
        "memory": f"{psutil.virtual_memory().total // _KIB}Ki",
        "ephemeral-storage": f"{shutil.disk_usage(root).total // _KIB}Ki",
        "pods": str(_MOST_PODS),
    }


def node_object(settings: Settings, capacity: dict[str, str], started: datetime) -> Json:
    """The Node object.

    Args:
        settings: name, address, port, labels.
        capacity: resource -> quantity, all of it allocatable.
        started: when the Ready condition became true.
    """
    machine = platform.machine()
    labels = {
        "kubernetes.io/hostname": settings.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": _ARCHITECTURES.get(machine, machine),
    }
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": settings.name, "labels": labels | settings.labels},
        "status": {
            "capacity": capacity,
            "allocatable": capacity,
            "addresses": [
                {"type": "InternalIP", "address": settings.address},
                {"type": "Hostname", "address": settings.name},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": settings.port}},
            "declaredFeatures": [_WEBSOCKETS],
            "nodeInfo": _node_info(settings),
            "conditions": node_conditions(started, started),
        },
    }


def _node_info(settings: Settings) -> Json:
    release = version("track-tree-audio")
    identity = str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{platform.node()}/{settings.root}"))
    return {
        "machineID": identity,
        "systemUUID": identity,
        "bootID": str(uuid.uuid4()),
        "kernelVersion": platform.release(),
        "osImage": f"{platform.system()} (pods are host processes)",
        "containerRuntimeVersion": f"process://{release}",
        "kubeletVersion": f"v{release}-process-node",
        "kubeProxyVersion": "",
        "operatingSystem": "linux" if sys.platform == "linux" else sys.platform,
        "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
    }


def node_conditions(started: datetime, now: datetime) -> list[Json]:
    """The conditions of a healthy kubelet: Ready and no pressure."""
    times = {"lastHeartbeatTime": timestamp(now), "lastTransitionTime": timestamp(started)}
    ready = {"reason": "KubeletReady", "message": "pods run as processes of this machine"}
    return [
        *(
            {"type": kind, "status": "False", "reason": reason, "message": message} | times
            for kind, (reason, message) in _PRESSURES.items()
        ),
        {"type": "Ready", "status": "True"} | ready | times,
    ]


def node_lease(settings: Settings, now: datetime) -> Json:
    """The lease of the node."""
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": settings.name, "namespace": "kube-node-lease"},
        "spec": {
            "holderIdentity": settings.name,
            "leaseDurationSeconds": settings.lease_seconds,
            "renewTime": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        },
    }


async def register(api_server: ApiServer, settings: Settings, capacity: dict[str, str]) -> datetime:
    """Register the node as Ready as soon as the API server answers.

    Returns:
        The time of the Ready condition.
    """
    started = datetime.now(UTC)
    node = node_object(settings, capacity, started)
    await until_answered("registering the node", lambda: api_server.register_node(node))
    log.info("node %s is ready", settings.name)
    return started


async def keep_alive(api_server: ApiServer, settings: Settings, started: datetime) -> None:
    """Renew the lease and the conditions four times per lease duration; never returns."""
    while True:
        now = datetime.now(UTC)
        try:
            await api_server.renew_lease(settings.name, node_lease(settings, now))
            status = {"conditions": node_conditions(started, now)}
            await api_server.patch_node_status(settings.name, status)
        except ApiServerError as error:
            log.warning("heartbeat: %s", error)
        await asyncio.sleep(settings.lease_seconds / 4)
