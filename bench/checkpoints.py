"""What checkpoints cost, and what they save: a worker that is preempted at nine tenths of a song.

Whole workers with a real source, bucket and receiver; the model has htdemucs' architecture and
random numbers. `QUICK=1 make bench ONLY=checkpoints` takes a small model, whose segments lie alike:
the passes are as many, but what it costs is held against less.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from bench.figures import Figure, at_most, note
from bench.material import HTDEMUCS, SMALL, STEMS, Songs, random_weights
from splitjob.models import dump_registry
from splitjob.result import EXIT_DONE, EXIT_TERMINATED
from splitjob_local.cluster import s3server
from splitjob_local.console import say
from splitjob_worker.engine.describe import describe
from splitjob_worker.reporting.progress import STARTS

COMMAND = "make bench ONLY=checkpoints"
SECONDS = 600
PREEMPTED_AT = 0.9
_PIECE_SECONDS = 30.0


class _Handler(SimpleHTTPRequestHandler):
    """Gives songs, and takes webhooks."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class Taken:
    """What a worker took.

    Attributes:
        passes: segments that went through the model.
        wall: seconds.
        cpu: seconds of the processor.
        checkpoints: of these, for checkpoints.
    """

    passes: int
    wall: float
    cpu: float
    checkpoints: float


@dataclass(frozen=True)
class Place:
    """Where workers run: their whole environment, and a folder for what they leave."""

    environment: dict[str, str]
    folder: Path

    def run(self, job: str, attempt: int, preempted_at: float | None = None) -> Taken:
        """Run a worker to its end.

        Args:
            job: its id.
            attempt: its number.
            preempted_at: the share of the separation at which it is told to stop; None: it is not.
        """
        left = self.folder / f"{job}-{attempt}"
        left.mkdir()
        environment = {**self.environment, "JOB_ID": job, "JOB_UID": job, "ATTEMPT": str(attempt)}
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.counted_worker", left],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if not os.environ.get("LOG") else None,
            text=True,
        )
        for line in process.stdout or ():
            if preempted_at is not None and _separated(json.loads(line)) >= preempted_at:
                process.send_signal(signal.SIGTERM)
        status = process.wait()
        if status != (EXIT_TERMINATED if preempted_at else EXIT_DONE):
            raise RuntimeError(f"the worker ended with {status}: LOG=1 shows what it says")
        passes = (left / "passes").stat().st_size
        times = json.loads((left / "times.json").read_text())
        print(f"    {job}, attempt {attempt}: {passes} passes, {times['wall']:.0f} s", flush=True)
        return Taken(passes, times["wall"], times["cpu"], times["checkpoints"])


def measure() -> Iterator[Figure]:
    """Yield the figures; takes about half an hour on two cores."""
    quick = bool(os.environ.get("QUICK"))
    figures = _figures(SMALL if quick else HTDEMUCS)
    for one in figures:
        yield (
            note(f"quick, {one.name}", one.value, one.unit, f"QUICK=1 {COMMAND}") if quick else one
        )


def _figures(arguments: dict[str, object]) -> Iterator[Figure]:
    minutes = f"{SECONDS / 60:g} min"
    with tempfile.TemporaryDirectory(prefix="bench-checkpoints-") as name, ExitStack() as ending:
        place = _place(Path(name), arguments, ending)
        whole = place.run(f"whole-{secrets.token_hex(4)}", 1)
        job = f"preempted-{secrets.token_hex(4)}"
        first = place.run(job, 1, PREEMPTED_AT)
        second = place.run(job, 2)
    yield at_most(
        f"checkpoints: passes, preempted at 90 % of {minutes}",
        (first.passes + second.passes) / whole.passes,
        "ratio",
        1.15,
        COMMAND,
    )
    yield at_most(
        f"checkpoints: of the processor, {minutes}",
        whole.checkpoints / whole.cpu,
        "ratio",
        0.02,
        COMMAND,
    )
    yield note(f"checkpoints: processor time, {minutes}", whole.checkpoints, "s", COMMAND)
    yield note(f"checkpoints: wall, {minutes}, uninterrupted", whole.wall, "s", COMMAND)
    yield note("checkpoints: wall of the second attempt", second.wall, "s", COMMAND)


def _place(folder: Path, arguments: dict[str, object], ending: ExitStack) -> Place:
    """Return a place with a bucket, a source and a model."""
    access = ending.enter_context(s3server.serving(folder, say))
    web = ending.enter_context(_web(folder))
    song = Songs(folder, _PIECE_SECONDS).song(SECONDS)
    weights = random_weights(folder / "large", "demucs.htdemucs.HTDemucs", STEMS, arguments, 1, {})
    registry = folder / "registry.yaml"
    registry.write_text(dump_registry({"large": describe("large", weights, "Random numbers.")}))
    (folder / "scratch").mkdir()
    request = {
        "versionId": "bench",
        "model": "large",
        "source": {"url": f"{web}/{song.name}"},
        "webhook": {"url": f"{web}/hooks"},
    }
    return Place(
        {
            "PATH": os.environ["PATH"],
            "SPLIT_REQUEST": json.dumps(request),
            "SCRATCH_DIR": str(folder / "scratch"),
            "MODEL_DIR": str(weights),
            "MODEL_REGISTRY": str(registry),
            "TERMINATION_MESSAGE_PATH": str(folder / "message"),
            "SOURCE_ALLOWED_NETWORKS": "127.0.0.0/8",
            "ENVIRONMENT": "local",
            "DEMUCSSVC_TOKEN": "a-token-of-the-benchmarks",
            "API_WEBHOOK_URL_ALLOWLIST": f"{web}/hooks",
            "S3_ENDPOINT": access.endpoint,
            "S3_BUCKET": access.bucket,
            "S3_ACCESS_KEY_ID": access.access_key_id,
            "S3_SECRET_ACCESS_KEY": access.secret_access_key,
        },
        folder,
    )


@contextmanager
def _web(folder: Path) -> Iterator[str]:
    """Serve a folder's files, and take webhooks."""
    handler = partial(_Handler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _separated(line: dict[str, object]) -> float:
    """Return the share of the separation that a progress line tells."""
    begin, end = STARTS["separate"], STARTS["encode"]
    return (int(str(line["percent"])) - begin) / (end - begin)
