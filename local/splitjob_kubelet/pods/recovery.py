"""Recovering the records of pods after a crash of the node."""

from datetime import UTC, datetime

from splitjob_kubelet.node.records import PodRecord, Reason, Terminated

_EXIT_CODE = 255
_MESSAGE = "the node was restarted while the container ran; its process is gone"


def recovered(record: PodRecord) -> PodRecord:
    """Update a stored record: what was running then is not running now.

    Returns:
        The record; containers that ran are terminated as after a reboot (255, Unknown).
    """
    for entry in record.containers.values():
        running = entry.running
        if running is not None:
            entry.end(
                Terminated(
                    exit_code=_EXIT_CODE,
                    reason=Reason.UNKNOWN,
                    message=_MESSAGE,
                    started_at=running.started_at,
                    finished_at=datetime.now(UTC),
                    container_id=running.container_id,
                )
            )
    record.volumes_ready = False
    record.pod_ip = None
    return record
