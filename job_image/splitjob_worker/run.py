"""Run the job that the environment describes, and report how it ended."""

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
from splitjob_worker.cancellation import Cancelled, CancelToken, SupersededError
from splitjob_worker.cgroups import memory_use
from splitjob_worker.job import Job
from splitjob_worker.machine import (
    hide_from_children,
    limit_blas_threads,
    limit_openmp_spinning,
)
from splitjob_worker.reporting import report
from splitjob_worker.reporting.tracing import RunTrace
from splitjob_worker.settings import WorkerSettings

log = logging.getLogger("splitjob_worker")

_DISK_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}


def main(cancel: CancelToken, began: float) -> int:
    """Run the job and write its report.

    Args:
        cancel: stops the job.
        began: `time.monotonic()` at which the process started.

    Returns:
        The exit status (`splitjob.result`).
    """
    hide_from_children()
    limit_openmp_spinning()
    limit_blas_threads()
    secrets = [os.environ.get(name) for name in ("DEMUCSSVC_TOKEN", "S3_SECRET_ACCESS_KEY")]
    jsonlog.setup("worker", level=os.environ.get("LOG_LEVEL") or "INFO", secrets=secrets)
    path = os.environ.get(ENV_TERMINATION_MESSAGE)
    trace = RunTrace(os.environ)
    finished = _run(cancel, began, trace)
    if not finished.processing_time_ms:
        finished.processing_time_ms = round((time.monotonic() - began) * 1000)
    report.write(finished, Path(path) if path else None)
    trace.tell(finished)
    return exit_status_of(finished)


def exit_status_of(finished: WorkerReport) -> int:
    """Return the exit status that stands for a report (`splitjob.result`)."""
    if finished.outcome == "completed":
        return EXIT_DONE
    if finished.outcome == "terminated":
        return EXIT_TERMINATED
    if finished.code is ErrorCode.INTERNAL_ERROR:
        return EXIT_DEFECT
    return EXIT_TRANSIENT if finished.retryable else EXIT_BAD_INPUT


def failure_of(error: Exception) -> Failure:
    """Return the failure that an unforeseen exception means, without its text.

    The text may hold secrets, so only the kind of the exception and its place are told.
    """
    number = getattr(error, "errno", None)  # FFmpeg's errors have one too
    if number in _DISK_ERRNOS:
        return Failure(
            ErrorCode.WORKER_STORAGE, f"the scratch disk cannot be written: {os.strerror(number)}"
        )
    frames = traceback.extract_tb(error.__traceback__)
    places = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames]
    own = [place for frame, place in zip(frames, places, strict=True) if _is_own(frame.filename)]
    log.error("internal error", extra={"frames": places})
    where = "".join((own or places)[-1:])
    return Failure(
        ErrorCode.INTERNAL_ERROR, f"a defect of this service: {type(error).__name__} at {where}"
    )


def _run(cancel: CancelToken, began: float, trace: RunTrace) -> WorkerReport:
    """Run the job and turn its end, whatever it is, into a report."""
    try:
        loaded = settings.load()
    except Failure as failure:
        return _failed(failure)
    with jsonlog.log_context(
        job_id=loaded.job_id,
        version_id=loaded.request.version_id,
        correlation_id=loaded.request.correlation_id,
    ):
        return _run_job(loaded, cancel, began, trace)


def _run_job(
    loaded: WorkerSettings, cancel: CancelToken, began: float, trace: RunTrace
) -> WorkerReport:
    try:
        finished = Job(loaded, cancel, began, trace).run()
    except Failure as failure:
        return _failed(failure)
    except SupersededError:
        log.warning("the job is settled already: nothing more is written")
        message = "the job was settled by somebody else meanwhile"
        return WorkerReport(outcome="terminated", message=message)
    except Cancelled:
        log.warning("told to stop")
        return WorkerReport(outcome="terminated", message="told to stop")
    except MemoryError:
        return _failed(Failure(ErrorCode.WORKER_OOM, "the worker's memory does not suffice"))
    except Exception as error:  # noqa: BLE001 - every end of a job has to be reported
        return _failed(failure_of(error))
    log.info("completed", extra={"timings": finished.timings})
    return finished


def _failed(failure: Failure) -> WorkerReport:
    message = failure.message
    if failure.code is ErrorCode.WORKER_OOM and (memory := memory_use()):
        message = f"{message} ({memory})"
    log.error(message, extra={"code": failure.code.value})
    return WorkerReport(
        outcome="failed",
        code=failure.code,
        message=jsonlog.redact(message),
        retryable=failure.retryable,
    )


def _is_own(filename: str) -> bool:
    return "splitjob" in filename
