"""The service on a node that runs containers: from its own images, over TLS."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from splitjob_local.cluster.service import Service
from splitjob_local.containers.network import (
    MACHINE,
    NODE_ADDRESS,
    S3_PORT,
    WEBHOOK_PORT,
    WORLD,
)
from splitjob_local.containers.service_images import PREFIX, ServiceImages

VALUES = Path(__file__).with_name("values.yaml")
CA_CONFIG_MAP, CA_KEY = "cluster-ca", "ca.crt"


@dataclass(frozen=True, kw_only=True)
class ContainerService(Service):
    """The service in one namespace of a cluster that runs containers.

    Attributes:
        images: builds and imports its images.
        trust: the CA certificate of the bucket and the webhook receivers.
    """

    images: ServiceImages
    trust: Path

    @property
    def source_host(self) -> str:
        """The address of this machine from which workers may fetch songs."""
        return WORLD

    @property
    def defaults(self) -> Path:
        """The chart values for clusters of this kind."""
        return VALUES

    def prepare(self) -> None:
        """Store the cluster's CA certificate in the namespace, as a platform team would.

        Raises:
            KubectlError: the cluster does not take it.
        """
        source = f"--from-file={CA_KEY}={self.trust}"
        namespace = f"--namespace={self.namespace}"
        self.cluster.kubectl("create", "configmap", CA_CONFIG_MAP, source, namespace)

    def values(self) -> dict[str, Any]:
        """Return the chart values that depend on this cluster, after its images were imported.

        Raises:
            RequirementError: there is nothing to build images with.
            ProcessError: an image could not be built or imported.
        """
        return super().values() | self.surroundings()

    def values_to_install_with(self) -> dict[str, Any]:
        """Return the values that an installation by hand needs on every cluster of this kind.

        Raises:
            RequirementError: there is nothing to build images with.
            ProcessError: an image could not be built or imported.
        """
        return merge(yaml.safe_load(self.defaults.read_text()), self.surroundings())

    def surroundings(self) -> dict[str, Any]:
        """Return the values for images, trust and networks, after the images were imported.

        Raises:
            RequirementError: there is nothing to build images with.
            ProcessError: an image could not be built or imported.
        """
        tags = self.images.provide()
        # Single ports, because the API server has the same address.
        outside = [
            {
                "to": [{"ipBlock": {"cidr": f"{MACHINE}/32"}}],
                "ports": [{"protocol": "TCP", "port": port} for port in (S3_PORT, WEBHOOK_PORT)],
            }
        ]
        # Of their own, so that global.imageRegistry can be anything.
        registry, _, folder = PREFIX.partition("/")
        images = {
            name: {"image": {"registry": registry, "repository": f"{folder}/{name}", "tag": tag}}
            for name, tag in tags.items()
        }
        return {
            **images,
            "caBundle": {"configMap": CA_CONFIG_MAP, "key": CA_KEY},
            "source": {"allowedNetworks": [f"{MACHINE}/32", f"{WORLD}/32"]},
            "networkPolicy": {
                # Names are resolved by a server on the node.
                "dns": [{"ipBlock": {"cidr": f"{NODE_ADDRESS}/32"}}],
                # The bucket and the receivers have a private address.
                "api": {"extraEgress": outside},
                "operator": {"extraEgress": outside},
                "worker": {"extraEgress": outside},
            },
        }


def merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Return both together as Helm merges values: mappings key by key, `above` wins."""
    both = below | above
    for key in below.keys() & above.keys():
        if isinstance(below[key], dict) and isinstance(above[key], dict):
            both[key] = merge(below[key], above[key])
    return both
