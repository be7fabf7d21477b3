"""The way around the worker: how long a cluster takes to start, one job, and the whole demo."""

import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from bench.figures import Figure, at_most, note
from splitjob_client import Client
from splitjob_local.cluster.local_cluster import LocalCluster
from splitjob_local.demo.receiver import Receiver
from splitjob_local.demo.song import synthesise

COMMAND = "make bench ONLY=path"
JOBS = 3
WAIT_SECONDS = 300.0
POLL_SECONDS = 0.005


class WorkerWatch:
    """Notes when the process of the next worker begins and ends, by looking at the machine.

    Attributes:
        started: Unix time of the process' start, once there is one.
        ended: Unix time at which it was gone.
    """

    def __init__(self) -> None:
        self.started = 0.0
        self.ended = 0.0
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait until the worker is gone.

        Raises:
            TimeoutError: none came and went in time.
        """
        self._thread.join(WAIT_SECONDS)
        if not self.ended:
            raise TimeoutError("no worker came and went")

    def _look(self) -> None:
        process = self._find()
        self.started = _began(process)
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(POLL_SECONDS)
        self.ended = time.time()

    @staticmethod
    def _find() -> psutil.Process:
        while True:
            for process in psutil.process_iter(["cmdline"]):
                if (process.info["cmdline"] or [])[1:3] == ["-m", "splitjob_worker"]:
                    return process
            time.sleep(POLL_SECONDS)


def _began(process: psutil.Process) -> float:
    """Return the Unix time at which a process began, to the kernel's 10 ms.

    psutil counts from the time of boot, which the kernel gives in whole seconds only.
    """
    since_boot = process.create_time() - psutil.boot_time()
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + since_boot


def measure() -> list[Figure]:
    """Return the figures of the path, from one cluster, and of the demo as a newcomer runs it."""
    with tempfile.TemporaryDirectory() as folder:
        begin = time.monotonic()
        with LocalCluster() as cluster:
            start = time.monotonic() - begin
            jobs = _jobs(cluster, Path(folder))
        demo = _demo(Path(folder))
    overheads = sorted(total - worker for total, worker, _ in jobs)
    waits = sorted(wait for _, _, wait in jobs)
    return [
        at_most("cluster with the service: start", start, "s", 10, COMMAND),
        at_most("POST to webhook less worker, median", overheads[JOBS // 2], "s", 3, COMMAND),
        note("POST to worker process, median", waits[JOBS // 2], "s", COMMAND),
        at_most("make demo, 30 s song", demo, "s", 60, COMMAND),
    ]


def _jobs(cluster: LocalCluster, folder: Path) -> list[tuple[float, float, float]]:
    """Return per job: seconds POST to webhook, seconds of the worker, seconds POST to worker."""
    storage = cluster.s3.service()
    storage.upload_file(synthesise(folder).file, "songs/song.wav")
    source = storage.generate_presigned_get_url("songs/song.wav")
    service = cluster.service
    with (
        Receiver(service.webhook_base) as receiver,
        Client(service.api_urls()[0], service.token) as client,
    ):
        return [_job(client, receiver, source, number) for number in range(1, JOBS + 1)]


def _job(
    client: Client, receiver: Receiver, source: str, number: int
) -> tuple[float, float, float]:
    watch = WorkerWatch()
    posted = time.time()
    client.submit(
        version_id=f"bench-{number}",
        audio_url=source,
        ai_model="demo",
        webhook=f"{receiver.url}/bench",
    )
    if not receiver.wait(number, WAIT_SECONDS):
        raise TimeoutError("no webhook arrived")
    arrived = time.time()
    status = json.loads(receiver.deliveries[-1].body)["status"]
    if status != "completed":
        raise RuntimeError(f"the job {status}: {receiver.deliveries[-1].body.decode()}")
    watch.wait()
    return arrived - posted, watch.ended - watch.started, watch.started - posted


def _demo(folder: Path) -> float:
    program = Path(sys.executable).with_name("track-tree-audio")
    command = [str(program), "local", "demo", "--out", str(folder / "demo")]
    begin = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - begin
