"""The operator as it is shipped, `kopf run`, on a real cluster, with scripted workers.

`Site`      a namespace of its own, a receiver of webhooks, and what a test does there
`Operator`  one operator process
"""

import base64
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support import fork_server, plain_http
from tests.support.fork_server import Forked
from tests.support.namespaces import new_namespace
from tests.support.ports import free_port
from tests.support.receiver import Received, Receiver, receiving
from tests.support.waiting import PATIENCE, eventually, patience

from splitjob.resource import API_VERSION, GROUP, KIND, PLURAL, SECRET_TYPE
from splitjob.result import storage_prefix
from splitjob_local.cluster.local_cluster import LocalCluster
from splitjob_local.processes.prctl import die_with_parent

WORKER = Path(__file__).parent / "scripted_worker.py"
TOKEN = "a-token-of-these-tests"


@dataclass
class Operator:
    """One operator process."""

    process: subprocess.Popen[bytes] | Forked
    url: str
    log: Path

    def ready(self) -> bool:
        return plain_http.get(f"{self.url}/readyz").status_code == 200

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(patience(20))


@dataclass
class Site:
    """A namespace with SplitJobs."""

    cluster: LocalCluster
    namespace: str
    folder: Path
    receiver: Receiver
    other: Receiver
    operators: list[Operator] = field(default_factory=list)

    def prepare(self) -> None:
        """Give the namespace the installation's Secret, as the chart would."""
        access = self.cluster.s3
        keys = {
            "DEMUCSSVC_TOKEN": TOKEN,
            "S3_ACCESS_KEY_ID": access.access_key_id,
            "S3_SECRET_ACCESS_KEY": access.secret_access_key,
        }
        self.apply(
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": keys}
        )

    # The operator

    def start(self, command: Sequence[str] = (), **changed: str) -> Operator:
        """Start an operator and wait until it is ready."""
        operator = self.launch(command, **changed)
        eventually(operator.ready)
        return operator

    def launch(self, command: Sequence[str] = (), **changed: str) -> Operator:
        """Start an operator, as it is shipped unless a command says otherwise."""
        port = free_port()
        log = self.folder / f"operator-{len(self.operators)}.log"
        environment = self._environment(port) | changed
        with log.open("wb") as out:
            process = (
                subprocess.Popen(
                    command, env=environment, stdout=out, stderr=out, preexec_fn=die_with_parent
                )
                if command
                else fork_server.start("kopf", self.arguments(), environment, out, out)
            )
        operator = Operator(process, f"http://127.0.0.1:{port}", log)
        self.operators.append(operator)
        return operator

    def arguments(self) -> list[str]:
        """Return what kopf is started with."""
        flags = ["--standalone", f"--namespace={self.namespace}"]
        return ["run", *flags, "-m", "splitjob_operator.runtime.kopf_app"]

    def _environment(self, port: int) -> dict[str, str]:
        access = self.cluster.s3
        return {
            "PATH": os.environ["PATH"],
            "KUBECONFIG": str(self.cluster.kubeconfig),
            "NAMESPACE": self.namespace,
            "POD_NAME": "operator",  # one that is started again leads at once, as in a pod
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "ENVIRONMENT": "local",
            "DEMUCSSVC_TOKEN": TOKEN,
            "MODELS": "demo",
            "API_WEBHOOK_URL_ALLOWLIST": f"{self.receiver.base},{self.other.base}",
            "SOURCE_ALLOWED_NETWORKS": "127.0.0.0/8",
            "S3_ENDPOINT": access.endpoint,
            "S3_REGION": access.region,
            "S3_BUCKET": access.bucket,
            "S3_ACCESS_KEY_ID": access.access_key_id,
            "S3_SECRET_ACCESS_KEY": access.secret_access_key,
            "WORKER_IMAGE": "track-tree-audio/worker:test",
            "WORKER_COMMAND": json.dumps([sys.executable, str(WORKER)]),
            "WORKER_SECRET_NAME": "keys",
            "WORKER_GPU_COUNT": "0",
            "WORKER_CPU": "10m",
            "WORKER_MEMORY": "128Mi",
            "WORKER_MEMORY_RETRY": "160Mi",
            "WORKER_SCRATCH_SIZE": "16Mi",
            "WORKER_TERMINATION_GRACE_SECONDS": "3",
            "WAITING_GRACE_SECONDS": "3",
            "RETRY_DELAY_SECONDS": "0.5",
            "RESYNC_SECONDS": "5",
        }

    def close(self) -> None:
        for operator in self.operators:
            operator.stop()

    # SplitJobs

    def ask(
        self,
        script: str,
        *,
        name: str = "",
        spec: dict[str, Any] | None = None,
        script2: str = "",
        **request: Any,
    ) -> str:
        """Create a SplitJob whose workers do as the script says."""
        name = name or f"split-{secrets.token_hex(5)}"
        metadata = {"script": script} | ({"script2": script2} if script2 else {})
        asked = {
            "versionId": f"v-{name}",
            "model": "demo",
            "source": {"url": f"{self.receiver.base}song.wav"},
            "webhook": {"url": f"{self.receiver.base}{name}"},
            "metadata": metadata,
        }
        document = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": name},
            "spec": {"request": asked | request, **(spec or {})},
        }
        self.cluster.objects.create(document, self.namespace)
        return name

    def secret(self, name: str, kind: str = SECRET_TYPE, **urls: str) -> None:
        data = {key: base64.b64encode(url.encode()).decode() for key, url in urls.items()}
        self.apply(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": name},
                "type": kind,
                "immutable": True,
                "data": data,
            }
        )

    def change(self, name: str, **spec: Any) -> None:
        self.cluster.objects.patch("splitjob", name, {"spec": spec}, namespace=self.namespace)

    def change_status(self, name: str, **status: Any) -> None:
        change = {"status": status}
        self.cluster.objects.patch(
            PLURAL, name, change, namespace=self.namespace, subresource="status"
        )

    def job(self, name: str) -> dict[str, Any]:
        return self.get(PLURAL, name)

    def status(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.job(name).get("status", {})
        return found

    def condition(self, name: str, kind: str) -> dict[str, Any]:
        return next(c for c in self.status(name)["conditions"] if c["type"] == kind)

    def ended(self, name: str, seconds: float = PATIENCE) -> dict[str, Any]:
        """Wait for the verdict; return the status."""
        return eventually(lambda: self.status(name)["finishedAt"] and self.status(name), seconds)

    def reason(self, name: str) -> str:
        """Wait for the verdict; return why, as its condition says."""
        self.ended(name)
        return str(self.condition(name, "Succeeded")["reason"])

    def told(self, name: str, seconds: float = PATIENCE) -> Received:
        """Wait for the final event; return it."""
        return eventually(lambda: self.receiver.of(name)[0], seconds)

    def running(self, name: str) -> dict[str, Any]:
        """Wait until its worker runs; return the pod."""

        def look() -> bool:
            found = self.status(name), [pod["status"] for pod in self.pods(name)]
            assert self.condition(name, "Started")["status"] == "True", found
            return True

        eventually(look)
        return self.pods(name)[0]

    def pods(self, name: str) -> list[dict[str, Any]]:
        return self._belonging_to(name, "pods")

    def jobs(self, name: str) -> list[dict[str, Any]]:
        return self._belonging_to(name, "jobs")

    def network_policies(self, name: str) -> list[dict[str, Any]]:
        return self._belonging_to(name, "networkpolicies")

    def _belonging_to(self, name: str, kind: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.get(kind, selector=f"{GROUP}/splitjob={name}")["items"]
        return items

    def manifest(self, name: str) -> dict[str, Any] | None:
        key = f"{storage_prefix('', f'v-{name}', name)}/manifest.json"
        found: dict[str, Any] | None = self.cluster.s3.service().get_json(key)
        return found

    # The cluster

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        return self.cluster.kubectl("-n", self.namespace, *arguments, text=text)

    def get(self, kinds: str, name: str = "", selector: str = "") -> dict[str, Any]:
        return self.cluster.objects.get(kinds, name, namespace=self.namespace, selector=selector)

    def names(self, kinds: str) -> list[str]:
        return self.cluster.objects.names(kinds, namespace=self.namespace)

    def delete(self, kind: str, name: str) -> None:
        self.cluster.objects.delete(kind, name, namespace=self.namespace)

    def apply(self, *manifests: dict[str, Any]) -> None:
        for manifest in manifests:
            self.cluster.objects.apply(manifest, self.namespace)


@contextmanager
def site(cluster: LocalCluster, folder: Path) -> Iterator[Site]:
    """Give a namespace with its receiver; what was started in it ends with the block."""
    with (
        new_namespace(cluster, "operator", "restricted") as namespace,
        receiving() as receiver,
        receiving() as other,
    ):
        place = Site(cluster, namespace, folder, receiver, other)
        try:
            place.prepare()
            yield place
        finally:
            place.close()
