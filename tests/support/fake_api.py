"""The API in memory, for pages in a browser: its calls as the contract has them, jobs as one likes.

What a real one takes minutes for is there at once: 10,000 jobs, a stream that breaks off, stems to
listen to.
"""

import asyncio
import itertools
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from tests.support.ports import free_port
from tests.support.waiting import patience

from splitjob.signing import SignatureError, Signer, request_payload
from splitjob_api.routes.web import web_files, web_router

TOKEN = "a-signing-token"
KUBERNETES_TOKEN = "a-token-of-the-cluster"
BEGIN = datetime.now(UTC) - timedelta(hours=3)

Job = dict[str, Any]


class FakeApi:
    """Jobs, and the calls about them.

    Attributes:
        url: where it is, once it serves.
        jobs: by id, the oldest first.
        calls: method and path of each signed request.
        kubernetes: whether Kubernetes tokens are let in.
        streams: whether there are event streams.
        capacity: what the installation takes on.
        media: where the stems are, by their name.
        refusals: what a path answers with, each time it is asked, instead of what it would.
    """

    def __init__(self) -> None:
        self.url = ""
        self.jobs: dict[str, Job] = {}
        self.calls: list[str] = []
        self.kubernetes = False
        self.streams = True
        self.capacity: dict[str, int | bool | None] = {
            "max_active_jobs": 4,
            "max_queued_jobs": None,
            "paused": False,
        }
        self.media: dict[str, str] = {}
        self.refusals: dict[str, list[Response]] = {}
        self._changes: list[tuple[str, Job]] = []
        self._signer = Signer([TOKEN])

    def add(self, state: str = "completed", **fields: Any) -> Job:
        """Add a job, newer than all others; return it."""
        job = a_job(len(self.jobs), state) | fields
        self.jobs[job["jobId"]] = job
        self._changes.append(("job", job))
        return job

    def change(self, job_id: str, **fields: Any) -> None:
        """Change a job, and tell those who listen."""
        self.jobs[job_id] |= fields
        self._changes.append(("job", self.jobs[job_id]))

    def delete(self, job_id: str) -> None:
        self.jobs.pop(job_id)
        self._changes.append(("deleted", {"jobId": job_id}))

    def app(self, media_origins: Sequence[str]) -> FastAPI:
        app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
        app.include_router(web_router(web_files(console=True), media_origins))
        for method, path, call in (
            ("GET", "/models", self._models),
            ("GET", "/queue/status", self._status),
            ("GET", "/queue/capacity", self._capacity),
            ("GET", "/jobs", self._list),
            ("GET", "/jobs/{job_id}", self._job),
            ("GET", "/events", self._events),
            ("GET", "/jobs/{job_id}/events", self._events),
            ("GET", "/jobs/{job_id}/stems/{stem}", self._stem),
            ("GET", "/jobs/{job_id}/resource", self._resource),
            ("GET", "/jobs/{job_id}/waveforms/{stem}", self._waveform),
            ("GET", "/jobs/{job_id}/manifest", self._manifest),
            ("DELETE", "/jobs/{job_id}", self._cancel),
            ("POST", "/jobs/{job_id}/retry", self._retry),
            ("POST", "/jobs/{job_id}/redeliver", self._redeliver),
        ):
            app.add_api_route(path, self._guarded(call), methods=[method])
        return app

    def _guarded(self, call: Any) -> Any:
        async def guarded(request: Request) -> Response:
            if refused := await self._refused(request):
                return refused
            self.calls.append(f"{request.method} {request.url.path}")
            if planned := self.refusals.get(request.url.path):
                return planned.pop(0)
            answer: Response = await call(request)
            return answer

        return guarded

    async def _refused(self, request: Request) -> Response | None:
        if self.kubernetes and request.headers.get("Authorization") == f"Bearer {KUBERNETES_TOKEN}":
            return None
        target = request.scope["raw_path"], request.scope["query_string"]
        payload = request_payload(request.method, *target, await request.body())
        proof = request.headers.get("X-Timestamp"), request.headers.get("X-Signature")
        try:
            self._signer.verify(payload, *proof, time.time())
        except SignatureError as error:
            ways = "HMAC-SHA256, Bearer" if self.kubernetes else "HMAC-SHA256"
            answer = problem(401, "signature_invalid", error.reason)
            answer.headers["WWW-Authenticate"] = ways
            return answer
        return None

    async def _models(self, _request: Request) -> Response:
        return JSONResponse({"models": [{"name": "demo"}, {"name": "htdemucs"}]})

    async def _status(self, _request: Request) -> Response:
        states = [job["state"] for job in self.jobs.values()]
        return JSONResponse(
            {
                "queue_depth": states.count("queued") + states.count("starting"),
                "active_workers": states.count("running"),
                "completed_jobs": states.count("completed"),
                "failed_jobs": states.count("failed"),
                "canceled_jobs": states.count("canceled"),
                "oldest_queued_seconds": 90,
                "estimated_drain_seconds": 600,
                "observed_at": stamp(datetime.now(UTC)),
            }
        )

    async def _capacity(self, _request: Request) -> Response:
        return JSONResponse(self.capacity)

    async def _list(self, request: Request) -> Response:
        query = request.query_params
        found = [job for job in reversed(self.jobs.values()) if _fits(job, query)]
        begin, limit = int(query.get("cursor", "0")), int(query.get("limit", "50"))
        end = begin + limit
        cursor = str(end) if end < len(found) else None
        now = stamp(datetime.now(UTC))
        return JSONResponse({"jobs": found[begin:end], "nextCursor": cursor, "observedAt": now})

    async def _job(self, request: Request) -> Response:
        job = self.jobs.get(request.path_params["job_id"])
        return JSONResponse(job) if job else problem(404, "job_not_found", "there is no such job")

    async def _resource(self, request: Request) -> Response:
        name = request.path_params["job_id"]
        resource = {"metadata": {"name": name}, "status": A_STATUS}
        return JSONResponse({"resource": resource, "events": [AN_EVENT]})

    async def _events(self, request: Request) -> Response:
        if not self.streams:
            return problem(404, "not_found", "there is nothing at this path")
        only = request.path_params.get("job_id")
        if only is not None and only not in self.jobs:
            return problem(404, "job_not_found", "there is no such job")
        told = self._tell(only, len(self._changes))
        return StreamingResponse(told, media_type="text/event-stream")

    async def _tell(self, only: str | None, told: int) -> AsyncIterator[str]:
        yield ": awake\n\n"
        while self.streams:
            for name, job in self._changes[told:]:
                told += 1
                if only in {None, job["jobId"]}:
                    yield f"id: {told}\nevent: {name}\ndata: {json.dumps(job)}\n\n"
            await asyncio.sleep(0.02)

    async def _stem(self, request: Request) -> Response:
        url = self.media.get(request.path_params["stem"])
        if url is None:
            return problem(409, "stems_elsewhere", "its stems went to the caller's own URLs")
        return JSONResponse(
            {"url": url, "expiresAt": stamp(datetime.now(UTC) + timedelta(hours=1))}
        )

    async def _waveform(self, request: Request) -> Response:
        return JSONResponse(a_waveform(request.path_params["stem"]))

    async def _manifest(self, request: Request) -> Response:
        return JSONResponse({"jobId": request.path_params["job_id"], "status": "completed"})

    async def _cancel(self, request: Request) -> Response:
        job_id = request.path_params["job_id"]
        if self.jobs[job_id]["state"] not in {"completed", "failed", "canceled"}:
            self.change(job_id, state="canceled")
        return JSONResponse(self.jobs[job_id])

    async def _retry(self, _request: Request) -> Response:
        return JSONResponse({"jobId": self.add("queued")["jobId"]}, status_code=202)

    async def _redeliver(self, request: Request) -> Response:
        return JSONResponse(self.jobs[request.path_params["job_id"]], status_code=202)


