"""A stand-in for nodes and workers: writes into pods' status what a kubelet would write."""

import threading
import time
from datetime import UTC, datetime
from typing import Self

from bench.api_server import ApiServer, Json
from splitjob import workload
from splitjob.result import StemReport, WorkerReport

RUN_SECONDS = 3.0
LOOK_SECONDS = 0.5
_STEMS = [
    StemReport(name=name, sha256="ab" * 32, size=52920044, frames=13230000, peak=0.5, gain=1.0)
    for name in ("drums", "bass", "other", "vocals")
]


class StandInWorkers:
    """Has each pod of a namespace run for a while, then complete its song.

    Args:
        server: the namespace.
        delivered: whether each worker has told the receiver.
        run_seconds: how long each works on its song.
    """

    def __init__(
        self, server: ApiServer, *, delivered: bool, run_seconds: float = RUN_SECONDS
    ) -> None:
        self._server = server
        self._run_seconds = run_seconds
        self._report = WorkerReport(
            outcome="completed",
            stems=_STEMS,
            sample_rate=44100,
            device="cpu",
            processing_time_ms=int(1000 * run_seconds),
            webhook_delivered=delivered,
        )
        self._began: dict[str, float] = {}
        self._ended: set[str] = set()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        """Begin to work."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Work no more."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(LOOK_SECONDS):
            for pod in self._server.items(self._server.pods):
                uid = pod["metadata"]["uid"]
                began = self._began.setdefault(uid, time.monotonic())
                if uid not in self._ended and "containerStatuses" not in pod["status"]:
                    self._write(pod, "Running", {"running": {"startedAt": _now()}})
                elif uid not in self._ended and time.monotonic() - began > self._run_seconds:
                    self._ended.add(uid)
                    self._write(pod, "Succeeded", {"terminated": self._termination(pod)})

    def _termination(self, pod: Json) -> Json:
        (container,) = pod["status"]["containerStatuses"]
        return {
            "exitCode": 0,
            "reason": "Completed",
            "message": self._report.encode().decode(),
            "startedAt": container["state"]["running"]["startedAt"],
            "finishedAt": _now(),
        }

    def _write(self, pod: Json, phase: str, state: Json) -> None:
        container = {
            "name": workload.CONTAINER,
            "image": "worker",
            "imageID": "",
            "ready": phase == "Running",
            "restartCount": 0,
            "state": state,
        }
        status = {"phase": phase, "startTime": _now(), "containerStatuses": [container]}
        path = f"{self._server.pods}/{pod['metadata']['name']}/status"
        self._server.change(path, {"status": status})


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
