"""PodStatus from the record of a pod: pure functions with the kubelet's rules.

Source: kubernetes `pkg/kubelet/kubelet_pods.go` (getPhase, generateAPIPodStatus),
`pkg/kubelet/status/generate.go` and `status_manager.go` (TerminatePod).
"""

from collections.abc import Iterable
from datetime import datetime

from splitjob_kubelet.node.records import (
    ContainerRecord,
    PodRecord,
    Reason,
    Running,
    Terminated,
    Waiting,
)
from splitjob_kubelet.objects import (
    Json,
    init_containers,
    is_sidecar,
    main_containers,
    timestamp,
)

_EPOCH = "1970-01-01T00:00:00Z"


def pod_status(
    pod: Json, record: PodRecord, host_ip: str, earlier: Iterable[Json], now: datetime
) -> Json:
    """The status a kubelet would report.

    Args:
        pod: the pod as last seen.
        record: the node's record of it.
        host_ip: address of the node.
        earlier: the conditions reported before.
        now: the transition time of whatever changes.

    Returns:
        A PodStatus for a strategic merge patch: fields to delete are None.
    """
    phase = pod_phase(pod, record)
    failure = record.failure if record.finished else None
    status: Json = {
        "phase": phase,
        "hostIP": host_ip,
        "hostIPs": [{"ip": host_ip}],
        "startTime": timestamp(record.start_time),
        "reason": failure.reason if failure else None,
        "message": failure.message if failure else None,
        "conditions": pod_conditions(pod, record, phase, earlier, now),
        "containerStatuses": _container_statuses(main_containers(pod), pod, record, now),
    }
    if record.pod_ip:
        # The list is merged by address; after a restart of the node it must replace the old one.
        addresses = [{"ip": record.pod_ip}, {"$patch": "replace"}]
        status |= {"podIP": record.pod_ip, "podIPs": addresses}
    if init_containers(pod):
        statuses = _container_statuses(init_containers(pod), pod, record, now)
        status["initContainerStatuses"] = statuses
    return status


def pod_phase(pod: Json, record: PodRecord) -> str:
    """The phase: Pending, Running, Succeeded or Failed.

    A pod whose containers have ended stays Running until the node has finished it: as with a
    kubelet, a final phase guarantees that no process is left.
    """
    if record.finished:
        return "Failed" if record.failure else _final_phase(pod, record)
    if not initialized(pod, record):
        return "Pending"
    mains = _records(main_containers(pod), record)
    return "Running" if all(entry.was_started for entry in mains) else "Pending"


def _final_phase(pod: Json, record: PodRecord) -> str:
    if not initialized(pod, record):
        return "Failed"
    exits = [entry.last_exit for entry in _records(main_containers(pod), record)]
    succeeded = all(ending is not None and ending.exit_code == 0 for ending in exits)
    return "Succeeded" if succeeded else "Failed"


def initialized(pod: Json, record: PodRecord) -> bool:
    """Whether every init container has completed, or started if it is a sidecar."""
    return not _not_initialized(pod, record)


def init_container_done(container: Json, entry: ContainerRecord) -> bool:
    """Whether the init container after this one may start."""
    if is_sidecar(container):
        return entry.started
    return entry.terminated is not None and entry.terminated.exit_code == 0


def _not_initialized(pod: Json, record: PodRecord) -> list[str]:
    return [
        container["name"]
        for container in init_containers(pod)
        if not init_container_done(container, _record(container, record))
        and not (is_sidecar(container) and _record(container, record).was_started)
    ]


def pod_conditions(
    pod: Json, record: PodRecord, phase: str, earlier: Iterable[Json], now: datetime
) -> list[Json]:
    """The five conditions a kubelet owns; lastTransitionTime moves only with the status."""
    missing = _not_initialized(pod, record)
    unready = [
        container["name"]
        for container in _counted_for_readiness(pod)
        if not _record(container, record).ready
    ]
    unready_message = f"containers with unready status: [{' '.join(unready)}]"
    final = {"Succeeded": "PodCompleted", "Failed": "PodFailed"}.get(phase)
    if final:
        ready = contained = _condition("Ready", ok=False, reason=final)
    else:
        contained = _condition("Ready", not unready, "ContainersNotReady", unready_message)
        gates = _closed_gates(pod)
        ready = contained
        if not unready and gates:
            ready = _condition("Ready", ok=False, reason="ReadinessGatesNotReady", message=gates)
    conditions = [
        _condition("PodReadyToStartContainers", record.volumes_ready and not record.finished),
        _initialized_condition(missing, phase),
        ready,
        contained | {"type": "ContainersReady"},
        _condition("PodScheduled", ok=True),
    ]
    known = {entry["type"]: entry for entry in earlier}
    generation = pod["metadata"].get("generation")
    return [
        entry
        | {"observedGeneration": generation}
        | {"lastTransitionTime": _transition(entry, known.get(entry["type"]), now)}
        for entry in conditions
    ]