def a_job(number: int, state: str = "completed") -> Job:
    """Return a job as `GET /jobs/{id}` gives it."""
    created = BEGIN + timedelta(seconds=number)
    started = state not in {"queued", "starting"}
    finished = state in {"completed", "failed", "canceled"}
    return {
        "jobId": f"split-{number:06d}",
        "versionId": f"song-{number}",
        "correlationId": None,
        "aiModel": "demo" if number % 2 else "htdemucs",
        "metadata": {},
        "state": state,
        "priority": 0,
        "createdAt": stamp(created),
        "startedAt": stamp(created + timedelta(seconds=10)) if started else None,
        "finishedAt": stamp(created + timedelta(seconds=70)) if finished else None,
        "attempts": int(started),
        "gpuSeconds": 58.5 if finished else None,
        "progress": {"stage": "separate", "percent": 40} if state == "running" else None,
        "queue": _QUEUE if state == "queued" else None,
        "result": a_result() if state == "completed" else None,
        "failure": _FAILURE if state == "failed" else None,
        "webhook": _WEBHOOK if finished else None,
    }


AN_EVENT = {
    "at": "2026-01-01T00:00:09Z",
    "type": "Normal",
    "reason": "AttemptStarted",
    "message": "a Job was created",
    "count": 2,
}
A_STATUS = {
    "conditions": [
        {
            "type": "Started",
            "status": "True",
            "reason": "Started",
            "message": "a worker runs",
            "lastTransitionTime": "2026-01-01T00:00:10Z",
        }
    ],
    "attempts": [
        {
            "number": 1,
            "podName": "split-1-abcde",
            "nodeName": "node-a",
            "createdAt": "2026-01-01T00:00:00Z",
            "startedAt": "2026-01-01T00:00:10Z",
            "finishedAt": "2026-01-01T00:01:10Z",
            "reason": "WorkerOom",
            "message": "out of memory",
        }
    ],
}
_QUEUE = {"position": 1, "reason": "Queued", "message": "its turn comes", "etaSeconds": 120}
_FAILURE = {"code": "source_not_found", "message": "the source answered 404"}
_WEBHOOK = {
    "event": "completed",
    "state": "Delivered",
    "attempts": 0,
    "nextAttemptAt": None,
    "deliveredAt": "2026-01-01T00:01:12Z",
    "lastError": None,
}


