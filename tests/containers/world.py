"""The service on a real kubelet, as a caller and an administrator see it."""

import hashlib
import json
import secrets
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tests.containers.report import Report
from tests.support.waiting import comes_true, eventually
from tests.support.web import Handler, Request, in_turn
from tests.support.whole_path import WholePath

from bench.audio_files import tones, write_audio
from splitjob_client import Client
from splitjob_local.cluster.local_cluster import LocalCluster
from splitjob_local.cluster.objects import ClusterError
from splitjob_local.cluster.service import CHART, RELEASE, Service
from splitjob_local.containers.container_cluster import ContainerCluster

FINAL = ("Completed", "Failed", "Canceled")
HELM_SECONDS = 110
PATIENCE = 300.0


@dataclass(kw_only=True)
class World(WholePath):
    """The whole path on a node that runs containers."""

    report: Report

    @property
    def containers(self) -> ContainerCluster:
        return cast("ContainerCluster", self.kube)

    @property
    def namespace(self) -> str:
        return self.service.namespace

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        """kubectl in the service's namespace."""
        verb, *rest = arguments
        return self.cluster.kubectl(verb, "-n", self.namespace, *rest, text=text)

    def slow_song(self, seconds: float, song: bytes = b"") -> str:
        """The URL of a song that keeps the first attempt waiting: there is time to interfere."""
        song = song or self.song
        handler = in_turn(trickle(song, seconds), trickle(song, 0))
        return self.web.serve(f"/{secrets.token_hex(4)}.wav", handler)

    def outcome(self, name: str, seconds: float = PATIENCE) -> str:
        """Wait for a job's end; return how its attempts ended, and it: `WorkerOom -> Failed`."""
        if not comes_true(lambda: self.status(name).get("phase") in FINAL, seconds):
            status = self.status(name)
            return f"still {status.get('phase')} after {seconds:g} s: {status}"
        status = self.status(name)
        reasons = [str(one.get("reason")) for one in status.get("attempts", [])]
        return f"{' '.join(reasons)} -> {status['phase']}"

    def finals(self, name: str) -> int:
        """Wait for a job's final event; return how many of them came, counted by their ids."""
        self.wait(name)
        bodies = [(one.headers["webhook-id"], json.loads(one.body)) for one in self.deliveries]
        ours = {tag for tag, body in bodies if body["jobId"] == name}
        return len(ours)

    def good_stems(self, name: str) -> int:
        """Count the stems in the bucket whose checksum is the one the job reports."""
        storage = self.service.s3.service()
        stems = (self.status(name).get("result") or {}).get("stems", [])
        good = 0
        for stem in stems:
            key = stem["url"].split("/", 3)[3]
            content = storage.get_object(key)
            good += stem["checksum"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
        return good

    def running(self, name: str) -> str:
        """Wait until a job's worker runs; return its pod."""
        self.wait_for_phase(name, "Running")
        return eventually(lambda: self.pods_of(name))[-1]

    def upgrade(self, *settings: str) -> None:
        """`helm upgrade` to the values of this run and these, until all of it is up."""
        self.cluster.helm("upgrade", *self.release_arguments(), *_sets(settings), *_wait())
        eventually(self._replaced_pods_are_gone, 60, pause=0.3)

    def _replaced_pods_are_gone(self) -> bool:
        """Whether no pod of the API is ending: the node's proxy may lead there a moment longer."""
        selector = "app.kubernetes.io/component=api"
        pods = self.cluster.objects.get("pods", namespace=self.namespace, selector=selector)[
            "items"
        ]
        return not any("deletionTimestamp" in pod["metadata"] for pod in pods)

    def install(self, *settings: str) -> None:
        """`helm install` anew, after an uninstall that left the namespace."""
        self.cluster.helm("install", *self.release_arguments(), *_sets(settings), *_wait())
        # A new Service has a new address.
        address = service_address(self.kube, self.service)
        self.client = Client(f"http://{address}", self.service.token)

    def release_arguments(self) -> list[str]:
        """Return what names release, chart and the values of this run."""
        own = self.kube.folder / f"values-{self.namespace}.yaml"
        files = [f"--values={file}" for file in (self.service.defaults, own)]
        return [RELEASE, str(CHART), f"--namespace={self.namespace}", *files]

    @contextmanager
    def settings(self, *settings: str) -> Iterator[None]:
        """Run with other chart values for a while."""
        self.upgrade(*settings)
        try:
            yield
        finally:
            self.upgrade()

    def exec(self, pod: str, code: str) -> str:
        """Run Python in a pod; return what it printed."""
        return self.kubectl("exec", pod, "--", "python", "-c", code)

    @contextmanager
    def started(self, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
        """Run kubectl in the service's namespace beside what the block does."""
        process = subprocess.Popen(
            [
                self.cluster.programs["kubectl"],
                *arguments[:1],
                "-n",
                self.namespace,
                *arguments[1:],
            ],
            env=self.cluster.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        with process:
            try:
                yield process
            finally:
                process.terminate()

    def pod_of(self, component: str) -> dict[str, Any]:
        """Return the newest pod of a component of the service that is not ending."""
        label = f"app.kubernetes.io/component={component}"
        pods = self.cluster.objects.get("pods", namespace=self.namespace, selector=label)["items"]
        living = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        return cast(
            "dict[str, Any]", max(living, key=lambda pod: pod["metadata"]["creationTimestamp"])
        )

    def exists(self, kind: str, name: str) -> bool:
        """Whether there is such an object in the namespace."""
        try:
            self.cluster.objects.get(kind, name, namespace=self.namespace)
        except ClusterError as error:
            if "NotFound" in str(error):
                return False
            raise
        return True


def _sets(settings: tuple[str, ...]) -> list[str]:
    # As it was installed: finished Jobs are kept for a while.
    return [f"--set={one}" for one in ("queue.keepFinishedJobsSeconds=20", *settings)]


def _wait() -> list[str]:
    return ["--wait", f"--timeout={HELM_SECONDS}s"]


def trickle(content: bytes, seconds: float) -> Handler:
    """A handler that takes its time to give a file, a piece every half a second."""
    pieces = max(1, round(seconds * 2))
    size = -(-len(content) // pieces)

    def handle(request: Request) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        for begin in range(0, len(content), size):
            time.sleep(seconds / pieces)
            request.wfile.write(content[begin : begin + size])

    return handle


def song_of(seconds: float) -> bytes:
    """Return a WAV file of two tones."""
    with tempfile.TemporaryDirectory() as folder:
        return write_audio(Path(folder) / "song.wav", tones(44100, seconds, 2)).read_bytes()


def service_address(cluster: LocalCluster, service: Service) -> str:
    """Return the address of the API's Service, which stays when its pods are replaced."""
    [api] = [
        one
        for one in cluster.objects.get("services", namespace=service.namespace)["items"]
        if one["metadata"]["name"].endswith("-api")
    ]
    return f"{api['spec']['clusterIP']}:{api['spec']['ports'][0]['port']}"
