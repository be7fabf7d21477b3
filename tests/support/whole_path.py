"""The whole path for tests: a caller, a receiver, and looks into the cluster."""

import json
import secrets
from dataclasses import dataclass, field
from typing import Any, cast

import psutil
from tests.support.waiting import timeout
from tests.support.web import Web

from chaos.story import log_lines
from splitjob.resource import GROUP
from splitjob_client import Client, SplitFields
from splitjob_local.cluster.kubectl import KubectlClient, KubectlError
from splitjob_local.cluster.local_cluster import LocalCluster
from splitjob_local.cluster.service import Service
from splitjob_local.demo.receiver import Delivery, Receiver
from splitjob_local.demo.verify import signature_holds, standard_signature_holds

PATIENCE = 120.0
LINES = 40  # of each log, where something did not come


@dataclass
class WholePath:
    """Calls the service from outside, and looks into the cluster where a test must."""

    kube: LocalCluster
    service: Service
    client: Client
    web: Web
    song: bytes
    receiver: Receiver | None = None
    deliveries: list[Delivery] = field(default_factory=list)

    @property
    def cluster(self) -> KubectlClient:
        return self.kube.cluster

    def listen(self) -> None:
        """Start the receiver; it answers 2xx from here on."""
        self.receiver = Receiver(self.service.webhook_base, self.service.receiver_identity)
        self.receiver.deliveries = self.deliveries
        self.receiver.__enter__()

    def hang_up(self) -> None:
        """Stop the receiver: connections are refused from here on."""
        if self.receiver is not None:
            self.receiver.__exit__(None, None, None)
            self.receiver = None

    def song_url(self) -> str:
        """A URL of a short song of its own."""
        return self.web.give(f"/{secrets.token_hex(4)}.wav", self.song)

    def ask(self, audio_url: str, **fields: Any) -> str:
        """Ask for a separation, with fields as the client has them; returns the job's id."""
        tag = secrets.token_hex(4)
        request = {
            "version_id": f"e2e-{tag}",
            "audio_url": audio_url,
            "ai_model": "demo",
            "webhook": self.service.webhook_base + tag,
        }
        return self.client.submit(**cast("SplitFields", request | fields)).job_id

    def job(self, name: str) -> dict[str, Any]:
        """The SplitJob as it stands."""
        return self.cluster.objects.get("splitjob", name, namespace=self.service.namespace)

    def status(self, name: str) -> dict[str, Any]:
        status: dict[str, Any] = self.job(name).get("status", {})
        return status

    def wait(self, name: str, condition: str = "Notified", seconds: float = PATIENCE) -> None:
        """Wait until a condition of a SplitJob is True."""
        self._wait_for(name, f"condition={condition}", seconds)

    def wait_for_phase(self, name: str, phase: str, seconds: float = PATIENCE) -> None:
        self._wait_for(name, f"jsonpath={{.status.phase}}={phase}", seconds)

    def _wait_for(self, name: str, what: str, seconds: float) -> None:
        job = ("-n", self.service.namespace, f"splitjob/{name}")
        try:
            self.cluster.kubectl("wait", *job, f"--for={what}", timeout(seconds))
        except KubectlError as error:
            raise AssertionError(f"{error}\n{self._story(name)}") from None

    def _story(self, name: str) -> str:
        """What is there instead of what was waited for, and what the programs say of it."""
        splitjobs = self.cluster.kubectl("get", "splitjobs", "-n", self.service.namespace)
        pods = self.cluster.kubectl("get", "pods", "-n", self.service.namespace)
        status = json.dumps(self.status(name), indent=1)
        lines = log_lines(self.kube.folder / f"node-{self.kube.node_name}" / "pods", name)
        node = self.kube.processes.last_words(self.kube.node_process, LINES)
        return "\n".join((splitjobs, pods, status, *lines[-LINES:], node))

    def final(self, name: str) -> dict[str, Any]:
        """The one final event of a job, verified; fails where there are two, or none."""
        mine = [one for one in self.deliveries if json.loads(one.body)["jobId"] == name]
        assert mine, f"no webhook about {name}"
        for one in mine:
            assert signature_holds(one, self.service.token)
            assert standard_signature_holds(one, self.service.token)
        assert len({one.headers["webhook-id"] for one in mine}) == 1
        body: dict[str, Any] = json.loads(mine[-1].body)
        return body

    def processes(self, words: str) -> list[psutil.Process]:
        """The processes of this cluster's pods whose command line holds these words."""
        node = psutil.Process(self.kube.processes.pid(self.kube.node_process))
        found = []
        # What a container runtime starts leaves it, and belongs to the node's parent then.
        for process in node.parents()[0].children(recursive=True):
            try:
                if process != node and words in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def pods_of(self, name: str) -> list[str]:
        label = f"{GROUP}/splitjob={name}"
        return self.cluster.objects.names("pods", namespace=self.service.namespace, selector=label)
