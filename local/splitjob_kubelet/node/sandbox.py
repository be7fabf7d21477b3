"""What the containers of one pod share, and the pod's files on disk."""

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from splitjob_kubelet.node.node_context import NodeContext
from splitjob_kubelet.node.records import PodRecord
from splitjob_kubelet.objects import Json
from splitjob_kubelet.runtime.confinement import VolumeOwner, volume_owner
from splitjob_kubelet.runtime.environment import PodFacts
from splitjob_kubelet.runtime.isolation import IsolationLevel


@dataclass
class Sandbox:
    """One pod: its spec, record and directories."""

    RECORD: ClassVar[str] = "record.json"

    node: NodeContext
    pod: Json
    record: PodRecord
    changed: Callable[[], None]
    gpu_shares: dict[str, list[int]] = field(default_factory=dict)

    @property
    def directory(self) -> Path:
        return self.node.settings.pods_root / self.record.uid

    @property
    def volumes(self) -> Path:
        return self.directory / "volumes"

    @property
    def containers(self) -> Path:
        return self.directory / "containers"

    @property
    def record_file(self) -> Path:
        return self.directory / self.RECORD

    @property
    def volume_owner(self) -> VolumeOwner | None:
        """The owner of the volumes; None where every pod runs as the node's user."""
        if self.node.isolation.level is not IsolationLevel.ROOT:
            return None
        return volume_owner(self.pod)

    @property
    def facts(self) -> PodFacts:
        return PodFacts(
            pod_ip=self.record.pod_ip or "",
            host_ip=self.node.settings.address,
            allocatable=self.node.capacity,
        )


@dataclass(frozen=True)
class ContainerDirectory:
    """The files of one container."""

    path: Path

    @property
    def home(self) -> Path:
        return self.path / "home"

    @property
    def scratch(self) -> Path:
        return self.path / "tmp"

    @property
    def root(self) -> Path:
        """The root of a confined container."""
        return self.path / "root"

    @property
    def termination_message(self) -> Path:
        return self.path / "termination-message"

    @property
    def kubeconfig(self) -> Path:
        return self.path / "kubeconfig"

    def log(self, attempt: int) -> Path:
        return self.path / f"{attempt}.log"

    def refresh(self, attempt: int) -> None:
        """Empty the directories for a new start; the log of the previous start is kept."""
        for directory in (self.home, self.scratch, self.root):
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir(parents=True)
        self.termination_message.write_bytes(b"")
        self.termination_message.chmod(0o666)  # writable for any user of the container
        for old in self.path.glob("*.log"):
            if int(old.name.split(".")[0]) < attempt - 1:
                old.unlink()

    def empty(self) -> None:
        """Delete everything except the logs."""
        for directory in (self.home, self.scratch, self.root):
            shutil.rmtree(directory, ignore_errors=True)
        self.kubeconfig.unlink(missing_ok=True)


async def sleep_unless_stopping(seconds: float, stopping: asyncio.Event) -> bool:
    """Sleep until the time is over or the pod must stop; returns whether it must stop."""
    try:
        await asyncio.wait_for(stopping.wait(), seconds)
    except TimeoutError:
        return False
    return True
