"""The service as installed on a local cluster: the chart and its cluster-specific values."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from splitjob_local.cluster.controlplane import LOOPBACK
from splitjob_local.cluster.kubectl import KubectlClient
from splitjob_local.cluster.pki import KeyPair
from splitjob_local.cluster.s3server import S3Access
from splitjob_local.paths import REPOSITORY

CHART = REPOSITORY / "charts" / "track-tree-audio"
RELEASE = "track-tree-audio"
# It takes three to ten; below the time limit of a kubectl command.
READY_SECONDS = 115.0


@dataclass(frozen=True)
class Service:
    """The service in one namespace of a local cluster.

    Attributes:
        cluster: kubectl and helm for it.
        namespace: the namespace of its Deployments and SplitJobs.
        s3: its bucket.
        token: signs requests and webhooks.
        webhook_base: webhook URLs below this one are allowed; start a receiver on its port.
        api_port: its API listens on it.
        operator_port: its operator listens on it. Pods have addresses of their own, but a program
            of this machine that listens on all addresses would block any fixed port.
        receiver_identity: the certificate for webhook receivers, where webhooks use TLS.
    """

    cluster: KubectlClient
    namespace: str
    s3: S3Access
    token: str
    webhook_base: str
    api_port: int
    operator_port: int
    receiver_identity: KeyPair | None = None

    @property
    def source_host(self) -> str:
        """The address of this machine where songs can be served from, for workers to fetch."""
        return LOOPBACK

    @property
    def defaults(self) -> Path:
        """The chart values for clusters of this kind."""
        return CHART / "values-local.yaml"

    def install(self, values: Sequence[Path], settings: Sequence[str], folder: Path) -> None:
        """Install the chart; `wait_until_ready` says when it is up.

        Args:
            values: files of chart values, over the ones for local clusters.
            settings: `key=value`, over everything else.
            folder: where the values with the secrets of this cluster are written.

        Raises:
            ClusterError: the chart does not install.
        """
        own = folder / f"values-{self.namespace}.yaml"
        own.touch(mode=0o600)
        own.write_text(yaml.safe_dump(self.values()))
        files = [self.defaults, own, *values]
        # The chart brings service accounts of its own.
        self.cluster.create_namespace(self.namespace, wait_for_account=False)
        self.prepare()
        self.cluster.helm(
            "install",
            RELEASE,
            str(CHART),
            f"--namespace={self.namespace}",
            *(f"--values={file}" for file in files),
            *(f"--set={setting}" for setting in settings),
        )

    def prepare(self) -> None:
        """Create what the chart expects in the new namespace: nothing on this kind of cluster."""

    def wait_until_ready(self) -> None:
        """Wait until the Deployments of the service are available.

        Raises:
            ClusterError: one does not come up; with the last words of its pods.
        """
        self.cluster.wait_until_available(self.namespace, READY_SECONDS)

    def values(self) -> dict[str, Any]:
        """Return the chart values that depend on this cluster."""
        return {
            "secrets": {
                "token": self.token,
                "s3AccessKeyId": self.s3.access_key_id,
                "s3SecretAccessKey": self.s3.secret_access_key,
                "apiS3AccessKeyId": self.s3.access_key_id,
                "apiS3SecretAccessKey": self.s3.secret_access_key,
            },
            "storage": {
                "endpoint": self.s3.endpoint,
                "region": self.s3.region,
                "bucket": self.s3.bucket,
            },
            "webhooks": {"allowlist": [self.webhook_base.rstrip("/")]},
            "api": {"port": self.api_port},
            "operator": {"port": self.operator_port},
        }

    def api_urls(self) -> list[str]:
        """Return the addresses of the API's pods that are ready."""
        return self.cluster.pod_urls(self.namespace, "api")
