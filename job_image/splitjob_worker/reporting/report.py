"""The termination message: what the operator reads once the worker is gone."""

import logging
from pathlib import Path

from splitjob.result import WorkerReport

log = logging.getLogger(__name__)


def write(report: WorkerReport, path: Path | None) -> None:
    """Write the report where the kubelet looks for it, over what stood there.

    The file is a mount of the kubelet's, so it is written in place. Not being able to write it is
    logged and no more: the manifest and the exit status still tell.
    """
    if path is None:
        return
    try:
        path.write_bytes(report.encode())
    except (OSError, ValueError) as error:
        log.error("the termination message was not written", extra={"reason": str(error)})  # noqa: TRY400
