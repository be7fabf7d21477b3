"""A whole cluster on this machine: control plane, S3 server, node, and the service on top."""

import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

from splitjob_local.cluster import s3server
from splitjob_local.cluster.controlplane import HOSTS, LOOPBACK, ControlPlane
from splitjob_local.cluster.kubectl import KubectlClient
from splitjob_local.cluster.objects import ObjectClient
from splitjob_local.cluster.reserved_values import refuse_reserved_values
from splitjob_local.cluster.service import Service
from splitjob_local.console import Say, silent
from splitjob_local.paths import REPOSITORY
from splitjob_local.processes.ports import PortLeases
from splitjob_local.processes.prctl import die_with_parent
from splitjob_local.processes.supervised import (
    ProcessError,
    Processes,
    ProcessSpec,
    clean_environment,
)
from splitjob_local.programs.binaries import find_binaries

NODE = "local"
API_SERVER = "kube-apiserver"
READY_SECONDS = 180.0  # it takes two to eight; a machine that is busy otherwise, some minutes
# Time for the node to end its pods when the cluster ends.
NODE_GRACE_SECONDS = 5.0
IMAGES = "*track-tree-audio*"
SOURCES = ("api", "cli", "common", "job_image", "local", "operator")


@dataclass(frozen=True)
class ClusterOptions:
    """Options of a cluster.

    Attributes:
        install: whether the service is installed on it.
        namespace: where the service goes.
        values: files of chart values, later ones win.
        settings: single chart values, `key=value` as for `helm --set`; they win over `values`.
        gpus: how many GPUs the node claims to have; limits how many workers run at once.
        shared: directories of this machine that every pod sees, read-only.
        node_arguments: further arguments of the node (`python -m splitjob_kubelet --help`).

    Raises:
        ReservedValueError: one of the chart values is set by the cluster itself.
    """

    install: bool = True
    namespace: str = "track-tree-audio"
    values: Sequence[Path] = ()
    settings: Sequence[str] = ()
    gpus: int = 1
    shared: Sequence[Path] = ()
    node_arguments: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Check the values."""
        refuse_reserved_values(self.values, self.settings)


def compile_sources() -> None:
    """Compile the project's modules once: pods see them read-only and cannot store bytecode."""
    folders = (str(REPOSITORY / folder) for folder in SOURCES)
    command = [sys.executable, "-m", "compileall", "-q", *folders]
    subprocess.run(command, check=False, env=clean_environment(), preexec_fn=die_with_parent)