def _initialized_condition(missing: list[str], phase: str) -> Json:
    if phase == "Succeeded":
        return _condition("Initialized", ok=True) | {"reason": "PodCompleted"}
    message = f"containers with incomplete status: [{' '.join(missing)}]"
    return _condition("Initialized", not missing, "ContainersNotInitialized", message)


def _condition(kind: str, ok: bool, reason: str | None = None, message: str | None = None) -> Json:
    return {
        "type": kind,
        "status": "True" if ok else "False",
        "reason": None if ok else reason,
        "message": None if ok else message,
    }


def _transition(condition: Json, earlier: Json | None, now: datetime) -> str:
    if earlier and earlier["status"] == condition["status"] and earlier.get("lastTransitionTime"):
        return str(earlier["lastTransitionTime"])
    return timestamp(now)


def _counted_for_readiness(pod: Json) -> list[Json]:
    return [*filter(is_sidecar, init_containers(pod)), *main_containers(pod)]


def _closed_gates(pod: Json) -> str | None:
    seen = {entry["type"]: entry for entry in pod.get("status", {}).get("conditions") or []}
    closed = [
        gate["conditionType"]
        for gate in pod["spec"].get("readinessGates") or []
        if seen.get(gate["conditionType"], {}).get("status") != "True"
    ]
    return (
        "\n".join(f'the status of pod readiness gate "{g}" is not "True"' for g in closed) or None
    )


def _records(containers: Iterable[Json], record: PodRecord) -> list[ContainerRecord]:
    return [_record(container, record) for container in containers]


def _record(container: Json, record: PodRecord) -> ContainerRecord:
    name = container["name"]
    return record.containers.get(name) or ContainerRecord(name=name)


def _container_statuses(
    containers: list[Json], pod: Json, record: PodRecord, now: datetime
) -> list[Json]:
    return [container_status(container, pod, record, now) for container in containers]


def container_status(container: Json, pod: Json, record: PodRecord, now: datetime) -> Json:
    """One entry of containerStatuses or initContainerStatuses."""
    entry = _record(container, record)
    state = _reported_state(container, entry, pod, record, now)
    last = entry.last if state is not entry.last else None
    running = isinstance(state, Running)
    current = state if not isinstance(state, Waiting) else last
    status: Json = {
        "name": entry.name,
        "image": container["image"],
        "imageID": container["image"] if entry.was_started else "",
        "ready": (running and entry.ready) or _finished_init(container, state, pod),
        "started": entry.started and running,
        "restartCount": entry.restarts,
        "state": _state(state),
        "lastState": {"terminated": _terminated(last)} if last else {},
    }
    if isinstance(current, Running | Terminated) and current.container_id:
        status["containerID"] = current.container_id
    return status


def _finished_init(container: Json, state: Waiting | Running | Terminated, pod: Json) -> bool:
    is_init = container in init_containers(pod) and not is_sidecar(container)
    return is_init and isinstance(state, Terminated) and state.exit_code == 0


def _reported_state(
    container: Json, entry: ContainerRecord, pod: Json, record: PodRecord, now: datetime
) -> Waiting | Running | Terminated:
    if not isinstance(entry.state, Waiting):
        return entry.state
    if not initialized(pod, record):
        is_main = container in main_containers(pod)
        return Waiting(reason=Reason.POD_INITIALIZING) if is_main else entry.state
    if not record.finished:
        return entry.state
    return entry.last or Terminated(
        exit_code=137,
        reason=Reason.CONTAINER_STATUS_UNKNOWN,
        message="The container could not be located when the pod was terminated",
        finished_at=now,
    )


def _state(state: Waiting | Running | Terminated) -> Json:
    if isinstance(state, Waiting):
        waiting = {"reason": state.reason}
        return {"waiting": waiting | ({"message": state.message} if state.message else {})}
    if isinstance(state, Running):
        return {"running": {"startedAt": timestamp(state.started_at)}}
    return {"terminated": _terminated(state)}


def _terminated(ending: Terminated) -> Json:
    entry: Json = {
        "exitCode": ending.exit_code,
        "reason": ending.reason,
        "startedAt": timestamp(ending.started_at) if ending.started_at else _EPOCH,
        "finishedAt": timestamp(ending.finished_at),
    }
    if ending.message:
        entry["message"] = ending.message
    if ending.container_id:
        entry["containerID"] = ending.container_id
    return entry