def a_waveform(name: str, seconds: int = 10) -> Job:
    """Return what a player draws: beats that fade, at another pace for each name."""
    period = 15 + 7 * len(name)
    heights = [
        (60 + 7 * (point // period * 5 % 9)) * (period - point % period) // period
        for point in range(seconds * 100)
    ]
    return {
        "version": 2,
        "channels": 1,
        "sample_rate": 44_100,
        "samples_per_pixel": 441,
        "bits": 8,
        "length": len(heights),
        "data": [value for height in heights for value in (-height, height)],
    }


def a_result(
    stems: tuple[str, ...] = ("drums", "bass", "other", "vocals"), *, waveforms: bool = False
) -> Job:
    """Return the result of a completed job."""

    def waveform(name: str) -> str | None:
        return f"s3://bucket/song/{name}.waveform.json" if waveforms else None

    return {
        "audio": {
            "duration": 10.0,
            "sampleRate": 44100,
            "channels": 2,
            "waveform": waveform("mixture"),
        },
        "stems": [
            {
                "type": stem,
                "name": stem.title(),
                "url": f"s3://bucket/song/{stem}.wav",
                "size": 1_764_044,
                "duration": 10.0,
                "checksum": "sha256:" + "0" * 64,
                "format": "wav",
                "sampleRate": 44100,
                "peak": 0.9,
                "gain": 1.0,
                "silent": False,
                "waveform": waveform(stem),
            }
            for stem in stems
        ],
        "model": "demo",
        "device": "cuda",
        "timings": {
            "decode": 400,
            "encode": 700,
            "fetch": 900,
            "load": 2000,
            "separate": 39000,
            "upload": 800,
        },
    }


def problem(status: int, code: str, detail: str, **headers: str) -> JSONResponse:
    """Return an error as the API writes it."""
    body = {"type": "about:blank", "title": code, "status": status, "code": code, "detail": detail}
    return JSONResponse(body, status, headers, "application/problem+json")


def stamp(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def _fits(job: Job, query: Any) -> bool:
    states = query.getlist("status")
    wanted = {"versionId": job["versionId"], "model": job["aiModel"]}
    return (
        (not states or job["state"] in states)
        and all(query.get(name, value) == value for name, value in wanted.items())
        and query.get("since", "") <= job["createdAt"] < query.get("until", "9")
    )


@contextmanager
def serving(api: FakeApi, media_origins: Sequence[str] = ()) -> Iterator[FakeApi]:
    """Serve until the block ends."""
    port = free_port()
    config = uvicorn.Config(api.app(media_origins), port=port, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    api.url = f"http://127.0.0.1:{port}"
    try:
        yield api
    finally:
        api.streams = False
        server.should_exit = True
        thread.join(patience(10))


def waves(seconds: float = 10.0, rate: int = 8000) -> bytes:
    """Return a quiet wav file of one channel, for players."""
    frames = bytes(itertools.repeat(128, int(seconds * rate)))
    head = b"RIFF" + (36 + len(frames)).to_bytes(4, "little") + b"WAVEfmt "
    form = (16).to_bytes(4, "little") + b"\x01\0\x01\0" + rate.to_bytes(4, "little") * 2
    return head + form + b"\x01\0\x08\0data" + len(frames).to_bytes(4, "little") + frames
