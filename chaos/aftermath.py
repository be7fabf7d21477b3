"""What there is after a storm, read once: all that the invariants are about."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from chaos.cluster import StormyCluster
from chaos.load import Load, Song
from chaos.receiver import Heard, Receiver
from chaos.songs import STORED_KEY
from splitjob.resource import LABEL_SPLITJOB, SECRET_TYPE
from splitjob_client import QueueStatus
from splitjob_io.storage import S3Service

Json = dict[str, Any]

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Aftermath:
    """What there is.

    Attributes:
        songs: that were accepted, by their jobs.
        faults: that the storm had, by kind.
        splitjobs: those that are there, by name.
        heard: by the receiver, by job.
        token: by which webhooks are signed.
        keys: of the bucket, with sizes in bytes.
        manifests: of the bucket, by key.
        checksums: of the stems in the bucket, `sha256:...` by key.
        totals: as the API gives them.
        left: what ought to be gone, in words, and the job that it belongs to; blank: not known.
        broken: answers of the API that it must never give.
    """

    songs: Mapping[str, Song]
    faults: Mapping[str, int]
    splitjobs: Mapping[str, Json]
    heard: Mapping[str, Sequence[Heard]]
    token: str
    keys: Mapping[str, int]
    manifests: Mapping[str, Json]
    checksums: Mapping[str, str]
    totals: QueueStatus
    left: Sequence[tuple[str, str]]
    broken: Sequence[str]


def look(
    cluster: StormyCluster, load: Load, receiver: Receiver, faults: Mapping[str, int]
) -> Aftermath:
    """Read all of it.

    Args:
        cluster: at rest.
        load: that was put on it.
        receiver: of the webhooks.
        faults: that the storm had, by kind.

    Raises:
        ClusterError, ClientError, StorageError: something of the cluster does not answer.
    """
    storage = cluster.s3.service()
    jobs = cluster.objects.get("splitjobs", namespace=cluster.namespace)["items"]
    keys = {one["key"]: one["size"] for one in storage.list_objects()}
    keys.pop(STORED_KEY, None)
    heard: dict[str, list[Heard]] = {}
    for one in receiver.heard:
        heard.setdefault(one.body["jobId"], []).append(one)
    splitjobs = {job["metadata"]["name"]: job for job in jobs}
    return Aftermath(
        songs=load.accepted,
        faults=faults,
        splitjobs=splitjobs,
        heard=heard,
        token=cluster.service.token,
        keys=keys,
        manifests=_manifests(storage, keys),
        checksums=_checksums(storage, keys),
        totals=load.call(lambda client: client.queue_status()),
        left=[*_objects_left(cluster, splitjobs), *_files_left(cluster), *_uploads_left(storage)],
        broken=load.broken,
    )


def _manifests(storage: S3Service, keys: Mapping[str, int]) -> dict[str, Json]:
    found = {}
    for key in keys:
        if key.endswith(f"/{MANIFEST}"):
            with suppress(ValueError):  # not JSON: the check of it says so
                found[key] = json.loads(storage.get_object(key))
    return found


def _checksums(storage: S3Service, keys: Mapping[str, int]) -> dict[str, str]:

    return {
        key: f"sha256:{hashlib.sha256(storage.get_object(key)).hexdigest()}"
        for key in keys
        if key.endswith(".wav")
    }


def _objects_left(cluster: StormyCluster, splitjobs: Mapping[str, Json]) -> list[tuple[str, str]]:
    """Return the Jobs and pods of workers, and the Secrets of requests that no SplitJob owns."""
    space = {"namespace": cluster.namespace}
    workers = cluster.objects.get("jobs,pods", **space, selector=LABEL_SPLITJOB)["items"]
    left = [
        (f"{one['kind']} {one['metadata']['name']}", one["metadata"]["labels"][LABEL_SPLITJOB])
        for one in workers
    ]
    uids = {job["metadata"]["uid"] for job in splitjobs.values()}
    for secret in cluster.objects.get("secrets", **space)["items"]:
        owners = secret["metadata"].get("ownerReferences", [])
        owned = any(owner["uid"] in uids for owner in owners)
        if secret["type"] == SECRET_TYPE and not owned:
            left.append(_told_of(secret["metadata"]))
    return left


def _told_of(secret: Json) -> tuple[str, str]:
    """Return what is to be said of a Secret that nobody owns, and whose it was by its name."""
    name, owners = secret["name"], [one["uid"] for one in secret.get("ownerReferences", [])]
    owned_by = f"owned by {owners}, which are gone" if owners else "without an owner"
    text = f"Secret {name}, made {secret['creationTimestamp']}, {owned_by}"
    return text, name.rpartition("-")[0]


def _files_left(cluster: StormyCluster) -> list[tuple[str, str]]:
    """Return the folders of the node whose pods are gone: their scratch disks."""
    pods = cluster.objects.get("pods")["items"]
    uids = {pod["metadata"]["uid"] for pod in pods}
    folders = [one for one in cluster.pods_root.iterdir() if one.is_dir()]
    return [(f"scratch files of pod {one.name}", "") for one in folders if one.name not in uids]


def _uploads_left(storage: S3Service) -> list[tuple[str, str]]:
    found = storage.client.list_multipart_uploads(Bucket=storage.bucket).get("Uploads", [])
    return [(f"multipart upload of {one['Key']}", "") for one in found]
