"""A worker that does what the request's metadata tells it to: how the operator meets every end.

`script` is a list of steps, `;` between them; `script2` is that of all attempts but the first.
It speaks as the real worker does: termination message, manifest, progress lines, SIGTERM.
"""

import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from splitjob import workload
from splitjob.intent import intent_of
from splitjob.result import (
    EXIT_BAD_INPUT,
    EXIT_DONE,
    EXIT_TERMINATED,
    Manifest,
    ProgressLine,
    StemReport,
    WorkerReport,
    storage_prefix,
)
from splitjob.spec import Request
from splitjob.usage import usage_when_completed

REQUEST = Request.model_validate_json(os.environ[workload.ENV_REQUEST])
ATTEMPT = int(os.environ[workload.ENV_ATTEMPT])


def say(report: WorkerReport) -> None:
    Path(os.environ[workload.ENV_TERMINATION_MESSAGE]).write_bytes(report.encode())


def stop(*_: object) -> NoReturn:
    say(WorkerReport(outcome="terminated"))
    os._exit(EXIT_TERMINATED)


def report(*, delivered: bool = False) -> WorkerReport:
    return WorkerReport(
        outcome="completed",
        stems=[
            StemReport(name=n, sha256="ab" * 32, size=10, frames=44100, peak=0.5, gain=1.0)
            for n in ("drums", "vocals")
        ],
        sample_rate=44100,
        device="cpu",
        processing_time_ms=1500,
        webhook_delivered=delivered,
    )


def write_manifest() -> None:
    # What speaks to S3 takes longer to import than all the rest, and most scripts write nothing.
    from splitjob_worker.cancellation import SupersededError  # noqa: PLC0415
    from splitjob_worker.upload.targets import Bucket, open_storage  # noqa: PLC0415

    job_id = os.environ[workload.ENV_JOB_ID]
    prefix = storage_prefix(
        os.environ.get(workload.ENV_STORAGE_PREFIX, ""), REQUEST.version_id, job_id
    )
    earlier = float(os.environ[workload.ENV_EARLIER_SECONDS])
    took = usage_when_completed(ATTEMPT, earlier, report().processing_time_ms)
    manifest = Manifest(
        job_id=job_id,
        job_uid=os.environ[workload.ENV_JOB_UID],
        submission_id=REQUEST.submission_id,
        version_id=REQUEST.version_id,
        intent=intent_of(REQUEST),
        attempt=ATTEMPT,
        gpu_seconds=took.gpu_seconds,
        status="completed",
        result=report().result(REQUEST, os.environ["S3_BUCKET"], prefix),
    )
    with suppress(SupersededError):
        bucket = Bucket(open_storage(), prefix, manifest.job_uid, REQUEST.submission_id)
        bucket.write_manifest_if_first(manifest)


def step(name: str, *given: str) -> None:  # noqa: C901 - one case a step
    match name:
        case "sleep":
            time.sleep(float(given[0]))
        case "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        case "progress":
            memory = int(given[1]) * 2**20 if given[1:] else None
            line = ProgressLine(stage="separate", percent=int(given[0]), memory=memory)
            print(line.encode(), flush=True)
        case "manifest":
            write_manifest()
        case "report" | "told":
            say(report(delivered=name == "told"))
            sys.exit(EXIT_DONE)
        case "complete":
            step("manifest")
            step("report")
        case "fail":
            retryable = len(given) > 1
            said = {"outcome": "failed", "code": given[0], "message": f"It is {given[0]}."}
            say(WorkerReport.model_validate({**said, "retryable": retryable}))
            sys.exit(EXIT_BAD_INPUT)
        case "exit":
            os._exit(int(given[0]))
        case "eat":
            hoard = bytearray(int(given[0]) * 2**20)
            hoard[::4096] = b"x" * len(hoard[::4096])
            time.sleep(60)
        case "fill":
            with (Path(os.environ[workload.ENV_SCRATCH_DIR]) / "file").open("wb") as file:
                file.write(b"x" * int(given[0]) * 2**20)
            time.sleep(60)
        case _:
            raise ValueError(name)


def main() -> None:
    signal.signal(signal.SIGTERM, stop)
    told: dict[str, Any] = json.loads(os.environ[workload.ENV_REQUEST])["metadata"]
    script = told.get("script2", told["script"]) if ATTEMPT > 1 else told["script"]
    for line in script.split(";"):
        step(*line.split())


if __name__ == "__main__":
    main()
