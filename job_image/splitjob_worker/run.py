"""Run the job that the environment describes, and say how it ended."""

import errno
import logging
import os
import time
import traceback
from pathlib import Path

from splitjob import jsonlog
from splitjob.errors import ErrorCode, Failure
from splitjob.result import (
    EXIT_BAD_INPUT,
    EXIT_DEFECT,
    EXIT_DONE,
    EXIT_TERMINATED,
    EXIT_TRANSIENT,
    WorkerReport,
)
from splitjob.workload import ENV_TERMINATION_MESSAGE
from splitjob_worker import settings
from splitjob_worker.machine import hide_from_children, yield_idle_cpus
from splitjob_worker.reporting import report
from splitjob_worker.stopping import Stop, Stopped, Superseded

log = logging.getLogger("splitjob_worker")

_DISK_TROUBLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}


def main(stop: Stop, began: float) -> int:
    """Run the job.

    Args:
        stop: told to stop?
        began: `time.monotonic()` at which the process started.

    Returns:
        The exit status (`splitjob.result`).
    """
    hide_from_children()
    yield_idle_cpus()
    secrets = [os.environ.get(name) for name in ("DEMUCSSVC_TOKEN", "S3_SECRET_ACCESS_KEY")]
    jsonlog.setup("worker", level=os.environ.get("LOG_LEVEL") or "INFO", secrets=secrets)
    path = os.environ.get(ENV_TERMINATION_MESSAGE)
    finished = _run(stop, began)
    if not finished.processing_time_ms:
        finished.processing_time_ms = round((time.monotonic() - began) * 1000)
    report.write(finished, Path(path) if path else None)
    return _exit_status(finished)


def _run(stop: Stop, began: float) -> WorkerReport:
    """Run the job and turn whatever becomes of it into a report."""
    try:
        loaded = settings.load()
    except Failure as failure:
        return _failed(failure)
    request = loaded.request
    with jsonlog.log_context(
        job_id=loaded.job_id,
        version_id=request.version_id,
        correlation_id=request.correlation_id,
    ):
        try:
            from splitjob_worker.job import Job  # noqa: PLC0415 - settings are checked first

            finished = Job(loaded, stop, began).run()
        except Failure as failure:
            return _failed(failure)
        except Superseded:
            log.warning("the job is settled already: nothing more is written")
            return WorkerReport(
                outcome="terminated", message="the job was settled by somebody else meanwhile"
            )
        except Stopped:
            log.warning("told to stop")
            return WorkerReport(outcome="terminated", message="told to stop")
        except MemoryError:
            return _failed(Failure(ErrorCode.WORKER_OOM, "the worker's memory does not suffice"))
        except Exception as error:  # noqa: BLE001 - the last line: every end must be told
            return _failed(_failure_of(error))
        log.info("completed", extra={"timings": finished.timings})
        return finished


def _failure_of(error: Exception) -> Failure:
    """Return what an exception that nobody foresaw means; its text may hold secrets, so not it."""
    if getattr(error, "errno", None) in _DISK_TROUBLE:
        return Failure(
            ErrorCode.WORKER_STORAGE,
            f"the scratch disk cannot be written: {os.strerror(error.errno)}",  # type: ignore[attr-defined]
        )
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "splitjob" in frame.filename] or list(frames)
    where = "; ".join(f"{Path(one.filename).name}:{one.lineno}" for one in ours[-1:])
    log.error(
        "internal error",
        extra={"frames": [f"{Path(one.filename).name}:{one.lineno}" for one in frames]},
    )
    return Failure(
        ErrorCode.INTERNAL_ERROR, f"a defect of this service: {type(error).__name__} at {where}"
    )


def _failed(failure: Failure) -> WorkerReport:
    log.error(failure.message, extra={"code": failure.code.value})
    return WorkerReport(
        outcome="failed",
        code=failure.code,
        message=jsonlog.redact(failure.message),
        retryable=failure.retryable,
    )


def _exit_status(finished: WorkerReport) -> int:
    if finished.outcome == "completed":
        return EXIT_DONE
    if finished.outcome == "terminated":
        return EXIT_TERMINATED
    if finished.code is ErrorCode.INTERNAL_ERROR:
        return EXIT_DEFECT
    return EXIT_TRANSIENT if finished.retryable else EXIT_BAD_INPUT
