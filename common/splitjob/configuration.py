"""Settings from the environment, and what to tell whoever set one that cannot be used.

Each wrong setting gets a line of its own: the variable, where the chart takes it from, what is
wrong. Tokens and keys are never quoted.
"""

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings

from splitjob.models import RegistryError

__all__ = ["CHART_VALUES", "ConfigurationError", "read_settings"]

# The values of the chart that the variables come from. What is not here is set with extraEnv.
CHART_VALUES = {
    "API_WEBHOOK_URL_ALLOWLIST": "webhooks.allowlist",
    "BODY_TIMEOUT_SECONDS": "api.bodyTimeoutSeconds",
    "CHECKPOINT_MIN_SECONDS": "worker.checkpointMinSeconds",
    "CONSOLE_ENABLED": "api.console.enabled",
    "CUDA_VISIBLE_DEVICES": "worker.cudaVisibleDevices",
    "DOWNLOAD_URL_SECONDS": "api.storage.urlSeconds",
    "ENVIRONMENT": "environment",
    "HOST": "listenOnPodIP",
    "HTTPS_PROXY": "proxy.httpsProxy",
    "HTTP_PROXY": "proxy.httpProxy",
    "KEEP_FINISHED_JOBS_SECONDS": "queue.keepFinishedJobsSeconds",
    "KEEP_ALIVE_SECONDS": "api.keepAliveSeconds",
    "KUEUE_LOCAL_QUEUE": "kueue.localQueue",
    "KUEUE_PRIORITY_CLASSES": "kueue.priorityClasses",
    "KUBERNETES_TOKENS": "api.kubernetesTokens.enabled",
    "KUBERNETES_TOKEN_AUDIENCE": "api.kubernetesTokens.audience",
    "LOG_LEVEL": "logLevel",
    "MAX_ACTIVE_JOBS": "queue.maxActiveJobs",
    "MAX_ACTIVE_JOBS_PER_GROUP": "queue.maxActiveJobsPerGroup",
    "MAX_AUDIO_SECONDS": "source.maxAudioSeconds",
    "MAX_LOST_PERCENT": "source.maxLostPercent",
    "MAX_QUEUED_JOBS": "queue.maxQueuedJobs",
    "MAX_SOURCE_BYTES": "source.maxBytes",
    "MAX_STREAMS": "api.streams.max",
    "MODELS": "models.offered",
    "MODEL_REGISTRY": "models.registry",
    "MODEL_RESOURCES": "models.resources",
    "NODE_LOST_SECONDS": "operator.nodeLostSeconds",
    "PAUSED": "queue.paused",
    "PORT": "api.port or operator.port",
    "NO_PROXY": "proxy.noProxy",
    "PRIORITY_CLASSES": "queue.priorityClasses",
    "PROXY_RESOLVES_NAMES": "proxy.resolvesNames",
    "QUEUE_DEADLINE_SECONDS": "queue.queueDeadlineSeconds",
    "QUEUE_GROUP_BY": "queue.groupBy",
    "QUEUE_STATUS_PUBLIC": "queue.statusPublic",
    "RATE_LIMIT_BURST": "api.rateLimit.burst",
    "RATE_LIMIT_PER_SECOND": "api.rateLimit.perSecond",
    "RESYNC_SECONDS": "operator.resyncSeconds",
    "ROOT_PATH": "api.rootPath",
    "RUN_DEADLINE_SECONDS": "queue.runDeadlineSeconds",
    "S3_ADDRESSING_STYLE": "storage.addressingStyle",
    "S3_BUCKET": "storage.bucket",
    "S3_CHECKSUM": "storage.checksum",
    "S3_ENDPOINT": "storage.endpoint",
    "S3_READ_ENDPOINT": "storage.endpoint",
    "S3_REGION": "storage.region",
    "S3_REQUESTER_PAYS": "storage.requesterPays",
    "S3_SSE": "storage.serverSideEncryption",
    "S3_SSE_KMS_KEY_ID": "storage.kmsKeyId",
    "S3_STORAGE_CLASS": "storage.storageClass",
    "SLOW_READER_SECONDS": "api.slowReaderSeconds",
    "SOURCE_ALLOWED_NETWORKS": "source.allowedNetworks",
    "START_DEADLINE_SECONDS": "queue.startDeadlineSeconds",
    "STORAGE_PREFIX": "storage.prefix",
    "UPLOADS_ENABLED": "api.storage.uploads.enabled",
    "UPLOAD_URL_SECONDS": "api.storage.uploads.urlSeconds",
    "TTL_SECONDS_AFTER_FINISHED": "queue.ttlSecondsAfterFinished",
    "WORKER_AFFINITY": "worker.affinity",
    "WORKER_AWS_ROLE_ARN": "storage.webIdentity.roleArn",
    "WORKER_AWS_TOKEN_AUDIENCE": "storage.webIdentity.audience",
    "WORKER_AWS_TOKEN_SECONDS": "storage.webIdentity.expirationSeconds",
    "WORKER_CONTAINER_SECURITY_CONTEXT": "worker.containerSecurityContext",
    "WORKER_CPU": "worker.cpu",
    "WORKER_CPU_LIMIT": "worker.cpuLimit",
    "WORKER_DEVICE": "worker.device",
    "WORKER_EPHEMERAL_STORAGE": "worker.ephemeralStorage",
    "WORKER_EXTRA_ENV": "worker.extraEnv",
    "WORKER_EXTRA_VOLUMES": "worker.extraVolumes",
    "WORKER_EXTRA_VOLUME_MOUNTS": "worker.extraVolumeMounts",
    "WORKER_GPU_CLAIM_TEMPLATE": "worker.gpu.claimTemplate",
    "WORKER_GPU_COUNT": "worker.gpu.count",
    "WORKER_GPU_RESOURCE": "worker.gpu.resourceName",
    "WORKER_IMAGE": "worker.image",
    "WORKER_IMAGE_PULL_POLICY": "worker.image.pullPolicy",
    "WORKER_IMAGE_PULL_SECRETS": "imagePullSecrets",
    "WORKER_MEMORY": "worker.memory",
    "WORKER_MEMORY_RETRY": "worker.memoryRetry",
    "WORKER_MODEL_DIR": "worker.models.directory",
    "WORKER_MODEL_VOLUME": "worker.models.volume",
    "WORKER_NETWORK_POLICY": "networkPolicy.worker",
    "WORKER_NODE_SELECTOR": "worker.nodeSelector",
    "WORKER_POD_ANNOTATIONS": "worker.podAnnotations",
    "WORKER_POD_LABELS": "worker.podLabels",
    "WORKER_POD_SECURITY_CONTEXT": "worker.podSecurityContext",
    "WORKER_PRECISION": "worker.precision",
    "WORKER_PRIORITY_CLASS": "worker.priorityClassName",
    "WORKER_RUNTIME_CLASS": "worker.runtimeClassName",
    "WORKER_SCRATCH_SIZE": "worker.scratchSize",
    "WORKER_TERMINATION_GRACE_SECONDS": "worker.terminationGracePeriodSeconds",
    "WORKER_TOLERATIONS": "worker.tolerations",
    "WORKER_TOPOLOGY_SPREAD_CONSTRAINTS": "worker.topologySpreadConstraints",
}
# What a value looks like whose form is only told by a pattern.
EXAMPLES = {
    "CUDA_VISIBLE_DEVICES": "0,1",
    "KUBERNETES_TOKEN_AUDIENCE": "track-tree-audio",
    "ROOT_PATH": "/stems",
    "S3_BUCKET": "my-stems",
    "S3_REGION": "eu-central-1",
    "S3_SSE_KMS_KEY_ID": "arn:aws:kms:eu-central-1:123456789012:key/0a1b2c3d",
    "S3_STORAGE_CLASS": "STANDARD_IA",
    "STORAGE_PREFIX": "stems/prod",
    "TOTALS_CONFIGMAP": "track-tree-audio-totals",
    "WORKER_GPU_RESOURCE": "nvidia.com/gpu",
    "WORKER_IMAGE": "registry.example.com/audio/worker:1.0",
    "WORKER_MODEL_DIR": "/models",
    "WORKER_PRIORITY_CLASS": "audio-urgent",
    "WORKER_RUNTIME_CLASS": "nvidia",
}
SECRET_KEYS = {
    "DEMUCSSVC_TOKEN": "secrets.token",
    "S3_ACCESS_KEY_ID": "secrets.s3AccessKeyId or secrets.apiS3AccessKeyId",
    "S3_SECRET_ACCESS_KEY": "secrets.s3SecretAccessKey or secrets.apiS3SecretAccessKey",
}
SECRET_NAME = "SECRET_NAME"  # noqa: S105 - names the variable that names the Secret
KEY_NAMES = "SECRET_KEYS"  # what that Secret calls its keys, as JSON by variable
_VARIABLE = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
_LEADING = re.compile(r"\A[A-Z][A-Z0-9_]{3,}(?=:? )")
S = TypeVar("S", bound=BaseSettings)


