"""The four programs of the control plane, as command lines.

They run as they do in production, with authentication, Node and RBAC authorization and Pod
Security. What is different, and why:

- etcd does not wait for the disk: the data lives no longer than the cluster.
- The controllers that publish endpoints are off: EndpointSlices refuse loopback addresses, and
  pods here have no others.
- A lost node is noticed within seconds, not within a minute.
- No leader election: there is one of each.
"""

from dataclasses import dataclass
from pathlib import Path

from splitjob_local.pki import Authority, KeyPair, signing_keys
from splitjob_local.ports import Leases
from splitjob_local.processes import ProcessSpec, clean_environment

HOSTS = ("127.0.0.1", "localhost")
SERVICE_NETWORK = "10.96.0.0/16"
ISSUER = "https://kubernetes.default.svc.cluster.local"
NODE_GRACE_SECONDS = 16
CONTROLLERS_OFF = (
    "endpoints-controller",
    "endpointslice-controller",
    "endpointslice-mirroring-controller",
)


@dataclass(frozen=True)
class ControlPlane:
    """Where the control plane of one cluster keeps its files, and what it listens on."""

    folder: Path
    authority: Authority
    etcd_port: int
    etcd_peer_port: int
    api_port: int

    @classmethod
    def prepare(cls, folder: Path, leases: Leases) -> "ControlPlane":
        """Lease the ports and make the certificate authority."""
        authority = Authority(folder / "pki")
        return cls(folder, authority, leases.port(), leases.port(), leases.port())

    @property
    def url(self) -> str:
        """The address of the API server."""
        return f"https://127.0.0.1:{self.api_port}"

    def kubeconfig(self, file: str, user: str, *groups: str) -> Path:
        """Write a kubeconfig that makes its reader `user`, a member of `groups`."""
        identity = self.authority.client(user, groups)
        return self.authority.kubeconfig(file, self.url, identity)

    def processes(self, programs: dict[str, Path]) -> list[ProcessSpec]:
        """Return the processes to start, in this order; each waits for those it depends on."""
        etcd_identity = self.authority.server("etcd", HOSTS)
        service_account_keys = signing_keys(self.authority.folder)
        commands = {
            "etcd": self._etcd(etcd_identity),
            "kube-apiserver": self._apiserver(etcd_identity, service_account_keys),
            "kube-controller-manager": self._controller_manager(service_account_keys[0]),
            "kube-scheduler": self._scheduler(),
        }
        return [
            ProcessSpec(name, (str(programs[name]), *flags), clean_environment())
            for name, flags in commands.items()
        ]

    def _etcd(self, identity: KeyPair) -> list[str]:
        client, peer = (f"https://127.0.0.1:{p}" for p in (self.etcd_port, self.etcd_peer_port))
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
        serving = self.authority.server("kube-apiserver", (*HOSTS, "kubernetes.default.svc"))
        to_kubelet = self.authority.client("kube-apiserver-kubelet-client", ["system:masters"])
        ca = self.authority.certificate
        private, public = service_account_keys
        return [
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self.api_port}",
            f"--tls-cert-file={serving.certificate}",
            f"--tls-private-key-file={serving.key}",
            f"--client-ca-file={ca}",
            "--anonymous-auth=false",
            f"--etcd-servers=https://127.0.0.1:{self.etcd_port}",
            f"--etcd-cafile={ca}",
            f"--etcd-certfile={etcd.certificate}",
            f"--etcd-keyfile={etcd.key}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--endpoint-reconciler-type=none",
            f"--service-cluster-ip-range={SERVICE_NETWORK}",
            f"--service-account-issuer={ISSUER}",
            f"--service-account-signing-key-file={private}",
            f"--service-account-key-file={public}",
            f"--kubelet-client-certificate={to_kubelet.certificate}",
            f"--kubelet-client-key={to_kubelet.key}",
            f"--kubelet-certificate-authority={ca}",
            "--kubelet-preferred-address-types=InternalIP",
            "--profiling=false",
        ]

    def _controller_manager(self, service_account_key: Path) -> list[str]:
        kubeconfig = self.kubeconfig("controller-manager", "system:kube-controller-manager")
        return [
            *_client_flags(kubeconfig),
            f"--root-ca-file={self.authority.certificate}",
            f"--service-account-private-key-file={service_account_key}",
            "--use-service-account-credentials=true",
            f"--controllers=*,{','.join(f'-{name}' for name in CONTROLLERS_OFF)}",
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
