"""A cluster whose node runs containers; one at a time on a machine."""

import os
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Self

import yaml

from splitjob_local.cluster import s3server
from splitjob_local.cluster.controlplane import ControlPlane
from splitjob_local.cluster.local_cluster import ClusterOptions, LocalCluster
from splitjob_local.cluster.pki import Authority
from splitjob_local.console import Say, silent
from splitjob_local.containers import network
from splitjob_local.containers.archive import import_image, pause_image
from splitjob_local.containers.cgroups import make_cgroups, remove_cgroups
from splitjob_local.containers.container_service import ContainerService
from splitjob_local.containers.containerd import PAUSE_IMAGE, Containerd
from splitjob_local.containers.network import (
    API_PORT,
    ETCD_PEER_PORT,
    ETCD_PORT,
    MACHINE,
    NODE_ADDRESS,
    POD_NETWORK,
    S3_PORT,
    WEBHOOK_PORT,
    WORLD,
)
from splitjob_local.containers.node_binaries import PAUSE, find_node_programs
from splitjob_local.containers.node_processes import CGROUP, KUBELET, NODE, NodePrograms
from splitjob_local.containers.requirements import RequirementError, check_requirements
from splitjob_local.containers.service_images import ServiceImages
from splitjob_local.paths import cache_root
from splitjob_local.processes.locks import try_lock
from splitjob_local.processes.ports import PortLeases
from splitjob_local.processes.supervised import ProcessSpec, clean_environment

# The longest time that an earlier cluster needs to end after its command was killed.
LOCK_SECONDS = 20.0


class ContainerCluster(LocalCluster):
    """A LocalCluster whose node is a kubelet over containerd.

    Attributes:
        processes: as of a LocalCluster, with `containerd`, `kubelet`, `kube-proxy`,
            `network-policies` and `dns` in place of `node`.
        containerd: the node's runtime.
        namespaces: where everything of the node runs.
        images: brings the project's images to the node.

    Raises:
        RequirementError: the machine cannot run it, or runs one already.
    """

    service: ContainerService
    node_name = NODE
    node_process = KUBELET

    def __init__(
        self,
        options: ClusterOptions | None = None,
        say: Say = silent,
        api_flags: tuple[str, ...] = (),
    ) -> None:
        super().__init__(options, say)
        self._api_flags = api_flags

    def __enter__(self) -> Self:
        check_requirements()
        self._node_programs = find_node_programs(self._say)
        self._lock = take_lock(LOCK_SECONDS)
        self._stack.callback(self._lock.close)
        return super().__enter__()

    def _held(self) -> list[IO[str]]:
        return [self._lock]

    def _prepare(self, leases: PortLeases) -> ControlPlane:
        remove_cgroups(CGROUP)
        make_cgroups(CGROUP)
        self.namespaces = network.create(self.processes)
        store = cache_root() / "containers"
        self.containerd = Containerd(self.folder / "node", store / "containerd", self.namespaces)
        self._start_containerd()
        self.images = ServiceImages(self.containerd, store, self._say)
        authority = Authority(self.folder / "pki")
        self._stack.enter_context(trusting(authority.certificate))
        return ControlPlane(
            self.folder,
            authority,
            ETCD_PORT,
            ETCD_PEER_PORT,
            API_PORT,
            address=MACHINE,
            extra_api_flags=self._api_flags,
        )

    def _start_containerd(self) -> None:
        self.processes.start(self.containerd.process())
        self.containerd.configure_network(POD_NETWORK)
        self.containerd.wait_until_ready(self.processes)
        self.containerd.remove_containers()
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            blobs = Path(name)
            manifest = pause_image(self._node_programs[PAUSE], blobs)
            import_image(self.containerd, manifest, blobs, PAUSE_IMAGE)

    def _new_s3(self, _leases: PortLeases) -> s3server.S3Access:
        authority = self.control_plane.authority
        identity = authority.server("s3", [MACHINE])
        endpoint = f"https://{MACHINE}:{S3_PORT}"
        return s3server.S3Access.new(endpoint, identity, authority.certificate)

    def _new_service(self, leases: PortLeases) -> ContainerService:
        return ContainerService(
            cluster=self.cluster,
            namespace=self.options.namespace,
            s3=self.s3,
            token=secrets.token_urlsafe(24),
            webhook_base=f"https://{MACHINE}:{WEBHOOK_PORT}/webhooks/",
            api_port=leases.port(),
            operator_port=leases.port(),
            receiver_identity=self.control_plane.authority.server("receiver", [MACHINE, WORLD]),
            images=self.images,
            trust=self.control_plane.authority.certificate,
        )

    def _start_node(self, _leases: PortLeases) -> None:
        node = NodePrograms(
            self.folder / "node",
            self._node_programs,
            self.control_plane,
            self.containerd,
            self.namespaces,
        )
        for process in (node.kubelet(), node.proxy(), node.policies(), self._dns()):
            self.processes.start(process)

    def _dns(self) -> ProcessSpec:
        kubeconfig = self.control_plane.kubeconfig("dns", "dns", "system:masters")
        program = (sys.executable, "-m", "splitjob_local.containers.dns")
        command = self.namespaces.inside(*program, NODE_ADDRESS, kubeconfig)
        return ProcessSpec("dns", command, clean_environment())

    def values_to_install_with(self) -> Path:
        """Write what an installation by hand needs into a file, after the images were imported.

        Raises:
            RequirementError: there is nothing to build images with.
            ProcessError: an image could not be built or imported.
        """
        file = self.folder / "values.yaml"
        file.write_text(yaml.safe_dump(self.service.values_to_install_with()))
        return file

    def close(self) -> None:
        """End everything and delete it; the images stay in the cache."""
        super().close()
        remove_cgroups(CGROUP)


def take_lock(seconds: float) -> IO[str]:
    """Take the lock of this kind of cluster; it is held until the file is closed.

    Raises:
        RequirementError: another cluster holds it for longer than `seconds`.
    """
    path = cache_root() / "containers" / "lock"
    deadline = time.monotonic() + seconds
    while True:
        file = try_lock(path)
        if file is not None:
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            return file
        if time.monotonic() > deadline:
            raise RequirementError(
                "another cluster of containers runs on this machine, started by process "
                f"{path.read_text()}; there can be one at a time: end that one first"
            )
        time.sleep(0.2)


@contextmanager
def trusting(certificate: Path) -> Iterator[None]:
    """Make boto3 in this process trust the cluster's authority, for access to the bucket."""
    before = os.environ.get("AWS_CA_BUNDLE")
    os.environ["AWS_CA_BUNDLE"] = str(certificate)
    try:
        yield
    finally:
        if before is None:
            del os.environ["AWS_CA_BUNDLE"]
        else:
            os.environ["AWS_CA_BUNDLE"] = before