class ConfigurationError(ValueError):
    """The process must not start.

    Attributes:
        problems: one line for each setting that cannot be used.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


def read_settings(
    kind: type[S],
    checks: Mapping[str, Callable[[S], object]] = MappingProxyType({}),
    beside: Iterable[type[BaseSettings]] = (),
) -> S:
    """Return settings from the environment, all of them looked at before anything is said.

    Args:
        kind: the settings.
        checks: by variable, what reads its value once more and raises ValueError where it is unfit;
            a message that begins with another variable's name is about that one.
        beside: other settings that the process reads later on.

    Raises:
        ConfigurationError: some cannot be used.
    """
    found, problems = _read(kind)
    for other in beside:
        problems = _read(other)[1] | problems
    for variable, check in checks.items():
        if found is None or variable in problems:
            continue
        try:
            check(found)
        except (ValueError, RegistryError) as error:
            named = _LEADING.match(str(error))
            problems[named[0] if named else variable] = _LEADING.sub("", str(error)).lstrip(": ")
    if problems or found is None:
        raise ConfigurationError(_line(*problem) for problem in problems.items())
    return found


def _read(kind: type[S]) -> tuple[S | None, dict[str, str]]:
    """Return the settings, with defaults for those that are wrong, and what is wrong by variable.

    There are no settings where not even the defaults can be used.
    """
    try:
        return kind(), {}
    except ValidationError as error:
        problems = {_variable(one): _sentence(one) for one in error.errors()}
    defaults: Any = {
        name: "unset" if field.is_required() else field.get_default(call_default_factory=True)
        for name, field in kind.model_fields.items()
        if name.upper() in problems
    }
    try:
        return kind(**defaults), problems
    except ValidationError:
        return None, problems


def _variable(error: ErrorDetails) -> str:
    """Return the variable that an error is about; where it is about several, the first it names."""
    if error["loc"]:
        return str(error["loc"][0]).upper()
    named = _VARIABLE.search(error["msg"])
    return named[0] if named else ""


def _sentence(error: ErrorDetails) -> str:
    inside = ".".join(str(part) for part in error["loc"][1:])
    if error["type"] == "missing":
        return f"{inside} is missing" if inside else "is not set"
    example = EXAMPLES.get(_variable(error))
    if error["type"] == "string_pattern_mismatch" and example:
        return f"is not written as it must be, as in {example}"
    message = error["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:] if message.startswith("Input ") else message
    return f"{inside}: {message}" if inside else message


def _line(variable: str, message: str) -> str:
    return f"{variable} ({_origin(variable)}): {message}"


def _origin(variable: str) -> str:
    if value := SECRET_KEYS.get(variable):
        secret = os.environ.get(SECRET_NAME) or "that secrets.existingSecret names"
        return f"key {_key(variable)} of the Secret {secret}, or chart value {value}"
    if value := CHART_VALUES.get(variable):
        return f"chart value {value}"
    return "an environment variable, set with the chart's extraEnv"


def _key(variable: str) -> str:
    """Return what the key of a variable is called in the Secret."""
    try:
        return str(json.loads(os.environ.get(KEY_NAMES) or "{}")[variable])
    except (ValueError, TypeError, KeyError):  # by hand, or not at all
        return variable
