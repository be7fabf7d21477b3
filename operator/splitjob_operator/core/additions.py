"""What an installation adds to the workers' pods, checked against what the pods have anyway.

An addition never replaces anything of ours: it is refused when the operator starts, so that it is
seen then and not in a pod that came up with another queue's labels or another device.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from splitjob import workload
from splitjob.resource import GROUP
from splitjob.storage_settings import BucketDemands

__all__ = ["OWN_PATHS", "OWN_VARIABLES", "OWN_VOLUMES", "Additions", "refuse_clashes"]

Json = Mapping[str, Any]

STORAGE_KEYS = ("S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY")
SECRET_VARIABLES = ("DEMUCSSVC_TOKEN", *STORAGE_KEYS)
OWN_VARIABLES = frozenset(
    {
        *(value for name, value in vars(workload).items() if name.startswith("ENV_")),
        *SECRET_VARIABLES,
        "TMPDIR",
        "ENVIRONMENT",
        "API_WEBHOOK_URL_ALLOWLIST",
        "CUDA_VISIBLE_DEVICES",
        "S3_ENDPOINT",
        "S3_REGION",
        "S3_BUCKET",
        *(name.upper() for name in BucketDemands.model_fields),
    }
)
ROLE_VARIABLES = frozenset({"AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"})
OWN_VOLUMES = frozenset({"scratch", "request", "models", "model-registry", "aws-token"})
SCRATCH = "/scratch"
REQUEST_DIR = "/run/track-tree/request"
REGISTRY_DIR = "/run/track-tree/models"
AWS_DIR = "/var/run/secrets/track-tree-audio/aws"
OWN_PATHS = frozenset({SCRATCH, REQUEST_DIR, REGISTRY_DIR, AWS_DIR})
OWN_PARTS = ("name", "instance", "version", "component", "managed-by")
OWN_LABELS = frozenset(
    {
        *(f"app.kubernetes.io/{part}" for part in OWN_PARTS),
        "helm.sh/chart",
        "job-name",
        "controller-uid",
        "pod-template-hash",
    }
)
OWN_PREFIXES = (f"{GROUP}/", "batch.kubernetes.io/")


@dataclass(frozen=True)
class Additions:
    """Labels, `env`, `volumes` and `volumeMounts`, as in a pod.

    Attributes:
        with_role: whether the pods get the variables of a role of AWS anyway.
    """

    labels: Mapping[str, str]
    environment: Sequence[Json]
    volumes: Sequence[Json]
    mounts: Sequence[Json]
    with_role: bool = False


def refuse_clashes(added: Additions) -> None:
    """See that nothing added stands in the way of what a worker's pod has anyway.

    Raises:
        ValueError: something does; the message names it and what to do.
    """
    for label in added.labels:
        if label in OWN_LABELS or label.startswith(OWN_PREFIXES):
            raise ValueError(
                f"WORKER_POD_LABELS has {label}, a label by which workers are found: remove it"
            )
    variables = _names("WORKER_EXTRA_ENV", added.environment)
    own = OWN_VARIABLES | ROLE_VARIABLES if added.with_role else OWN_VARIABLES
    _refuse_own("WORKER_EXTRA_ENV", variables, own, "a variable")
    volumes = _names("WORKER_EXTRA_VOLUMES", added.volumes)
    _refuse_own("WORKER_EXTRA_VOLUMES", volumes, OWN_VOLUMES, "a volume")
    for volume in added.volumes:
        _refuse_api_token(volume)
    for mount in added.mounts:
        if mount.get("name") not in volumes:
            raise ValueError(
                f"WORKER_EXTRA_VOLUME_MOUNTS mounts {mount.get('name')}, which is not in "
                "WORKER_EXTRA_VOLUMES: add it there, or remove the mount"
            )
    paths = [str(mount.get("mountPath", "")).rstrip("/") for mount in added.mounts]
    _refuse_own("WORKER_EXTRA_VOLUME_MOUNTS", paths, OWN_PATHS, "a path")


def _names(setting: str, entries: Sequence[Json]) -> list[str]:
    names = [str(entry.get("name", "")) for entry in entries]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"{setting} has {min(twice)} more than once: remove one")
    return names


def _refuse_own(setting: str, names: Iterable[str], own: frozenset[str], what: str) -> None:
    if clashes := own & set(names):
        raise ValueError(
            f"{setting} has {min(clashes)}, {what} that the operator sets itself: remove it"
        )


def _refuse_api_token(volume: Json) -> None:
    """Refuse a token for the API server: workers open files from strangers."""
    for source in (volume.get("projected") or {}).get("sources") or []:
        token = source.get("serviceAccountToken")
        if token is not None and not token.get("audience"):
            raise ValueError(
                f"WORKER_EXTRA_VOLUMES has {volume.get('name')} with a token for the API server, "
                "which workers must not have: give it the audience of whom it is for"
            )
