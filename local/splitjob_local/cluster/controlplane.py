"""The four programs of the control plane, as command lines.

They run as they do in production, with authentication, Node and RBAC authorization and Pod
Security. What is different, and why:

- etcd does not wait for the disk: the data lives no longer than the cluster.
- On loopback addresses the controllers that publish endpoints are off: EndpointSlices refuse such
  addresses, and pods there have no others.
- A lost node is noticed within seconds, not within a minute.
- No leader election: there is one of each.
- Garbage is collected a quarter as often: a quarter less of a processor for 150 MiB of memory.
"""

from dataclasses import dataclass
from pathlib import Path

from splitjob_local.cluster.pki import Authority, KeyPair, signing_keys
from splitjob_local.processes.ports import PortLeases
from splitjob_local.processes.supervised import ProcessSpec, clean_environment

LOOPBACK = "127.0.0.1"
HOSTS = (LOOPBACK, "localhost")
SERVICE_NETWORK = "10.96.0.0/16"
# The API server's own Service has the first address of the network.
API_SERVICE = "10.96.0.1"
ISSUER = "https://kubernetes.default.svc.cluster.local"
NODE_GRACE_SECONDS = 16
CONTROLLERS_OFF = (
    "endpoints-controller",
    "endpointslice-controller",
    "endpointslice-mirroring-controller",
)
SELDOM_COLLECTIONS = {"GOGC": "400", "GOMEMLIMIT": "1GiB"}


@dataclass(frozen=True)
class ControlPlane:
    """Where the control plane of one cluster keeps its files, and what it listens on.

    Attributes:
        address: a loopback address, or one that nodes and pods can reach.
        extra_api_flags: of the API server, after all others.
    """

    folder: Path
    authority: Authority
    etcd_port: int
    etcd_peer_port: int
    api_port: int
    address: str = LOOPBACK
    extra_api_flags: tuple[str, ...] = ()

    @classmethod
    def prepare(cls, folder: Path, leases: PortLeases) -> "ControlPlane":
        """Lease the ports and make the certificate authority."""
        authority = Authority(folder / "pki")
        return cls(folder, authority, leases.port(), leases.port(), leases.port())

    @property
    def url(self) -> str:
        """The address of the API server."""
        return f"https://{self.address}:{self.api_port}"

    @property
    def has_endpoints(self) -> bool:
        """Whether Services of this cluster can have endpoints."""
        return self.address != LOOPBACK

    def server(self, name: str, *more: str) -> KeyPair:
        """Issue a certificate for a server that listens beside the API server."""
        return self.authority.server(name, (*HOSTS, self.address, *more))

    def kubeconfig(self, file: str, user: str, *groups: str) -> Path:
        """Write a kubeconfig that makes its reader `user`, a member of `groups`."""
        identity = self.authority.client(user, groups)
        return self.authority.kubeconfig(file, self.url, identity)

    def processes(self, programs: dict[str, Path]) -> list[ProcessSpec]:
        """Return the processes to start, in this order; each waits for those it depends on."""
        etcd_identity = self.server("etcd")
        service_account_keys = signing_keys(self.authority.folder)
        commands = {
            "etcd": self._etcd(etcd_identity),
            "kube-apiserver": self._apiserver(etcd_identity, service_account_keys),
            "kube-controller-manager": self._controller_manager(service_account_keys[0]),
            "kube-scheduler": self._scheduler(),
        }
        environment = clean_environment(**SELDOM_COLLECTIONS)
        return [
            ProcessSpec(name, (str(programs[name]), *flags), environment)
            for name, flags in commands.items()
        ]

    def _etcd(self, identity: KeyPair) -> list[str]:
        ports = (self.etcd_port, self.etcd_peer_port)
        client, peer = (f"https://{self.address}:{port}" for port in ports)
        certificate, key, ca = identity.certificate, identity.key, self.authority.certificate
        return [
            f"--data-dir={self.folder / 'etcd'}",
            "--unsafe-no-fsync",
            "--log-level=warn",
            "--name=local",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=local={peer}",
            *(f"--{prefix}cert-file={certificate}" for prefix in ("", "peer-")),
            *(f"--{prefix}key-file={key}" for prefix in ("", "peer-")),
            *(f"--{prefix}trusted-ca-file={ca}" for prefix in ("", "peer-")),
            *(f"--{prefix}client-cert-auth" for prefix in ("", "peer-")),
        ]

    def _apiserver(self, etcd: KeyPair, service_account_keys: tuple[Path, Path]) -> list[str]:
        service = "kubernetes.default.svc"
        names = (service, f"{service}.cluster.local", API_SERVICE)
        serving = self.server("kube-apiserver", *names)
        to_kubelet = self.authority.client("kube-apiserver-kubelet-client", ["system:masters"])
        ca = self.authority.certificate
        private, public = service_account_keys
        return [
            f"--bind-address={self.address}",
            f"--advertise-address={self.address}",
            f"--secure-port={self.api_port}",
            f"--tls-cert-file={serving.certificate}",
            f"--tls-private-key-file={serving.key}",
            f"--client-ca-file={ca}",
            "--anonymous-auth=false",
            f"--etcd-servers=https://{self.address}:{self.etcd_port}",
            f"--etcd-cafile={ca}",
            f"--etcd-certfile={etcd.certificate}",
            f"--etcd-keyfile={etcd.key}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            *(() if self.has_endpoints else ("--endpoint-reconciler-type=none",)),
            f"--service-cluster-ip-range={SERVICE_NETWORK}",
            f"--service-account-issuer={ISSUER}",
            f"--service-account-signing-key-file={private}",
            f"--service-account-key-file={public}",
            f"--kubelet-client-certificate={to_kubelet.certificate}",
            f"--kubelet-client-key={to_kubelet.key}",
            f"--kubelet-certificate-authority={ca}",
            "--kubelet-preferred-address-types=InternalIP",
            "--profiling=false",
            *self.extra_api_flags,
        ]

    def _controller_manager(self, service_account_key: Path) -> list[str]:
        kubeconfig = self.kubeconfig("controller-manager", "system:kube-controller-manager")
        off = () if self.has_endpoints else CONTROLLERS_OFF
        return [
            *_client_flags(kubeconfig),
            f"--root-ca-file={self.authority.certificate}",
            f"--service-account-private-key-file={service_account_key}",
            "--use-service-account-credentials=true",
            f"--controllers={','.join(['*', *(f'-{name}' for name in off)])}",
            "--node-monitor-period=2s",
            f"--node-monitor-grace-period={NODE_GRACE_SECONDS}s",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
        ]

    def _scheduler(self) -> list[str]:
        kubeconfig = self.kubeconfig("scheduler", "system:kube-scheduler")
        return [*_client_flags(kubeconfig), "--kube-api-qps=200", "--kube-api-burst=400"]


def _client_flags(kubeconfig: Path) -> list[str]:
    return [f"--kubeconfig={kubeconfig}", "--leader-elect=false", "--secure-port=0"]
