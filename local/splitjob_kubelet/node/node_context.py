"""What all pods of the node share."""

from dataclasses import dataclass

import aiohttp

from splitjob_kubelet.api.apiserver import ApiServer
from splitjob_kubelet.api.events import EventRecorder
from splitjob_kubelet.api.kubeconfig import ClientConfig
from splitjob_kubelet.node.addresses import AddressPool
from splitjob_kubelet.node.admission import GpuAllocator
from splitjob_kubelet.runtime.isolation import Isolation
from splitjob_kubelet.runtime.preloaded import Preloads
from splitjob_kubelet.settings import Settings


@dataclass(frozen=True)
class NodeContext:
    """The node's settings, connections and pools."""

    settings: Settings
    client_config: ClientConfig
    api_server: ApiServer
    capacity: dict[str, str]
    addresses: AddressPool
    gpus: GpuAllocator
    events: EventRecorder
    isolation: Isolation
    preloads: Preloads
    http: aiohttp.ClientSession
    """For probes and hooks of pods, without the node's credentials."""
