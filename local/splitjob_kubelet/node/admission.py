"""Admission of pods by free resources, and the allocation of GPUs."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from splitjob.quantity import parse_quantity
from splitjob_kubelet.node.records import PodFailure
from splitjob_kubelet.objects import (
    Json,
    init_containers,
    is_sidecar,
    limits_of,
    main_containers,
    requests_of,
)

GPU_RESOURCE = "nvidia.com/gpu"


def pod_requests(pod: Json) -> dict[str, Decimal]:
    """A pod's requests as the scheduler counts them."""
    total: dict[str, Decimal] = {"pods": Decimal(1)}
    sidecars = [one for one in init_containers(pod) if is_sidecar(one)]
    for container in [*main_containers(pod), *sidecars]:
        for name, amount in requests_of(container).items():
            total[name] = total.get(name, Decimal(0)) + parse_quantity(amount)
    for container in init_containers(pod):
        for name, amount in requests_of(container).items():
            total[name] = max(total.get(name, Decimal(0)), parse_quantity(amount))
    return total


def admission_failure(
    pod: Json, others: Iterable[Json], allocatable: Mapping[str, str]
) -> PodFailure | None:
    """Return why a pod does not fit on the node, in the kubelet's words.

    Args:
        pod: the pod that was bound to the node.
        others: the pods that already use resources of the node.
        allocatable: resource -> quantity of the whole node.

    Returns:
        The failure of the pod, or None if it fits.
    """
    used: dict[str, Decimal] = {}
    for other in others:
        for name, amount in pod_requests(other).items():
            used[name] = used.get(name, Decimal(0)) + amount
    for name, asked in pod_requests(pod).items():
        capacity = parse_quantity(allocatable.get(name, "0"))
        taken = used.get(name, Decimal(0))
        if asked > 0 and asked + taken > capacity:
            return PodFailure(
                reason=f"OutOf{name}",
                message=f"Node didn't have enough resource: {name}, requested: {asked:f}, "
                f"used: {taken:f}, capacity: {capacity:f}",
            )
    return None


class GpuAllocator:
    """The GPUs of this machine by index, each allocated to one pod at a time."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._holders: dict[int, str] = {}

    def allocate(self, uid: str, pod: Json) -> dict[str, list[int]]:
        """Allocate GPUs to each container; init containers share those of the main ones.

        Returns:
            container name -> indices of its GPUs.
        """
        free = [index for index in range(self._count) if index not in self._holders]
        asked = {one["name"]: _gpus_asked(one) for one in main_containers(pod)}
        shares: dict[str, list[int]] = {}
        for name, count in asked.items():
            shares[name], free = free[:count], free[count:]
        allocated = [index for share in shares.values() for index in share]
        for one in init_containers(pod):
            shares[one["name"]] = [*allocated, *free][: _gpus_asked(one)]
            allocated = [
                *allocated,
                *(index for index in shares[one["name"]] if index not in allocated),
            ]
        self._holders |= dict.fromkeys(allocated, uid)
        return shares

    def release(self, uid: str) -> None:
        """Release all GPUs of a pod."""
        self._holders = {index: who for index, who in self._holders.items() if who != uid}


def _gpus_asked(container: Json) -> int:
    return int(parse_quantity(limits_of(container).get(GPU_RESOURCE, "0")))


def gpu_variables(share: list[int], node_has_gpus: bool) -> dict[str, str]:
    """The variables that limit a process to its GPUs, as a container runtime would."""
    if not node_has_gpus:
        return {}
    indices = ",".join(map(str, share))
    return {"CUDA_VISIBLE_DEVICES": indices, "NVIDIA_VISIBLE_DEVICES": indices or "void"}
