"""The termination message, which the operator reads once the worker is gone."""

import logging
from pathlib import Path

from splitjob.result import WorkerReport

log = logging.getLogger(__name__)


def write(report: WorkerReport, path: Path | None) -> None:
    """Write the report where the kubelet looks for it, over what is there.

    The file is a mount of the kubelet's, so it is written in place. A failure to write it is only
    logged, since the operator learns the outcome from the manifest and the exit status too.
    """
    if path is None:
        return
    try:
        path.write_bytes(report.encode())
    except (OSError, ValueError) as error:
        reason = str(error)
    else:
        return
    log.error("the termination message was not written", extra={"reason": reason})
