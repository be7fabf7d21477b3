"""What everything on the node shares."""

from dataclasses import dataclass

import aiohttp

from splitjob_local.node.addresses import AddressPool
from splitjob_local.node.admission import Gpus
from splitjob_local.node.cluster import Cluster
from splitjob_local.node.events import EventRecorder
from splitjob_local.node.isolation import Isolation
from splitjob_local.node.kubeconfig import Access
from splitjob_local.node.settings import Settings


@dataclass(frozen=True)
class Services:
    """The node's settings and its connections to the rest of the world."""

    settings: Settings
    access: Access
    cluster: Cluster
    capacity: dict[str, str]
    addresses: AddressPool
    gpus: Gpus
    events: EventRecorder
    isolation: Isolation
    http: aiohttp.ClientSession
    """For probes and hooks of pods: without the node's credentials."""
