"""Taking up the pods of a node process that died."""

import contextlib
from datetime import UTC, datetime

import psutil

from splitjob_local.node.records import PodRecord, Reason, Running, Terminated

_EXIT_CODE = 255
_MESSAGE = "the node was restarted while the container ran; its process is gone"


def recovered(record: PodRecord) -> PodRecord:
    """Bring a stored record up to date: whatever was running then is not running now.

    Where the system did not end the processes together with the node, that is done here.

    Returns:
        The record, containers that ran now terminated as after a reboot (255, Unknown).
    """
    for entry in record.containers.values():
        running = entry.running
        if running is not None:
            _end_left_over(running)
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


def _end_left_over(running: Running) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(running.pid)
        if process.create_time() == running.pid_created:
            for member in [*process.children(recursive=True), process]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    member.kill()
