"""The operator's settings: environment variables of the same names in upper case.

Lists and maps are JSON. What a worker's pod gets beyond them is in `worker_job.py`.
"""

import json
from collections.abc import Sequence
from typing import Any, Literal, Self, get_args, get_origin

from pydantic import BaseModel, Field, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from splitjob.configuration import read_settings
from splitjob.inputs import Inputs
from splitjob.models import load_registry
from splitjob.quantity import bytes_of
from splitjob.service_settings import SERVICE_CHECKS, ServiceSettings
from splitjob.storage_settings import BucketDemands, StorageSettings
from splitjob_operator.core.additions import Additions, refuse_clashes
from splitjob_operator.core.admission_queue import Bounds
from splitjob_operator.core.kueue import PRIORITY_LABEL, QUEUE_LABEL
from splitjob_operator.core.setting_types import (
    AnnotationKey,
    BucketName,
    ByteQuantity,
    CpuQuantity,
    CudaDevices,
    ExtendedResource,
    ImageReference,
    LabelKey,
    LabelValue,
    ModelDirectory,
    ModelName,
    ObjectName,
    OptionalName,
    Region,
    StoragePrefix,
)
from splitjob_operator.core.worker_resources import Device, ModelResources, WorkerResources

__all__ = ["PriorityClass", "Settings"]

Json = dict[str, Any]


