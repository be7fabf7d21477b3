"""The node's records of pods, stored on disk so that they survive a crash of the node."""

from datetime import datetime
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, Field


class Reason(StrEnum):
    """The reasons a kubelet gives for container states and pod failures."""

    CONTAINER_CREATING = "ContainerCreating"
    POD_INITIALIZING = "PodInitializing"
    ERR_IMAGE_PULL = "ErrImagePull"
    IMAGE_PULL_BACK_OFF = "ImagePullBackOff"
    INVALID_IMAGE_NAME = "InvalidImageName"
    ERR_IMAGE_NEVER_PULL = "ErrImageNeverPull"
    CREATE_CONTAINER_CONFIG_ERROR = "CreateContainerConfigError"
    CREATE_CONTAINER_ERROR = "CreateContainerError"
    RUN_CONTAINER_ERROR = "RunContainerError"
    CRASH_LOOP_BACK_OFF = "CrashLoopBackOff"
    COMPLETED = "Completed"
    ERROR = "Error"
    OOM_KILLED = "OOMKilled"
    START_ERROR = "StartError"
    UNKNOWN = "Unknown"
    CONTAINER_STATUS_UNKNOWN = "ContainerStatusUnknown"
    EVICTED = "Evicted"
    DEADLINE_EXCEEDED = "DeadlineExceeded"


class Waiting(BaseModel):
    """The container is not running and may start later."""

    reason: str = Reason.CONTAINER_CREATING
    message: str | None = None


class Running(BaseModel):
    """The container's process is running."""

    started_at: datetime
    container_id: str


class Terminated(BaseModel):
    """The container's process has ended."""

    exit_code: int
    reason: str
    message: str | None = None
    started_at: datetime | None = None
    finished_at: datetime
    container_id: str | None = None


class ContainerRecord(BaseModel):
    """One container: its state, the last termination, and how often it was restarted."""

    name: str
    state: Waiting | Running | Terminated = Field(default_factory=Waiting)
    last: Terminated | None = None
    restarts: int = 0
    started: bool = False
    ready: bool = False

    @property
    def running(self) -> Running | None:
        return self.state if isinstance(self.state, Running) else None

    @property
    def waiting(self) -> Waiting | None:
        return self.state if isinstance(self.state, Waiting) else None

    @property
    def terminated(self) -> Terminated | None:
        return self.state if isinstance(self.state, Terminated) else None

    @property
    def last_exit(self) -> Terminated | None:
        """The last termination, also while the container waits for its next start."""
        return self.terminated or self.last

    @property
    def was_started(self) -> bool:
        return self.running is not None or self.last_exit is not None

    @property
    def next_attempt(self) -> int:
        """The number of restarts that the next start will make."""
        return self.restarts + 1 if self.last_exit else self.restarts

    def wait_for(self, reason: str, message: str | None = None) -> None:
        """Set the state to waiting; the last termination is kept."""
        self.last = self.last_exit
        self.state = Waiting(reason=reason, message=message)
        self.started = self.ready = False

    def run(self, state: Running) -> None:
        """Set the state to running, which counts as a restart unless it is the first start."""
        self.restarts = self.next_attempt
        self.last = self.last_exit
        self.state = state
        self.started = self.ready = False

    def end(self, state: Terminated) -> None:
        """Set the state to terminated; `last` stays the termination of the run before."""
        if self.running is None:
            self.restarts = self.next_attempt
            self.last = self.last_exit
        self.state = state
        self.started = False
        self.ready = False


class PodFailure(BaseModel):
    """The reason why the node ended the pod, which then fails whatever its containers returned."""

    reason: str
    message: str


class PodRecord(BaseModel):
    """The record of one pod."""

    uid: str
    namespace: str
    name: str
    start_time: datetime
    containers: dict[str, ContainerRecord] = Field(default_factory=dict)
    pod_ip: str | None = None
    volumes_ready: bool = False
    finished: bool = Field(default=False, description="no process is left, and none will start")
    failure: PodFailure | None = None

    def container(self, name: str) -> ContainerRecord:
        """The record of a container, created on first use."""
        return self.containers.setdefault(name, ContainerRecord(name=name))


def save(record: PodRecord, path: Path) -> None:
    """Write a record atomically: a crash leaves the old one or the new one."""
    partial = path.with_suffix(".partial")
    partial.write_text(record.model_dump_json(), encoding="utf-8")
    partial.replace(path)


def load(path: Path) -> PodRecord | None:
    """Read a record; None if there is none, or if it is damaged."""
    try:
        return PodRecord.model_validate_json(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
