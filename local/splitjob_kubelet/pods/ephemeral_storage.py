"""Limits on ephemeral storage, enforced by measuring: a pod that exceeds one is evicted.

Source of the messages and the order of checks: localStorageEviction in kubernetes
`pkg/kubelet/eviction/eviction_manager.go`.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from splitjob.quantity import binary_quantity, bytes_of, parse_quantity
from splitjob_kubelet.node.records import PodFailure, Reason
from splitjob_kubelet.objects import Json, limits_of, main_containers

_BLOCK_BYTES = 512
_STORAGE = "ephemeral-storage"


def has_storage_limits(pod: Json) -> bool:
    """Whether the pod's spec has a limit on ephemeral storage."""
    empty_dirs = any(limit for _, limit in _empty_dir_limits(pod))
    return empty_dirs or any(_STORAGE in limits_of(one) for one in main_containers(pod))


def eviction(pod: Json, volumes: Path, containers: Path) -> PodFailure | None:
    """Return the failure of a pod that must be evicted, or None.

    Args:
        pod: the pod.
        volumes: directory with one directory per volume.
        containers: directory with one directory per container (scratch files and logs).

    Returns:
        The failure, in a kubelet's words.
    """
    for name, limit in _empty_dir_limits(pod):
        if limit and parse_quantity(limit) > 0 and disk_usage(volumes / name) > bytes_of(limit):
            return _evicted(f'Usage of EmptyDir volume "{name}" exceeds the limit "{limit}". ')
    limits = {
        one["name"]: limits_of(one)[_STORAGE]
        for one in main_containers(pod)
        if _STORAGE in limits_of(one)
    }
    if not limits:
        return None
    usage = {one["name"]: disk_usage(containers / one["name"]) for one in main_containers(pod)}
    empty_dirs = sum(disk_usage(volumes / name) for name, _ in _empty_dir_limits(pod))
    total = sum(bytes_of(limit) for limit in limits.values())
    if sum(usage.values()) + empty_dirs > total:
        message = "Pod ephemeral local storage usage exceeds the total limit of containers"
        return _evicted(f"{message} {binary_quantity(total)}. ")
    for name, limit in limits.items():
        if usage[name] > bytes_of(limit):
            return _evicted(
                f'Container {name} exceeded its local ephemeral storage limit "{limit}". '
            )
    return None


def _evicted(message: str) -> PodFailure:
    return PodFailure(reason=Reason.EVICTED, message=message)


def _empty_dir_limits(pod: Json) -> list[tuple[str, str | None]]:
    return [
        (volume["name"], (volume["emptyDir"] or {}).get("sizeLimit"))
        for volume in pod["spec"].get("volumes") or []
        if "emptyDir" in volume
    ]


def disk_usage(directory: Path) -> int:
    """Bytes on disk of the files below a directory; files deleted meanwhile do not count."""
    return sum(_file_sizes(str(directory)))


def _file_sizes(directory: str) -> Iterator[int]:
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                try:
                    yield entry.stat(follow_symlinks=False).st_blocks * _BLOCK_BYTES
                    if entry.is_dir(follow_symlinks=False):
                        yield from _file_sizes(entry.path)
                except OSError:
                    continue
    except OSError:
        return
