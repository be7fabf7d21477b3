"""The Job of one attempt, as a pure function of the SplitJob and the settings.

One pod, never restarted (`backoffLimit: 0`, `restartPolicy: Never`): further attempts are Jobs of
their own. The failure policy only fails the Job, so that its condition keeps the cause. The pod is
fit for Pod Security `restricted` and has no token for the API server.
"""

from typing import Any

from splitjob import workload
from splitjob.quantity import bytes_of
from splitjob.resource import API_VERSION, KIND, LABEL_ATTEMPT, LABEL_SPLITJOB
from splitjob.result import EXIT_DONE, decimal
from splitjob.spec import Request
from splitjob.status import Attempt
from splitjob.usage import earlier_seconds
from splitjob_operator.core.additions import (
    AWS_DIR,
    REGISTRY_DIR,
    REQUEST_DIR,
    SCRATCH,
    STORAGE_KEYS,
)
from splitjob_operator.core.diagnosis import STOP_SIGNALS
from splitjob_operator.core.observed import SplitJob
from splitjob_operator.core.settings import Settings
from splitjob_operator.core.worker_resources import GPU_CLAIM, WorkerResources

__all__ = ["build_job", "network_policy", "owner_reference"]

Json = dict[str, Any]
MODEL_DIR = "/models"
TERMINATION_MESSAGE = "/dev/termination-log"
NET_SECONDS = 60  # how much later than the operator's own deadline the kubelet's net is
AWS_VOLUME = "aws-token"


def owner_reference(splitjob: SplitJob, *, controller: bool) -> Json:
    """Return the reference that makes a SplitJob the owner of an object."""
    reference: Json = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": splitjob.name,
        "uid": splitjob.uid,
    }
    return (
        {**reference, "controller": True, "blockOwnerDeletion": True} if controller else reference
    )


def build_job(
    splitjob: SplitJob, attempt: Attempt, settings: Settings, traceparent: str = ""
) -> Json:
    """Return the manifest of the Job of one attempt.

    Args:
        splitjob: what it is for; its spec must be there.
        attempt: number, name, and the memory limit where it was raised.
        settings: image, resources and whatever else an installation decides.
        traceparent: where in a trace its worker belongs; blank: in none.
    """
    if splitjob.spec is None:
        raise ValueError(f"SplitJob {splitjob.name} has no usable spec: {splitjob.spec_error}")
    labels = {
        **settings.worker_pod_labels,
        "app.kubernetes.io/name": "track-tree-audio",
        "app.kubernetes.io/component": "worker",
        LABEL_SPLITJOB: splitjob.name,
        LABEL_ATTEMPT: str(attempt.number),
    }
    job: Json = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": attempt.job_name,
            "namespace": splitjob.namespace,
            "labels": labels,
            "ownerReferences": [owner_reference(splitjob, controller=True)],
        },
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "podFailurePolicy": {"rules": _failure_rules()},
            "template": {
                "metadata": {"labels": labels, "annotations": _annotations(settings)},
                "spec": _pod(splitjob, splitjob.spec.request, attempt, settings),
            },
        },
    }
    if traceparent:
        (container,) = job["spec"]["template"]["spec"]["containers"]
        container["env"].append({"name": workload.ENV_TRACEPARENT, "value": traceparent})
    return _left_to_kueue(job, splitjob, settings)


def _left_to_kueue(job: Json, splitjob: SplitJob, settings: Settings) -> Json:
    """Return a Job as Kueue wants it, where an installation leaves it to Kueue when Jobs run.

    It is made suspended, and Kueue sets `spec.suspend` from then on. A worker that is told to stop,
    as when it is evicted, must not fail the Job, which is to be admitted again. Nothing else then
    ends a Job whose pods are stopped again and again while no operator is there, hence a deadline
    for all of it; its controller does not count the time in which it is suspended.
    """
    queue = settings.kueue_labels(splitjob.spec.priority if splitjob.spec else 0)
    if not queue:
        return job
    stopped = {"containerName": workload.CONTAINER, "operator": "In"}
    told_to_stop = {**stopped, "values": sorted(STOP_SIGNALS)}
    disrupted, failed = _failure_rules()
    rules = [disrupted, {"action": "Ignore", "onExitCodes": told_to_stop}, failed]
    pod_seconds = job["spec"]["template"]["spec"]["activeDeadlineSeconds"]
    job["metadata"]["labels"] = job["metadata"]["labels"] | queue
    job["spec"] |= {
        "suspend": True,
        "activeDeadlineSeconds": settings.queue_deadline_seconds + pod_seconds,
        "podFailurePolicy": {"rules": rules},
    }
    return job


def network_policy(job: Json, spec: Json) -> Json:
    """Return the manifest of a NetworkPolicy that is there as long as a Job is.

    The chart's own goes with the chart, although workers may still run then.

    Args:
        job: the Job, as the API server has it.
        spec: the policy's spec, but for the pods.
    """
    metadata = job["metadata"]
    splitjob = metadata["labels"][LABEL_SPLITJOB]
    owner = {"apiVersion": "batch/v1", "kind": "Job"}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": metadata["labels"],
            "ownerReferences": [{**owner, "name": metadata["name"], "uid": metadata["uid"]}],
        },
        "spec": {"podSelector": {"matchLabels": {LABEL_SPLITJOB: splitjob}}, **spec},
    }


