"""Workers as processes, for their tests."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tests.support import fork_server
from tests.support.fork_server import Forked
from tests.support.waiting import patience
from tests.support.web import Web

from splitjob.errors import ErrorCode
from splitjob.models import ModelRecord
from splitjob.result import WorkerReport
from splitjob_local.cluster import s3server

TOKEN = "a-token-of-the-tests"
# What a request asks for where a test is about something else.
WANTED = {"stems": ["vocals"], "remainder": True}


@dataclass(frozen=True)
class Models:
    """A folder of weights, and the registry that describes them."""

    folder: Path
    registry: Path
    record: ModelRecord


@dataclass
class Run:
    """A worker's life: how it ended and what it said."""

    status: int
    report: WorkerReport | None
    lines: list[dict[str, Any]]
    log: str
    scratch: Path
    job_id: str
    job_uid: str


@dataclass
class Process:
    """A worker that was started.

    Attributes:
        program: the process itself.
        stdout: what it writes there.
        log: what it writes to its standard error.
    """

    program: "Forked | subprocess.Popen[bytes]"
    stdout: IO[str]
    log: Path

    def wait(self) -> int:
        """Wait for its end, for as long as any test has; return its exit status."""
        return self.program.wait(patience(120))


@dataclass
class Worker:
    """Starts workers against the servers of a test."""

    s3: s3server.S3Access
    web: Web
    models: Models
    folder: Path

    def environment(self, request: dict[str, Any], **changes: str) -> dict[str, str]:
        """Return a worker's whole environment."""
        scratch = self.folder / "scratch"
        scratch.mkdir(exist_ok=True)
        whole = {
            "versionId": "version-1",
            "model": "tiny",
            "webhook": {"url": f"{self.web.url}/hooks"},
            **request,
        }
        return {
            "PATH": os.environ["PATH"],
            "JOB_ID": f"job-{secrets.token_hex(4)}",
            "JOB_UID": secrets.token_hex(8),
            "SPLIT_REQUEST": json.dumps(whole),
            "SCRATCH_DIR": str(scratch),
            "REQUEST_SECRET_DIR": str(self.folder / "secret"),
            "MODEL_DIR": str(self.models.folder),
            "MODEL_REGISTRY": str(self.models.registry),
            "TERMINATION_MESSAGE_PATH": str(self.folder / "message"),
            "SOURCE_ALLOWED_NETWORKS": "127.0.0.0/8",
            "ENVIRONMENT": "local",
            "DEMUCSSVC_TOKEN": TOKEN,
            "API_WEBHOOK_URL_ALLOWLIST": f"{self.web.url}/hooks",
            "S3_ENDPOINT": self.s3.endpoint,
            "S3_BUCKET": self.s3.bucket,
            "S3_ACCESS_KEY_ID": self.s3.access_key_id,
            "S3_SECRET_ACCESS_KEY": self.s3.secret_access_key,
            **changes,
        }

    def request(self, song: bytes) -> dict[str, Any]:
        """Serve a song; return a request for some of its stems."""
        return {"source": self.source(self.web.give("/song.wav", song)), **WANTED}

    def source(self, url: str) -> dict[str, Any]:
        """Put a URL into the Secret; return the request's `source`."""
        folder = self.folder / "secret"
        folder.mkdir(exist_ok=True)
        (folder / "source").write_text(url)
        return {"url": url.partition("?")[0], "secretKey": "source"}

    def start(self, environment: dict[str, str]) -> Process:
        """Start a worker, as a fork of a process that has imported torch."""
        with self._outputs() as (out, read, errors, log):
            forked = fork_server.start("splitjob_worker", (), environment, out, errors)
        return Process(forked, read, log)

    def execute(
        self,
        environment: dict[str, str],
        program: Sequence[str | Path] = ("-m", "splitjob_worker"),
        **options: Any,
    ) -> Process:
        """Start a worker as the pod does, or another program of Python's that becomes one."""
        with self._outputs() as (out, read, errors, log):
            popen = subprocess.Popen(
                [sys.executable, *program], env=environment, stdout=out, stderr=errors, **options
            )
        return Process(popen, read, log)

    @contextmanager
    def _outputs(self) -> Iterator[tuple[IO[bytes], IO[str], IO[bytes], Path]]:
        """Give where a worker writes to, a pipe and a file, and where that is read."""
        log = self.folder / f"log-{secrets.token_hex(4)}"
        read, write = os.pipe()
        with os.fdopen(write, "wb") as out, log.open("wb") as errors:
            yield out, os.fdopen(read, encoding="utf-8"), errors, log

    def finish(self, process: Process, environment: dict[str, str]) -> Run:
        """Wait for a worker's end."""
        out = process.stdout.read()
        status = process.wait()
        process.stdout.close()
        message = Path(environment["TERMINATION_MESSAGE_PATH"])
        return Run(
            status=status,
            report=WorkerReport.decode(message.read_text()) if message.exists() else None,
            lines=[json.loads(line) for line in out.splitlines()],
            log=process.log.read_text(),
            scratch=Path(environment["SCRATCH_DIR"]),
            job_id=environment["JOB_ID"],
            job_uid=environment["JOB_UID"],
        )

    def run(self, request: dict[str, Any], **changes: str) -> Run:
        """Run a worker to its end."""
        environment = self.environment(request, **changes)
        return self.finish(self.start(environment), environment)


def received(worker: Worker) -> list[tuple[dict[str, str], dict[str, Any], bytes]]:
    """The webhooks that arrived: headers, body, raw body."""
    return [
        (headers, json.loads(body), body)
        for what, headers, body in worker.web.requests
        if what == "POST /hooks"
    ]


def failed(run: Run, code: ErrorCode, status: int) -> None:
    """A worker that failed cleanly: told why, told no secret, left nothing."""
    assert run.report is not None, run.log
    assert (run.report.outcome, run.report.code) == ("failed", code), run.report.message
    assert run.status == status
    assert list(run.scratch.iterdir()) == []
    for text in (run.log, run.report.message, json.dumps(run.lines)):
        assert "do-not-tell" not in text
        assert TOKEN not in text
