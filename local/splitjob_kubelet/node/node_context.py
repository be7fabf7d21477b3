"""What everything on the node shares."""

from dataclasses import dataclass

import aiohttp

from splitjob_kubelet.api.apiserver import ApiServer
from splitjob_kubelet.api.events import EventRecorder
from splitjob_kubelet.api.kubeconfig import ClientConfig
from splitjob_kubelet.node.addresses import AddressPool
from splitjob_kubelet.node.admission import GpuAllocator
from splitjob_kubelet.runtime.isolation import Isolation
from splitjob_kubelet.settings import Settings


@dataclass(frozen=True)
class NodeContext:
    """The node's settings and its connections to the rest of the world."""

    settings: Settings
    client_config: ClientConfig
    api_server: ApiServer
    capacity: dict[str, str]
    addresses: AddressPool
    gpus: GpuAllocator
    events: EventRecorder
    isolation: Isolation
    http: aiohttp.ClientSession
    """For probes and hooks of pods: without the node's credentials."""