def _annotations(settings: Settings) -> Json:
    """Keep autoscalers from moving a worker: they look at pods that have not ended, and no others.

    So they hold from when a pod is on its node until its container has ended, which is when there
    is work to lose; a Job that waits has no pod.
    """
    keep = {
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
        "karpenter.sh/do-not-disrupt": "true",
    }
    return {**keep, **settings.worker_pod_annotations}


def _failure_rules() -> list[Json]:
    disrupted = {"type": "DisruptionTarget", "status": "True"}
    failed = {"containerName": workload.CONTAINER, "operator": "NotIn", "values": [EXIT_DONE]}
    return [
        {"action": "FailJob", "onPodConditions": [disrupted]},
        {"action": "FailJob", "onExitCodes": failed},
    ]


def _pod(splitjob: SplitJob, request: Request, attempt: Attempt, settings: Settings) -> Json:
    run = request.run_deadline_seconds or settings.run_deadline_seconds
    pod: Json = {
        "restartPolicy": "Never",
        "activeDeadlineSeconds": settings.start_deadline_seconds + run + NET_SECONDS,
        "terminationGracePeriodSeconds": settings.worker_termination_grace_seconds,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": _without_null(settings.worker_pod_security_context),
        "containers": [_container(splitjob, request, attempt, settings)],
        "volumes": _volumes(request, settings),
    }
    optional = {
        "serviceAccountName": settings.worker_service_account,
        "priorityClassName": settings.priority_class(
            splitjob.spec.priority if splitjob.spec else 0, request.model
        ),
        "imagePullSecrets": [{"name": name} for name in settings.worker_image_pull_secrets],
        **_placement(settings.resources_of(request.model)),
    }
    return pod | {name: value for name, value in optional.items() if value}


def _placement(resources: WorkerResources) -> Json:
    """Return what of a pod says where it may run; what is empty is left out later."""
    claim = {"name": GPU_CLAIM, "resourceClaimTemplateName": resources.gpu_claim}
    return {
        "runtimeClassName": resources.runtime_class,
        "nodeSelector": resources.node_selector,
        "tolerations": resources.tolerations,
        "affinity": resources.affinity,
        "topologySpreadConstraints": resources.topology_spread_constraints,
        "resourceClaims": [claim] if resources.gpu_claim else [],
    }


def _without_null(context: Json) -> Json:
    """Return a security context without what is to be left out, as OpenShift wants users."""
    return {key: value for key, value in context.items() if value is not None}


def _container(splitjob: SplitJob, request: Request, attempt: Attempt, settings: Settings) -> Json:
    return {
        "name": workload.CONTAINER,
        "image": settings.worker_image,
        "imagePullPolicy": settings.worker_image_pull_policy,
        "command": settings.worker_command or list(workload.COMMAND),
        "env": _environment(splitjob, request, attempt, settings),
        "resources": _resources(attempt, settings.resources_of(request.model)),
        "securityContext": _without_null(settings.worker_container_security_context),
        "terminationMessagePath": TERMINATION_MESSAGE,
        "terminationMessagePolicy": "File",
        "volumeMounts": _mounts(request, settings),
    }


def _resources(attempt: Attempt, of_model: WorkerResources) -> Json:
    """All but CPU are limits as well, so that a worker cannot starve its node."""
    memory = str(attempt.memory_bytes) if attempt.memory_bytes else of_model.memory
    limits: Json = {"memory": memory, "ephemeral-storage": of_model.ephemeral_storage}
    if of_model.gpu_count and not of_model.gpu_claim:
        limits[of_model.gpu_resource] = of_model.gpu_count
    requests = {"cpu": of_model.cpu, **limits}
    if of_model.cpu_limit:
        limits = {"cpu": of_model.cpu_limit, **limits}
    claims = {"claims": [{"name": GPU_CLAIM}]} if of_model.gpu_claim else {}
    return {"requests": requests, "limits": limits, **claims}