# Fit for Pod Security `restricted`.
NON_ROOT = 65532
POD_SECURITY_CONTEXT: Json = {
    "runAsNonRoot": True,
    "runAsUser": NON_ROOT,
    "runAsGroup": NON_ROOT,
    "fsGroup": NON_ROOT,
    "fsGroupChangePolicy": "OnRootMismatch",
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER_SECURITY_CONTEXT: Json = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


class PriorityClass(BaseModel):
    """A range of `spec.priority` and the PriorityClass its pods get.

    Attributes:
        at_least: the lowest priority of the range.
        at_most: the highest priority of the range.
        name: the PriorityClass.
    """

    at_least: int = Field(default=-100, ge=-100, le=100)
    at_most: int = Field(default=100, ge=-100, le=100)
    name: ObjectName


class Settings(ServiceSettings, BucketDemands, BaseSettings):
    """Everything an installation can set."""

    # Lists and maps are decoded here and not by the library, which ends at the first wrong one.
    model_config = SettingsConfigDict(enable_decoding=False)

    # The process itself
    namespace: str = Field(default="default", description="The namespace served.")
    host: str = Field(default="::", description="Where /healthz and /metrics listen; ::: all.")
    port: int = Field(default=8081, ge=0, le=65535)
    concurrency: int = Field(default=8, ge=1, le=64, description="SplitJobs worked on at once.")
    delivery_concurrency: int = Field(default=64, ge=1, le=512, description="Webhooks at once.")
    resync_seconds: float = Field(default=30, gt=0, le=3600)
    missed_watch_seconds: float = Field(
        default=60,
        gt=0,
        description="How long a watch may bring nothing of what a resync saw before we restart.",
    )
    orphan_secret_seconds: int = Field(
        default=600, ge=0, description="Age at which a source Secret that nothing refers to goes."
    )
    orphan_input_seconds: int = Field(
        default=86_400, ge=0, description="Age at which a file that no job reads goes."
    )
    totals_configmap: ObjectName = "track-tree-audio-totals"
    lease_name: ObjectName = "track-tree-audio-operator"
    lease_seconds: int = Field(
        default=15,
        ge=3,
        le=600,
        description="How long a leader may be silent before another replica takes over.",
    )
    pod_name: str = Field(
        default="", description="What this replica is called in the Lease; blank: after its host."
    )

    # The queue
    paused: bool = Field(default=False, description="Start nothing new in this installation.")
    max_active_jobs: int = Field(
        default=0, ge=0, le=100_000, description="Jobs at once; 0: leave it to the scheduler."
    )
    queue_group_by: LabelValue = Field(
        default="",
        description="The name in a request's metadata whose values take turns; blank: none do.",
    )
    max_active_jobs_per_group: int = Field(
        default=0, ge=0, le=100_000, description="Jobs at once of one such value; 0: any number."
    )
    queue_deadline_seconds: int = Field(default=86400, ge=1, le=604_800)
    run_deadline_seconds: int = Field(default=7200, ge=1, le=86_400)
    start_deadline_seconds: int = Field(
        default=900,
        ge=1,
        le=86_400,
        description="From scheduled to started: the time to pull the image.",
    )
    waiting_grace_seconds: int = Field(
        default=120,
        ge=0,
        description="How long a container may fail to be created, or a request's Secret not come.",
    )
    node_lost_seconds: int = Field(
        default=120, ge=1, le=86_400, description="How long a node may be NotReady under a worker."
    )
    storage_patience_seconds: int = Field(
        default=300, ge=0, description="How long a verdict waits for a storage that is away."
    )
    retry_delay_seconds: float = Field(
        default=10, ge=0, description="Before the second attempt; doubled for each further one."
    )
    keep_finished_jobs_seconds: int = Field(
        default=0,
        ge=0,
        le=604_800,
        description="How long an ended attempt's Job stays, and its pod's log.",
    )
    ttl_seconds_after_finished: int = Field(
        default=604_800,
        ge=60,
        le=31_536_000,
        description="At 0 a finished job would be gone before anybody could ask for it.",
    )
    priority_classes: list[PriorityClass] = []
    kueue_local_queue: OptionalName = Field(
        default="", description="The LocalQueue of Kueue that decides when Jobs run; blank: none."
    )
    kueue_priority_classes: list[PriorityClass] = Field(
        default=[], description="Ranges of priority and Kueue's WorkloadPriorityClasses for them."
    )

    # The worker's pod
    worker_image: ImageReference
    worker_image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    worker_image_pull_secrets: list[ObjectName] = []
    worker_command: list[str] = []
    worker_service_account: OptionalName = ""
    worker_secret_name: OptionalName = Field(
        default="", description="Secret with DEMUCSSVC_TOKEN and, optionally, the S3_*_KEY* pair."
    )
    worker_secret_keys: dict[str, str] = Field(
        default={}, description="What its keys are called, by variable, where not like that."
    )
    worker_aws_role_arn: str = Field(
        default="", description="The role for which workers get a token of their service account."
    )
    worker_aws_token_audience: str = "sts.amazonaws.com"  # noqa: S105 - an audience
    worker_aws_token_seconds: int = Field(default=3600, ge=600, le=86400)
    worker_device: Device = Field(
        default="", description="Blank: cuda where a GPU is asked for, else cpu."
    )
    worker_precision: Literal["ieee", "tf32", "fp16", "bf16"] = Field(
        default="ieee", description="Of the calculation: full fp32, or faster and less exact."
    )
    worker_gpu_resource: ExtendedResource = "nvidia.com/gpu"
    worker_gpu_count: int = Field(default=1, ge=0, le=16)
    worker_gpu_claim_template: OptionalName = Field(
        default="", description="A ResourceClaimTemplate in the place of resource and count."
    )
    worker_cpu: CpuQuantity = "2"
    worker_cpu_limit: CpuQuantity | Literal[""] = Field(default="", description="Blank: none.")
    worker_memory: ByteQuantity = "6Gi"
    worker_memory_retry: ByteQuantity = Field(
        default="12Gi", description="Its limit after worker_oom."
    )
    worker_scratch_size: ByteQuantity = "20Gi"
    worker_ephemeral_storage: ByteQuantity | Literal[""] = Field(
        default="", description="Of the whole pod; blank: the scratch disk and its logs."
    )
    worker_node_selector: dict[LabelKey, LabelValue] = {}
    worker_tolerations: list[Json] = []
    worker_affinity: Json = {}
    worker_topology_spread_constraints: list[Json] = []
    worker_priority_class: OptionalName = Field(
        default="", description="Where `priority_classes` has none for a priority."
    )
    worker_runtime_class: OptionalName = ""
    model_resources: dict[ModelName, ModelResources] = Field(
        default={}, description="What single models need otherwise than the above, by name."
    )
    worker_model_dir: ModelDirectory = Field(
        default="", description="Path of the weights in the container."
    )
    worker_model_volume: dict[str, Any] | None = Field(
        default=None, description="A volume source that holds the weights; blank: in the image."
    )
    worker_model_registry_configmap: OptionalName = Field(
        default="", description="ConfigMap whose key models.yaml is the worker's registry."
    )
    worker_termination_grace_seconds: int = Field(default=30, ge=1, le=600)
    checkpoint_min_seconds: int = Field(
        default=180,
        ge=0,
        le=86_400,
        description="From which length on what is finished of a song is kept; 0: never.",
    )
    worker_network_policy: Json | None = Field(
        default=None,
        description="The spec, but for the pods, of a NetworkPolicy that stays as long as its Job.",
    )
    worker_pod_labels: dict[LabelKey, LabelValue] = {}
    worker_pod_annotations: dict[AnnotationKey, str] = {}
    worker_pod_security_context: Json = POD_SECURITY_CONTEXT
    worker_container_security_context: Json = CONTAINER_SECURITY_CONTEXT
    worker_extra_env: list[Json] = []
    worker_extra_volumes: list[Json] = []
    worker_extra_volume_mounts: list[Json] = []
    cuda_visible_devices: CudaDevices = ""
    max_audio_seconds: int = Field(default=3600, ge=1, le=86_400)
    max_lost_percent: int = Field(default=5, ge=0, le=100)
    max_source_bytes: int = Field(default=2 * 2**30, ge=1, le=2**40)

    # Storage: as splitjob.storage_settings reads them; handed on to the worker
    s3_endpoint: str = ""
    s3_region: Region = "us-east-1"
    s3_bucket: BucketName = ""
    storage_prefix: StoragePrefix = ""

    @field_validator("worker_model_volume", "worker_network_policy", mode="before")
    @classmethod
    def _blank_is_none(cls, value: object) -> object:
        return None if value in ("", b"") else value

    @model_validator(mode="after")
    def _a_retry_has_no_less_memory(self) -> Self:
        if bytes_of(self.worker_memory_retry) < bytes_of(self.worker_memory):
            raise ValueError(
                f"WORKER_MEMORY_RETRY ({self.worker_memory_retry}) is below WORKER_MEMORY "
                f"({self.worker_memory}): it is for the attempt after one that ran out of memory"
            )
        return self

    @model_validator(mode="after")
    def _each_model_can_work(self) -> Self:
        for name in self.model_resources:
            self.resources_of(name).refuse_contradictions(f"MODEL_RESOURCES, {name}")
        return self

    @model_validator(mode="after")
    def _groups_have_a_name(self) -> Self:
        if self.max_active_jobs_per_group and not self.queue_group_by:
            raise ValueError(
                f"MAX_ACTIVE_JOBS_PER_GROUP is {self.max_active_jobs_per_group}, but no "
                "QUEUE_GROUP_BY says by which name in the requests' metadata groups are told apart"
            )
        return self

    @model_validator(mode="after")
    def _kueue_is_asked_in_one_way(self) -> Self:
        if QUEUE_LABEL in self.worker_pod_labels:
            raise ValueError(
                f"WORKER_POD_LABELS has {QUEUE_LABEL}, by which Kueue would take Job and pod "
                "alike: set KUEUE_LOCAL_QUEUE in its place"
            )
        if self.kueue_priority_classes and not self.kueue_local_queue:
            raise ValueError("KUEUE_PRIORITY_CLASSES is set, but KUEUE_LOCAL_QUEUE names no queue")
        return self

    @model_validator(mode="after")
    def _no_addition_hides_ours(self) -> Self:
        refuse_clashes(
            Additions(
                labels=self.worker_pod_labels,
                environment=self.worker_extra_env,
                volumes=self.worker_extra_volumes,
                mounts=self.worker_extra_volume_mounts,
                with_role=bool(self.worker_aws_role_arn),
            )
        )
        return self

    @field_validator("*", mode="before")
    @classmethod
    def _decoded(cls, value: object, info: ValidationInfo) -> object:
        field = cls.model_fields[str(info.field_name)]
        if not isinstance(value, str) or not value or not _holds_json(field.annotation):
            return value
        try:
            decoded = json.loads(value)
        except ValueError:
            raise ValueError("must be JSON, a list or a map as the chart writes it") from None
        return field.get_default(call_default_factory=True) if decoded is None else decoded

    @classmethod
    def from_environment(cls) -> "Settings":
        """Return the settings of this process.

        Raises:
            splitjob.configuration.ConfigurationError: some cannot be used.
        """
        checks = {**SERVICE_CHECKS, "MODEL_RESOURCES": cls.refuse_unknown_models}
        return read_settings(cls, checks, [StorageSettings])

    def refuse_unknown_models(self) -> None:
        """See that `model_resources` names models that there are.

        Raises:
            ValueError: it does not.
            splitjob.models.RegistryError: the registry cannot be read.
        """
        if not self.model_resources:
            return
        known = load_registry(self.model_registry)
        if unknown := sorted(self.model_resources.keys() - known.keys()):
            raise ValueError(
                f"MODEL_RESOURCES: {', '.join(unknown)}: not in the registry, which has: "
                f"{', '.join(known)}"
            )

    @property
    def bounds(self) -> Bounds:
        """How many attempts may be under way at once."""
        return Bounds(self.max_active_jobs, self.max_active_jobs_per_group)

    def inputs(self) -> Inputs | None:
        """Return where the files from POST /uploads are; None where there is no bucket."""
        return Inputs(self.s3_bucket, self.storage_prefix) if self.s3_bucket else None

    @property
    def device(self) -> str:
        """The device of workers whose model has no resources of its own."""
        return self._default_resources.device

    def resources_of(self, model: str) -> WorkerResources:
        """Return what the workers of a model get, and where they may run."""
        entry = self.model_resources.get(model)
        return self._default_resources.of_model(entry) if entry else self._default_resources

    @property
    def _default_resources(self) -> WorkerResources:
        return WorkerResources(
            wanted_device=self.worker_device,
            gpu_resource=self.worker_gpu_resource,
            gpu_count=self.worker_gpu_count,
            gpu_claim=self.worker_gpu_claim_template,
            cpu=self.worker_cpu,
            cpu_limit=self.worker_cpu_limit,
            memory=self.worker_memory,
            memory_retry=self.worker_memory_retry,
            scratch_size=self.worker_scratch_size,
            pod_storage=self.worker_ephemeral_storage,
            node_selector=self.worker_node_selector,
            tolerations=self.worker_tolerations,
            affinity=self.worker_affinity,
            topology_spread_constraints=self.worker_topology_spread_constraints,
            priority_class=self.worker_priority_class,
            runtime_class=self.worker_runtime_class,
        )

    def priority_class(self, priority: int, model: str) -> str | None:
        """Return the PriorityClass of a priority: of the first range that holds it."""
        of_range = _class_of(self.priority_classes, priority)
        return of_range or self.resources_of(model).priority_class or None

    def kueue_labels(self, priority: int) -> dict[str, str]:
        """Return the labels by which Kueue takes a Job of a priority; none: it is not asked."""
        if not self.kueue_local_queue:
            return {}
        of_range = _class_of(self.kueue_priority_classes, priority)
        labels = {QUEUE_LABEL: self.kueue_local_queue}
        return {**labels, PRIORITY_LABEL: of_range} if of_range else labels


def _class_of(ranges: Sequence[PriorityClass], priority: int) -> str | None:
    """Return the class of the first range that holds a priority."""
    found = (one.name for one in ranges if one.at_least <= priority <= one.at_most)
    return next(found, None)


def _holds_json(annotation: object) -> bool:
    """Whether a setting is a list or a map, or may be one."""
    return get_origin(annotation) in {list, dict} or any(map(_holds_json, get_args(annotation)))
