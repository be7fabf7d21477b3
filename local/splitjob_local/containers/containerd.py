"""The container runtime of the node, and its store of images, which outlives the cluster.

Images are kept, since the worker's is several gigabytes. Containers that an earlier cluster left in
the store are removed before the kubelet sees them.
"""

import json
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from splitjob_local.containers.network import Namespaces
from splitjob_local.containers.requirements import cni_folder
from splitjob_local.processes.supervised import (
    ProcessError,
    Processes,
    ProcessSpec,
    clean_environment,
)

NAME = "containerd"
PAUSE_IMAGE = "localhost/track-tree-audio/pause:local"
START_SECONDS = 30.0
CONFIGURATION = """version = 2
root = "{root}"
state = "{folder}/state"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
  address = "{folder}/containerd.sock"
[plugins."io.containerd.gc.v1.scheduler"]
  startup_delay = "0s"  # no collection at the start, when images are being taken in
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{folder}/cni"
"""


@dataclass(frozen=True)
class Containerd:
    """The runtime of one node.

    Attributes:
        folder: its configuration, state and socket; the node's own.
        root: its store, kept between clusters.
        namespaces: where it runs.
    """

    folder: Path
    root: Path
    namespaces: Namespaces

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.folder / "containerd.sock"

    def process(self) -> ProcessSpec:
        """Write the configuration and return the process."""
        (self.folder / "cni").mkdir(parents=True, exist_ok=True)
        configuration = self.folder / "containerd.toml"
        text = CONFIGURATION.format(
            root=self.root, folder=self.folder, pause=PAUSE_IMAGE, plugins=cni_folder()
        )
        configuration.write_text(text)
        command = self.namespaces.inside("containerd", "--config", configuration)
        return ProcessSpec(NAME, command, clean_environment())

    def configure_network(self, pod_network: str) -> None:
        """Give pods addresses on a bridge of the node, with NAT for outgoing connections."""
        plugins = [
            {
                "type": "bridge",
                "bridge": "pods",
                "isGateway": True,
                "ipMasq": True,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local",
                    "dataDir": str(self.folder / "addresses"),
                    "ranges": [[{"subnet": pod_network}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ]
        network = {"cniVersion": "0.4.0", "name": "pods", "plugins": plugins}
        (self.folder / "cni" / "10-pods.conflist").write_text(json.dumps(network, indent=2))

    def wait_until_ready(self, processes: Processes) -> None:
        """Wait until it answers.

        Raises:
            ProcessError: it has ended, or does not answer in time.
        """
        processes.wait_until(self._answers, START_SECONDS, "containerd does not answer", NAME)

    def _answers(self) -> bool:
        try:
            self.ctr("version")
        except ProcessError:
            return False
        return True

    def ctr(self, *arguments: str) -> str:
        """Run containerd's client in the kubelet's namespace; returns what it printed.

        Raises:
            ProcessError: it failed.
        """
        return self.namespaces.run(*self._ctr(arguments))

    def _ctr(self, arguments: Iterable[str]) -> list[str]:
        return ["ctr", f"--address={self.socket}", "--namespace=k8s.io", *arguments]

    def remove_containers(self) -> None:
        """Remove the containers that an earlier cluster left behind."""
        for container in self.ctr("containers", "list", "--quiet").split():
            # Its snapshot may be gone already.
            with suppress(ProcessError):
                self.ctr("containers", "remove", container)

    def images(self) -> set[str]:
        """Return the names of the images in the store."""
        return set(self.ctr("images", "list", "--quiet").split())

    def blobs(self) -> set[str]:
        """Return the digests of the blobs in the content store, `sha256:<hex>`."""
        return set(self.ctr("content", "list", "--quiet").split())

    def take(self, digest: str, file: Path) -> None:
        """Add a blob to the content store.

        The file is hard-linked to where the store keeps its blobs: containerd takes a blob that is
        already there as received, so that gigabytes are neither copied nor read. On another file
        system the link fails and the content is copied.

        Raises:
            ProcessError: containerd refused it.
        """
        kind, _, name = digest.partition(":")
        place = self.root / "io.containerd.content.v1.content" / "blobs" / kind / name
        place.parent.mkdir(parents=True, exist_ok=True)
        with suppress(OSError):
            place.hardlink_to(file)
        size = file.stat().st_size
        ingest = ["content", "ingest", f"--expected-digest={digest}", f"--expected-size={size}"]
        command = self.namespaces.inside(*self._ctr([*ingest, f"blob-{name}"]))
        with file.open("rb") as content:
            answer = subprocess.run(
                command, check=False, stdin=content, capture_output=True, text=True
            )
        if answer.returncode != 0:
            raise ProcessError(f"containerd does not take {digest}: {answer.stderr.strip()}")

    def import_archive(self, archive: bytes) -> str:
        """Import an image whose blobs are in the store; returns why it was refused, or blank.

        Args:
            archive: an OCI layout in a tar archive, its blobs but for the manifest left out.
        """
        answer = subprocess.run(
            self.namespaces.inside(*self._ctr(["images", "import", "-"])),
            check=False,
            input=archive,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        if answer.returncode == 0:
            return ""
        return answer.stdout.decode(errors="replace").strip() or "it said nothing"
