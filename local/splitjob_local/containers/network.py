"""The node's namespaces and addresses.

The node is a network namespace, connected to the machine by one pair of virtual interfaces (veth).
The machine's end has the address of everything outside the node: API server, bucket, webhook
receivers. The other end has the node's address; the node forwards to its pods, and routes on the
machine lead there, so that Services and pods can be called from the machine. Interfaces, routes,
rules and bridges disappear with the last process in the namespace.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from splitjob_local.cluster.controlplane import SERVICE_NETWORK
from splitjob_local.processes.commands import run
from splitjob_local.processes.supervised import (
    Processes,
    ProcessSpec,
    clean_environment,
)

MACHINE = "10.243.0.254"
NODE_ADDRESS = "10.243.0.1"
NODE_NETWORK_BITS = 24
# Only this cluster uses the address, so the ports can be the usual ones.
ETCD_PORT, ETCD_PEER_PORT, API_PORT, S3_PORT, WEBHOOK_PORT = 2379, 2380, 6443, 9000, 9443
POD_NETWORK = "10.244.0.0/24"
# Cloud metadata service. Something answers here, so that tests see workers cannot reach it.
METADATA = "169.254.169.254"
# A documentation address (RFC 5737) that stands for the internet.
WORLD = "203.0.113.1"

MACHINE_END, NODE_END = "tta-machine", "tta-node"
NAME = "namespaces"
START_SECONDS = 10.0
# Fixed paths that containerd, its shims, CNI and the kubelet write to.
PRIVATE_FOLDERS = ("/run/netns", "/run/containerd", "/var/lib/cni", "/var/log/containers")


@dataclass(frozen=True)
class Namespaces:
    """The network and mount namespaces of the node, kept alive by a process that only sleeps."""

    pid: int

    def inside(self, *command: str | Path) -> tuple[str, ...]:
        """Return the command line that runs a command inside."""
        folder = f"/proc/{self.pid}/ns"
        enter = ("nsenter", f"--net={folder}/net", f"--mount={folder}/mnt", "--")
        return (*enter, *map(str, command))

    def run(self, *command: str | Path) -> str:
        """Run a command inside, and return what it printed; see `run`."""
        return run(*self.inside(*command))


def create(processes: Processes) -> Namespaces:
    """Create the namespaces and the veth pair between machine and node.

    Raises:
        ProcessError: the machine does not allow it, or uses these addresses already.
    """
    unshare = ("unshare", "--net", "--mount", "--propagation=private", "--", "sleep", "infinity")
    pid = processes.start(ProcessSpec(NAME, unshare, clean_environment()))
    processes.wait_until(lambda: _is_apart(pid), START_SECONDS, "no namespaces", NAME)
    namespaces = Namespaces(pid)
    _connect(namespaces)
    for folder in PRIVATE_FOLDERS:
        Path(folder).mkdir(parents=True, exist_ok=True)
        namespaces.run("mount", "-t", "tmpfs", "tmpfs", folder)
    return namespaces


def _is_apart(pid: int) -> bool:
    """Whether a process has network and mount namespaces of its own."""
    return all(_namespace(pid, kind) != _namespace(os.getpid(), kind) for kind in ("net", "mnt"))


def _namespace(pid: int, kind: str) -> str:
    return str(Path(f"/proc/{pid}/ns/{kind}").readlink())


def _connect(namespaces: Namespaces) -> None:
    cable = ("type", "veth", "peer", "name", NODE_END, "netns", str(namespaces.pid))
    run("ip", "link", "add", MACHINE_END, *cable)
    run("ip", "address", "add", f"{MACHINE}/{NODE_NETWORK_BITS}", "dev", MACHINE_END)
    run("ip", "address", "add", f"{WORLD}/32", "dev", MACHINE_END)
    run("ip", "link", "set", MACHINE_END, "up")
    inside = namespaces.run
    inside("ip", "link", "set", "lo", "up")
    inside("ip", "address", "add", f"{METADATA}/32", "dev", "lo")
    inside("ip", "address", "add", f"{NODE_ADDRESS}/{NODE_NETWORK_BITS}", "dev", NODE_END)
    inside("ip", "link", "set", NODE_END, "up")
    inside("ip", "route", "add", "default", "via", MACHINE)
    inside("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.bridge.bridge-nf-call-iptables=1")
    for network in (POD_NETWORK, SERVICE_NETWORK):
        run("ip", "route", "add", network, "via", NODE_ADDRESS)