def _environment(
    splitjob: SplitJob, request: Request, attempt: Attempt, settings: Settings
) -> list[Json]:
    earlier = earlier_seconds(splitjob.status.attempts, attempt.number)
    resources = settings.resources_of(request.model)
    values = {
        workload.ENV_JOB_ID: splitjob.name,
        workload.ENV_JOB_UID: splitjob.uid,
        workload.ENV_ATTEMPT: str(attempt.number),
        workload.ENV_EARLIER_SECONDS: decimal(earlier),
        workload.ENV_REQUEST: request.model_dump_json(by_alias=True, exclude_none=True),
        workload.ENV_SCRATCH_DIR: SCRATCH,
        workload.ENV_SCRATCH_BYTES: str(bytes_of(resources.scratch_size) or ""),
        "TMPDIR": SCRATCH,
        workload.ENV_SECRET_DIR: REQUEST_DIR if request.secret_name else "",
        workload.ENV_MODEL_DIR: _model_dir(settings),
        workload.ENV_MODEL_REGISTRY: _registry_file(settings),
        workload.ENV_TERMINATION_MESSAGE: TERMINATION_MESSAGE,
        workload.ENV_DEVICE: resources.device,
        workload.ENV_PRECISION: settings.worker_precision,
        workload.ENV_GRACE_SECONDS: str(settings.worker_termination_grace_seconds),
        workload.ENV_CHECKPOINT_MIN_SECONDS: str(settings.checkpoint_min_seconds),
        workload.ENV_MAX_AUDIO_SECONDS: str(settings.max_audio_seconds),
        workload.ENV_MAX_LOST_PERCENT: str(settings.max_lost_percent),
        workload.ENV_MAX_SOURCE_BYTES: str(settings.max_source_bytes),
        workload.ENV_ALLOWED_PRIVATE_ADDRESSES: settings.source_allowed_networks,
        "ENVIRONMENT": settings.environment,
        "API_WEBHOOK_URL_ALLOWLIST": settings.api_webhook_url_allowlist,
        "CUDA_VISIBLE_DEVICES": settings.cuda_visible_devices,
    }
    if not request.uploads:
        values |= {
            workload.ENV_STORAGE_PREFIX: settings.storage_prefix,
            "S3_ENDPOINT": settings.s3_endpoint,
            "S3_REGION": settings.s3_region,
            "S3_BUCKET": settings.s3_bucket,
            **settings.demands(),
            **_role(settings),
        }
    plain = [{"name": name, "value": _literal(value)} for name, value in values.items() if value]
    return plain + _secrets(request, settings) + settings.worker_extra_env


def _role(settings: Settings) -> dict[str, str]:
    """Return what tells boto3 to trade the pod's token for keys; the bucket's region is asked."""
    if not settings.worker_aws_role_arn:
        return {}
    return {
        "AWS_ROLE_ARN": settings.worker_aws_role_arn,
        "AWS_WEB_IDENTITY_TOKEN_FILE": f"{AWS_DIR}/token",
    }


def _role_token(request: Request, settings: Settings) -> Json | None:
    """Return the volume with the token for the storage's role; with uploads there is none."""
    if request.uploads or not settings.worker_aws_role_arn:
        return None
    token = {
        "audience": settings.worker_aws_token_audience,
        "expirationSeconds": settings.worker_aws_token_seconds,
        "path": "token",
    }
    return {"name": AWS_VOLUME, "projected": {"sources": [{"serviceAccountToken": token}]}}


def _literal(value: str) -> str:
    """Return a value that Kubernetes hands over as it is: it would replace `$(NAME)` and `$$`."""
    return value.replace("$", "$$")


def _model_dir(settings: Settings) -> str:
    return settings.worker_model_dir or (MODEL_DIR if settings.worker_model_volume else "")


def _registry_file(settings: Settings) -> str:
    return f"{REGISTRY_DIR}/models.yaml" if settings.worker_model_registry_configmap else ""


def _secrets(request: Request, settings: Settings) -> list[Json]:
    """Return the variables from the installation's Secret; with uploads no storage keys."""
    secret = settings.worker_secret_name
    if not secret:
        return []
    wanted = {"DEMUCSSVC_TOKEN": False}
    if not request.uploads:
        wanted |= dict.fromkeys(STORAGE_KEYS, True)
    return [
        {
            "name": variable,
            "valueFrom": {
                "secretKeyRef": {
                    "name": secret,
                    "key": settings.worker_secret_keys.get(variable, variable),
                    "optional": optional,
                }
            },
        }
        for variable, optional in wanted.items()
    ]


def _volumes(request: Request, settings: Settings) -> list[Json]:
    scratch = {"sizeLimit": settings.resources_of(request.model).scratch_size}
    volumes: list[Json] = [{"name": "scratch", "emptyDir": scratch}]
    if request.secret_name:
        secret = {"secretName": request.secret_name, "defaultMode": 0o440}
        volumes.append({"name": "request", "secret": secret})
    if settings.worker_model_volume:
        volumes.append({"name": "models", **settings.worker_model_volume})
    if settings.worker_model_registry_configmap:
        config = {"name": settings.worker_model_registry_configmap}
        volumes.append({"name": "model-registry", "configMap": config})
    if token := _role_token(request, settings):
        volumes.append(token)
    return volumes + settings.worker_extra_volumes


def _mounts(request: Request, settings: Settings) -> list[Json]:
    mounts: list[Json] = [{"name": "scratch", "mountPath": SCRATCH}]
    if request.secret_name:
        mounts.append({"name": "request", "mountPath": REQUEST_DIR, "readOnly": True})
    if settings.worker_model_volume:
        where = _model_dir(settings)
        mounts.append({"name": "models", "mountPath": where, "readOnly": True})
    if settings.worker_model_registry_configmap:
        mounts.append({"name": "model-registry", "mountPath": REGISTRY_DIR, "readOnly": True})
    if _role_token(request, settings):
        mounts.append({"name": AWS_VOLUME, "mountPath": AWS_DIR, "readOnly": True})
    return mounts + settings.worker_extra_volume_mounts
