"""What a worker's pod is given and where it may run: the installation's default, and by model.

An entry of `MODEL_RESOURCES` says what one model needs otherwise. What it gives stands in the place
of the default as a whole: lists and maps are not merged, so that an entry says all there is to say.
"""

from dataclasses import dataclass
from typing import Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from splitjob.quantity import binary_quantity, bytes_of, parse_quantity
from splitjob_operator.core.setting_types import (
    ByteQuantity,
    CpuQuantity,
    ExtendedResource,
    LabelKey,
    LabelValue,
    OptionalName,
)

__all__ = ["GPU_CLAIM", "Device", "Gpu", "ModelResources", "WorkerResources"]

Json = dict[str, Any]
T = TypeVar("T")
LOGS_BYTES = 256 * 2**20  # what a kubelet keeps of a container's logs, several times
GPU_CLAIM = "gpu"  # what a pod's claim for a GPU is called in it
Device = Literal["", "cpu", "cuda", "mps"]
_CONFIG = ConfigDict(
    alias_generator=to_camel,
    populate_by_name=True,
    extra="forbid",
    frozen=True,
    coerce_numbers_to_str=True,
)


class Gpu(BaseModel):
    """The GPUs of one model's workers.

    Attributes:
        resource_name: an extended resource, a MIG slice or a shared GPU too; None: the default's.
        count: how many of it; 0: none, so that the model runs on the CPU.
        claim_template: a ResourceClaimTemplate (dynamic resource allocation) in the place of both.
    """

    model_config = _CONFIG

    resource_name: ExtendedResource | None = None
    count: int = Field(default=1, ge=0, le=16)
    claim_template: OptionalName = ""

    @model_validator(mode="after")
    def _one_way_to_a_gpu(self) -> Self:
        if self.claim_template and self.model_fields_set & {"resource_name", "count"}:
            raise ValueError("claimTemplate stands in the place of resourceName and count")
        return self


class ModelResources(BaseModel):
    """What one model needs otherwise than the default; None: as the default.

    Attributes:
        memory_retry: the memory after `worker_oom`; None: twice `memory`, where that is given.
    """

    model_config = _CONFIG

    device: Device | None = None
    gpu: Gpu | None = None
    cpu: CpuQuantity | None = None
    cpu_limit: CpuQuantity | Literal[""] | None = None
    memory: ByteQuantity | None = None
    memory_retry: ByteQuantity | None = None
    scratch_size: ByteQuantity | None = None
    ephemeral_storage: ByteQuantity | Literal[""] | None = None
    node_selector: dict[LabelKey, LabelValue] | None = None
    tolerations: list[Json] | None = None
    affinity: Json | None = None
    topology_spread_constraints: list[Json] | None = None
    priority_class_name: OptionalName | None = None
    runtime_class_name: OptionalName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerResources:
    """What the workers of one model get and where they may run: nothing is left open.

    Attributes:
        wanted_device: blank: what follows from the GPUs.
        gpu_resource, gpu_count: an extended resource and how many of it.
        gpu_claim: the ResourceClaimTemplate in the place of both; blank: none.
        cpu, cpu_limit: cores; a blank limit: none.
        memory, memory_retry: bytes, at first and after `worker_oom`.
        scratch_size, pod_storage: bytes of the scratch disk, and of all a pod has on its node's
            disk; blank: what the scratch disk and the logs need.
        priority_class: where no range of `PRIORITY_CLASSES` has one; blank: none.
    """

    wanted_device: Device
    gpu_resource: str
    gpu_count: int
    gpu_claim: str
    cpu: str
    cpu_limit: str
    memory: str
    memory_retry: str
    scratch_size: str
    pod_storage: str
    node_selector: dict[str, str]
    tolerations: list[Json]
    affinity: Json
    topology_spread_constraints: list[Json]
    priority_class: str
    runtime_class: str

    @property
    def has_gpu(self) -> bool:
        """Whether a worker gets a GPU, or a part of one."""
        return bool(self.gpu_count or self.gpu_claim)

    @property
    def device(self) -> str:
        """The device that a worker is told to use."""
        return self.wanted_device or ("cuda" if self.has_gpu else "cpu")

    @property
    def ephemeral_storage(self) -> str:
        """What a worker's pod may use of its node's disk."""
        return self.pod_storage or binary_quantity(bytes_of(self.scratch_size) + LOGS_BYTES)

    def of_model(self, entry: ModelResources) -> "WorkerResources":
        """Return these with what an entry for one model says in their place."""
        gpu = entry.gpu
        return WorkerResources(
            wanted_device=_or(entry.device, self.wanted_device),
            gpu_resource=_or(gpu.resource_name if gpu else None, self.gpu_resource),
            gpu_count=gpu.count if gpu else self.gpu_count,
            gpu_claim=gpu.claim_template if gpu else self.gpu_claim,
            cpu=_or(entry.cpu, self.cpu),
            cpu_limit=_or(entry.cpu_limit, self.cpu_limit),
            memory=_or(entry.memory, self.memory),
            memory_retry=_memory_retry(entry) or self.memory_retry,
            scratch_size=_or(entry.scratch_size, self.scratch_size),
            pod_storage=_or(entry.ephemeral_storage, self.pod_storage),
            node_selector=_or(entry.node_selector, self.node_selector),
            tolerations=_or(entry.tolerations, self.tolerations),
            affinity=_or(entry.affinity, self.affinity),
            topology_spread_constraints=_or(
                entry.topology_spread_constraints, self.topology_spread_constraints
            ),
            priority_class=_or(entry.priority_class_name, self.priority_class),
            runtime_class=_or(entry.runtime_class_name, self.runtime_class),
        )

    def refuse_contradictions(self, whose: str) -> None:
        """See that no pod could come of it that cannot work.

        Args:
            whose: the setting, for the message.

        Raises:
            ValueError: the message says what to change.
        """
        if bytes_of(self.memory_retry) < bytes_of(self.memory):
            raise ValueError(
                f"{whose}: the memory after worker_oom ({self.memory_retry}) is below that of a "
                f"first attempt ({self.memory})"
            )
        if self.cpu_limit and parse_quantity(self.cpu) > parse_quantity(self.cpu_limit):
            raise ValueError(f"{whose}: {self.cpu} cores are above the limit of {self.cpu_limit}")
        if self.wanted_device == "cuda" and not self.has_gpu:
            raise ValueError(f"{whose}: the device is cuda, but no GPU is asked for")


def _or(given: T | None, default: T) -> T:
    return default if given is None else given


def _memory_retry(entry: ModelResources) -> str:
    """Return the memory after `worker_oom` that follows from an entry; blank: the default's."""
    if entry.memory_retry or entry.memory is None:
        return entry.memory_retry or ""
    return binary_quantity(2 * bytes_of(entry.memory))
