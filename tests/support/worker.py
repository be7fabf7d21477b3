"""Tools for the worker's tests: a real HTTP server, real audio, workers as processes."""

import json
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from splitjob.models import ModelRecord
from splitjob.result import WorkerReport
from splitjob_local.cluster import s3server
from splitjob_local.cluster.pki import KeyPair
from splitjob_local.demo.receiver import speak_tls

TOKEN = "a-token-of-the-tests"
QUERY = "X-Amz-Signature=do-not-tell-anybody"


Handler = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Web:
    """A real HTTP server of which each path does what a test says."""

    url: str
    routes: dict[str, Handler] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    def serve(self, path: str, handler: Handler) -> str:
        """Let a path do something; return its URL, with a secret in the query."""
        self.routes[path] = handler
        return f"{self.url}{path}?{QUERY}"

    def give(self, path: str, content: bytes) -> str:
        """Let a path give a file, ranges included."""
        return self.serve(path, lambda request: give(request, content))


def give(request: BaseHTTPRequestHandler, content: bytes, *, cut: int | None = None) -> None:
    """Answer with a file, or with the range asked for; break off after `cut` bytes."""
    begin = 0
    wanted = request.headers.get("Range", "")
    if wanted.startswith("bytes="):
        begin = int(wanted.removeprefix("bytes=").split("-")[0])
        request.send_response(206)
        request.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
    else:
        request.send_response(200)
    request.send_header("ETag", '"one"')
    request.send_header("Content-Length", str(len(content) - begin))
    request.end_headers()
    request.wfile.write(content[begin : None if cut is None else begin + cut])
    if cut is not None:
        request.close_connection = True


def answer(status: int, **headers: str) -> Handler:
    """A handler that answers with a status and headers, and no body."""

    def handle(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", "0")
        request.end_headers()

    return handle


def in_turn(*handlers: Handler) -> Handler:
    """Each request is answered by the next of these; the last one stays."""
    left = list(handlers)

    def handle(request: BaseHTTPRequestHandler) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(request)

    return handle


@contextmanager
def web_server(host: str = "127.0.0.1", identity: KeyPair | None = None) -> Iterator[Web]:
    """Run such a server on a port of its own; over TLS where it has an identity."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        web: Web

    class Requests(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = self.path.partition("?")[0]
            here.requests.append((f"{self.command} {path}", dict(self.headers), body))
            try:
                here.routes.get(path, answer(404))(self)
            except OSError:
                self.close_connection = True

        do_HEAD = do_DELETE = do_POST = do_PUT = do_GET  # noqa: N815 - the standard library's names

        def log_message(self, *_: object) -> None:
            pass

    server = Server((host, 0), Requests)
    if identity is not None:
        speak_tls(server, identity)
    scheme = "https" if identity else "http"
    here = server.web = Web(f"{scheme}://{host}:{server.server_port}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield here
    finally:
        server.shutdown()
        server.server_close()


Samples = NDArray[np.float32]


def tones(rate: int, seconds: float, channels: int) -> Samples:
    """A different tone in each channel, shape (channels, n)."""
    time = np.arange(round(rate * seconds)) / rate
    return np.stack(
        [0.3 * np.sin(2 * np.pi * 110 * (index + 1) * time) for index in range(channels)]
    ).astype(np.float32)


def write_audio(
    path: Path,
    samples: Samples,
    rate: int = 44100,
    layout: str = "stereo",
    codec: str = "pcm_s16le",
    container: str | None = None,
    bit_rate: int | None = None,
    tags: dict[str, str] | None = None,
) -> Path:
    """Write real audio with FFmpeg; samples have shape (channels, n)."""
    with av.open(str(path), "w", format=container) as file:
        experimental = {"strict": "experimental"}  # as FFmpeg calls its encoder of Vorbis
        stream: Any = file.add_stream(codec, rate=rate, layout=layout, options=experimental)
        if bit_rate:
            stream.bit_rate = bit_rate
        file.metadata.update(tags or {})
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples), format="fltp", layout=layout
        )
        frame.sample_rate = rate
        frame.pts = 0
        stream.codec_context.open(strict=False)
        adapt = av.AudioResampler(
            format=stream.format.name,
            layout=layout,
            rate=rate,
            frame_size=stream.codec_context.frame_size or 1024,
        )
        for part in [*adapt.resample(frame), *adapt.resample(None)]:
            file.mux(stream.encode(part))
        file.mux(stream.encode(None))
    return path


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

    def source(self, url: str) -> dict[str, Any]:
        """Put a URL into the Secret; return the request's `source`."""
        folder = self.folder / "secret"
        folder.mkdir(exist_ok=True)
        (folder / "source").write_text(url)
        return {"url": url.partition("?")[0], "secretKey": "source"}

    def start(
        self,
        environment: dict[str, str],
        program: Sequence[str | Path] = ("-m", "splitjob_worker"),
        **options: Any,
    ) -> "subprocess.Popen[str]":
        """Start a worker, or another program of Python's that becomes one."""
        return subprocess.Popen(
            [sys.executable, *program],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def finish(self, process: "subprocess.Popen[str]", environment: dict[str, str]) -> Run:
        """Wait for a worker's end."""
        out, log = process.communicate(timeout=120)
        message = Path(environment["TERMINATION_MESSAGE_PATH"])
        return Run(
            status=process.returncode,
            report=WorkerReport.decode(message.read_text()) if message.exists() else None,
            lines=[json.loads(line) for line in out.splitlines()],
            log=log,
            scratch=Path(environment["SCRATCH_DIR"]),
            job_id=environment["JOB_ID"],
            job_uid=environment["JOB_UID"],
        )

    def run(self, request: dict[str, Any], **changes: str) -> Run:
        """Run a worker to its end."""
        environment = self.environment(request, **changes)
        return self.finish(self.start(environment), environment)