class LocalCluster:
    """A cluster that lives as long as the `with` block, or at most as long as this process.

    However this process ends, even by `kill -9`, no process and no file of the cluster remains.

    Args:
        options: see `ClusterOptions`.
        say: told the progress, in sentences for a person.

    Attributes:
        folder: everything of it on disk.
        kubeconfig: full access to it.
        cluster: kubectl and helm for it.
        processes: its processes by name (`etcd`, `kube-apiserver`, `kube-controller-manager`,
            `kube-scheduler`, `s3`, `node`), to stop, kill and start again in tests of faults.
        control_plane: where its programs listen, and who signs its certificates.
        s3: where its bucket is, and the keys.
        service: the service installed on it: addresses, token and the webhook base.
    """

    node_name = NODE
    node_process = "node"

    def __init__(self, options: ClusterOptions | None = None, say: Say = silent) -> None:
        self.options = options or ClusterOptions()
        self._say = say
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        programs = find_binaries(self._say)
        try:
            self._start(programs)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End everything and delete it."""
        self._stack.close()

    def _start(self, programs: dict[str, Path]) -> None:
        started = time.monotonic()
        leases = self._stack.enter_context(PortLeases())
        self.folder = Path(tempfile.mkdtemp(prefix="track-tree-audio-"))
        # Normally the supervisor deletes the folder; it may never have started.
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.processes = Processes(self.folder, self._held())
        self._stack.callback(self.processes.close)
        self.control_plane = self._prepare(leases)
        self.kubeconfig = self.control_plane.kubeconfig("admin", "admin", "system:masters")
        self.cluster = KubectlClient(self.kubeconfig, programs)
        self.s3 = self._new_s3(leases)
        self.service = self._new_service(leases)
        with ThreadPoolExecutor(2) as pool:
            bucket = pool.submit(self._start_s3, programs["versitygw"])
            pool.submit(compile_sources)
            self._start_control_plane(programs)
            self._start_node(leases)
            if self.options.install:  # while the node starts
                self.service.install(self.options.values, self.options.settings, self.folder)
                namespace = f"--namespace={self.options.namespace}"
                self.kubectl("config", "set-context", "--current", namespace)
            bucket.result()
        self._wait_for_node()
        self._say(f"the cluster is up after {time.monotonic() - started:.1f} s")
        if self.options.install:
            self.service.wait_until_ready()
            self._say(f"the service is ready after {time.monotonic() - started:.1f} s")

    def _held(self) -> Sequence[IO[str]]:
        """Return locked files that stay open until the last process of the cluster has ended."""
        return ()

    def _prepare(self, leases: PortLeases) -> ControlPlane:
        """Prepare the control plane, and start what must run before it."""
        return ControlPlane.prepare(self.folder, leases)

    def _new_s3(self, leases: PortLeases) -> s3server.S3Access:
        return s3server.S3Access.new(f"http://{LOOPBACK}:{leases.port()}")

    def _new_service(self, leases: PortLeases) -> Service:
        return Service(
            cluster=self.cluster,
            namespace=self.options.namespace,
            s3=self.s3,
            token=secrets.token_urlsafe(24),
            webhook_base=f"http://{LOOPBACK}:{leases.port()}/webhooks/",
            api_port=leases.port(),
            operator_port=leases.port(),
        )

    def _start_control_plane(self, programs: dict[str, Path]) -> None:
        etcd, api_server, *rest = self.control_plane.processes(programs)
        self.processes.start(etcd)
        self.processes.start(api_server)
        self.wait_until_ready()
        # Not earlier: without the API server's RBAC roles they would back off for seconds.
        for spec in rest:
            self.processes.start(spec)

    def _start_s3(self, program: Path) -> None:
        server = s3server.process(program, self.folder, self.s3)
        s3server.start(self.processes, server, self.s3)

    def _start_node(self, leases: PortLeases) -> None:
        self.processes.start(self._node(leases.port(), NODE))

    def add_node(self, name: str, *arguments: str) -> None:
        """Start one more node that runs pods as processes, and wait until it is ready.

        Pods get there through `nodeName` or the scheduler, as on any node.

        Args:
            name: of the node, and of its process.
            arguments: added to those of the first node.

        Raises:
            ProcessError: it does not become ready.
        """
        port = self._stack.enter_context(PortLeases()).port()
        self.processes.start(self._node(port, name, *arguments))
        self.cluster.wait_until_node_ready(name, READY_SECONDS)

    def remove_node(self, name: str) -> None:
        """End a node of `add_node`, with its pods."""
        if self.processes.exit_code(name) is None:
            self.processes.stop(name)
        self.kubectl("delete", "node", name)

    def _node(self, port: int, name: str, *arguments: str) -> ProcessSpec:
        authority = self.control_plane.authority
        serving = authority.server(f"node-{name}", HOSTS)
        identity = ("system:node:" + name, "system:nodes")
        kubeconfig = self.control_plane.kubeconfig(f"node-{name}", *identity)
        programs = Path(sys.executable).parent
        given = [
            f"--kubeconfig={kubeconfig}",
            f"--root={self.folder / f'node-{name}'}",
            f"--name={name}",
            "--address=127.0.0.1",
            f"--port={port}",
            f"--serving-cert={serving.certificate}",
            f"--serving-key={serving.key}",
            f"--client-ca={authority.certificate}",
            f"--environment={IMAGES}={programs}",
            f"--capacity=nvidia.com/gpu={self.options.gpus}",
            *(f"--share={folder}" for folder in (REPOSITORY, *self.options.shared)),
            *self.options.node_arguments,
            *arguments,
        ]
        command = (sys.executable, "-m", "splitjob_kubelet", *given)
        process = self.node_process if name == NODE else name
        return ProcessSpec(process, command, clean_environment(), grace=NODE_GRACE_SECONDS)

    def _wait_for_node(self) -> None:
        try:
            self.cluster.wait_until_node_ready(self.node_name, READY_SECONDS)
        except Exception as error:
            self.processes.check(self.node_process)
            words = self.processes.last_words(self.node_process)
            raise ProcessError(f"the node does not become ready: {error}\n{words}") from error

    def wait_until_ready(self, seconds: float = READY_SECONDS) -> None:
        """Wait until the API server answers that it is ready.

        Raises:
            ProcessError: it has ended, or is not ready by then.
        """
        self.processes.wait_until(
            self.objects.is_ready, seconds, "the API server is not ready", "etcd", API_SERVER
        )

    @property
    def objects(self) -> ObjectClient:
        """Its objects, with full access."""
        return self.cluster.objects

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        """Run kubectl with full access; see `KubectlClient.kubectl`."""
        return self.cluster.kubectl(*arguments, text=text)

    def helm(self, *arguments: str) -> str:
        """Run helm with full access; see `KubectlClient.helm`."""
        return self.cluster.helm(*arguments)

    def kill(self, name: str) -> None:
        """Kill one of the cluster's processes with SIGKILL; `start` brings it back."""
        self.processes.stop(name, signal.SIGKILL)

    def start(self, name: str) -> None:
        """Start a process again with its address and data as before."""
        self.processes.restart(name)
        if name == API_SERVER:
            self.wait_until_ready()
        elif name == s3server.NAME:
            s3server.wait_until_ready(self.processes, self.s3)

    def values_to_install_with(self) -> Path:
        """Return a file of the values that an installation by hand needs on this cluster."""
        return self.service.defaults

    def connection(self) -> dict[str, Any]:
        """Return all that a client needs, as `track-tree-audio local up` prints it."""
        return {
            "kubeconfig": str(self.kubeconfig),
            "namespace": self.options.namespace,
            "apiUrls": self.service.api_urls() if self.options.install else [],
            "token": self.service.token,
            "webhookBase": self.service.webhook_base,
            **self._trust(),
            "s3": {
                "endpoint": self.s3.endpoint,
                "accessKeyId": self.s3.access_key_id,
                "secretAccessKey": self.s3.secret_access_key,
                "bucket": self.s3.bucket,
            },
        }

    def _trust(self) -> dict[str, str]:
        """Return the certificates that callers need, where the cluster uses TLS towards them."""
        identity = self.service.receiver_identity
        if identity is None:
            return {}
        return {
            "certificateAuthority": str(self.control_plane.authority.certificate),
            "webhookCertificate": str(identity.certificate),
            "webhookKey": str(identity.key),
        }

    def environment(self) -> dict[str, str]:
        """Return variables for a shell or program that uses the service and the cluster.

        kubectl, helm and this project's own commands are on its PATH.
        """
        environment = self.cluster.environment()
        urls = self.service.api_urls() if self.options.install else []
        return environment | {
            "PATH": f"{Path(sys.executable).parent}:{environment['PATH']}",
            "NAMESPACE": self.options.namespace,
            "API_URL": next(iter(urls), ""),
            "API_URLS": ",".join(urls),
            "WEBHOOK_BASE": self.service.webhook_base,
            "DEMUCSSVC_TOKEN": self.service.token,
            "ENVIRONMENT": "local",
            "S3_ENDPOINT": self.s3.endpoint,
            "S3_REGION": self.s3.region,
            "S3_BUCKET": self.s3.bucket,
            "S3_ACCESS_KEY_ID": self.s3.access_key_id,
            "S3_SECRET_ACCESS_KEY": self.s3.secret_access_key,
        }

    def client(self) -> Any:  # noqa: ANN401 - the kubernetes package has no types
        """Return a new `kubernetes.client.ApiClient` with full access."""
        from kubernetes import config  # noqa: PLC0415 - takes a second to import

        return config.new_client_from_config(str(self.kubeconfig))
