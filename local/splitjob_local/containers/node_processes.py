"""The node's own programs: kubelet, kube-proxy, and the enforcement of NetworkPolicies."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from splitjob_local.cluster.controlplane import SERVICE_NETWORK, ControlPlane
from splitjob_local.containers.containerd import Containerd
from splitjob_local.containers.network import NODE_ADDRESS, POD_NETWORK, Namespaces
from splitjob_local.processes.supervised import ProcessSpec, clean_environment
from splitjob_local.programs.binaries import Programs

NODE = "node-1"
CGROUP = "/track-tree-audio"
KUBELET, PROXY, POLICIES = "kubelet", "kube-proxy", "network-policies"


@dataclass(frozen=True)
class NodePrograms:
    """The processes of one node and their configuration.

    Attributes:
        folder: for the node's files.
        programs: path by name.
        plane: the control plane that the node belongs to.
        containerd: its runtime.
        namespaces: where they run.
    """

    folder: Path
    programs: Programs
    plane: ControlPlane
    containerd: Containerd
    namespaces: Namespaces

    def kubelet(self) -> ProcessSpec:
        """Return the kubelet."""
        resolve = self.folder / "resolv.conf"
        resolve.write_text(f"nameserver {NODE_ADDRESS}\n")
        kubeconfig = self.plane.kubeconfig("kubelet", f"system:node:{NODE}", "system:nodes")
        return self._process(
            KUBELET,
            f"--config={self._write('kubelet', self._kubelet_configuration(resolve))}",
            f"--kubeconfig={kubeconfig}",
            f"--root-dir={self.folder / 'kubelet'}",
            f"--hostname-override={NODE}",
            f"--node-ip={NODE_ADDRESS}",
        )

    def _kubelet_configuration(self, resolve: Path) -> dict[str, Any]:
        authority = self.plane.authority
        serving = authority.server(f"system:node:{NODE}", (NODE_ADDRESS, NODE))
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": NODE_ADDRESS,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(authority.certificate)},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(serving.certificate),
            "tlsPrivateKeyFile": str(serving.key),
            "healthzBindAddress": NODE_ADDRESS,
            "containerRuntimeEndpoint": f"unix://{self.containerd.socket}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": CGROUP,
            "cgroupsPerQOS": True,
            "enforceNodeAllocatable": ["pods"],
            "failCgroupV1": False,
            "failSwapOn": False,
            "oomScoreAdj": 0,
            "clusterDNS": [NODE_ADDRESS],
            "clusterDomain": "cluster.local",
            "resolvConf": str(resolve),
            "podLogsDir": str(self.folder / "podlogs"),
            "volumePluginDir": str(self.folder / "plugins"),
            "nodeStatusUpdateFrequency": "2s",
            "nodeStatusReportFrequency": "2s",
            # Never collect images: the store belongs to the machine and outlives this cluster.
            "imageGCHighThresholdPercent": 100,
            "evictionHard": {
                "memory.available": "100Mi",
                "nodefs.available": "1Gi",
                "imagefs.available": "1Gi",
                "nodefs.inodesFree": "1%",
            },
        }

    def proxy(self) -> ProcessSpec:
        """Return kube-proxy, which makes Services reachable."""
        kubeconfig = self.plane.kubeconfig("kube-proxy", "system:kube-proxy")
        configuration = {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "bindAddress": NODE_ADDRESS,
            "healthzBindAddress": f"{NODE_ADDRESS}:10256",
            "metricsBindAddress": f"{NODE_ADDRESS}:10249",
            "clusterCIDR": POD_NETWORK,
            "clientConnection": {"kubeconfig": str(kubeconfig)},
            "oomScoreAdj": 0,
            # 0: leave the machine's limits of connections as they are.
            "conntrack": {
                "maxPerCore": 0,
                "min": 0,
                "tcpEstablishedTimeout": "0s",
                "tcpCloseWaitTimeout": "0s",
            },
        }
        file = self._write("kube-proxy", configuration)
        return self._process(PROXY, f"--config={file}", f"--hostname-override={NODE}")

    def policies(self) -> ProcessSpec:
        """Return the controller that enforces NetworkPolicies."""
        kubeconfig = self.plane.kubeconfig("network-policies", "network-policies", "system:masters")
        return self._process(
            POLICIES,
            f"--kubeconfig={kubeconfig}",
            f"--hostname-override={NODE}",
            f"--service-cluster-ip-range={SERVICE_NETWORK}",
        )

    def _process(self, name: str, *flags: str) -> ProcessSpec:
        command = self.namespaces.inside(self.programs[name], *flags)
        return ProcessSpec(name, command, clean_environment())

    def _write(self, name: str, configuration: dict[str, Any]) -> Path:
        file = self.folder / f"{name}.yaml"
        file.write_text(yaml.safe_dump(configuration))
        return file
