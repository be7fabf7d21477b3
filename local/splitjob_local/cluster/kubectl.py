"""What the local cluster and the demo do in Kubernetes, through kubectl, helm and its API."""

import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from splitjob_local.cluster.objects import ClusterError, ObjectClient
from splitjob_local.processes.supervised import clean_environment
from splitjob_local.processes.supervisor import COMMAND_ON

COMMAND_SECONDS = 120.0
# A controller manager that has lost the API server asks it again after up to half a minute.
ACCOUNT_SECONDS = 90.0
POLL_SECONDS = 0.05
# Go collects garbage six times in the shortest command's life, which is a quarter of all that it
# takes of a processor; one that lives longer collects from here on.
FEW_COLLECTIONS = {"GOGC": "off", "GOMEMLIMIT": "512MiB"}


class KubectlError(ClusterError):
    """A command failed; the message is what kubectl or helm said."""


@dataclass(frozen=True)
class KubectlClient:
    """kubectl, helm and the API itself, with one kubeconfig."""

    kubeconfig: Path
    programs: dict[str, Path]

    @cached_property
    def objects(self) -> ObjectClient:
        """The cluster's objects, without a process for each request."""
        return ObjectClient(self.kubeconfig)

    def kubectl(self, *arguments: str, text: str | None = None) -> str:
        """Run kubectl and return what it printed; `text` goes to its standard input.

        Raises:
            KubectlError: it failed.
        """
        return self._run("kubectl", arguments, text)

    def helm(self, *arguments: str) -> str:
        """Run helm and return what it printed.

        Raises:
            KubectlError: it failed.
        """
        return self._run("helm", arguments, None)

    def _run(self, program: str, arguments: Sequence[str], text: str | None) -> str:
        # Only the first words: a chart value further on may be a secret.
        what = f"{program} {' '.join(arguments[:3])}"
        # The supervisor ends it where this process is killed. The kernel would too, but has to be
        # asked in a copy of this process, which takes 60 ms where that has loaded a gigabyte.
        environment = self.environment() | FEW_COLLECTIONS | {COMMAND_ON: str(self.kubeconfig)}
        try:
            answer = subprocess.run(
                [self.programs[program], *arguments],
                check=False,
                env=environment,
                input=text if text is not None else "",
                capture_output=True,
                text=True,
                timeout=COMMAND_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise KubectlError(f"{what}: no answer within {COMMAND_SECONDS:g} s") from None
        if answer.returncode != 0:
            raise KubectlError(f"{what}: {(answer.stderr or answer.stdout).strip()}")
        return answer.stdout

    def environment(self) -> dict[str, str]:
        """Return an environment in which kubectl and helm, on PATH, work on this cluster."""
        home = self.kubeconfig.parent
        environment = clean_environment(
            KUBECONFIG=str(self.kubeconfig),
            HELM_CACHE_HOME=str(home / "helm" / "cache"),
            HELM_CONFIG_HOME=str(home / "helm" / "config"),
            HELM_DATA_HOME=str(home / "helm" / "data"),
        )
        folder = self.programs["kubectl"].parent
        return environment | {"PATH": f"{folder}:{environment.get('PATH', '')}"}

    def wait_until_node_ready(self, name: str, seconds: float) -> None:
        """Wait until a node has registered itself and says it is ready.

        Raises:
            ClusterError: it is not by then.
        """

        def ready() -> bool:
            return any(
                node["metadata"]["name"] == name and is_ready(node)
                for node in self.objects.get("nodes")["items"]
            )

        _wait_until(ready, seconds, f"node {name} is not ready")

    def create_namespace(
        self, name: str, pod_security: str = "restricted", *, wait_for_account: bool = True
    ) -> None:
        """Create a namespace that enforces a Pod Security level.

        Args:
            name: its name.
            pod_security: the level: `privileged`, `baseline` or `restricted`.
            wait_for_account: return only when it has its default service account, without which
                no pod that names no other can be created.

        Raises:
            ClusterError: it is there already, or could not be created.
        """
        labels = {"pod-security.kubernetes.io/enforce": pod_security}
        namespace = {"apiVersion": "v1", "kind": "Namespace"}
        self.objects.create(namespace | {"metadata": {"name": name, "labels": labels}})
        if wait_for_account:

            def has_account() -> bool:
                return "default" in self.objects.names("serviceaccounts", namespace=name)

            _wait_until(has_account, ACCOUNT_SECONDS, f"namespace {name} has no service account")

    def wait_until_available(self, namespace: str, seconds: float) -> None:
        """Wait until every Deployment of a namespace is available.

        Raises:
            ClusterError: one is not by then; with the state and the last words of its pods.
        """
        deadline = time.monotonic() + seconds
        try:
            for name in self.objects.names("deployments", namespace=namespace):
                left = max(1, deadline - time.monotonic())
                self.kubectl(
                    "rollout", "status", "-n", namespace, f"deployment/{name}", f"--timeout={left}s"
                )
        except ClusterError as error:
            raise ClusterError(f"{error}\n{self.describe_pods(namespace)}") from None

    def describe_pods(self, namespace: str) -> str:
        """Return the state of a namespace's pods, its warning events and the end of each log."""
        parts: list[tuple[str, ...]] = [
            ("get", "pods", "-n", namespace),
            ("events", "-n", namespace, "--types=Warning"),
        ]
        pods = self.objects.names("pods", namespace=namespace)
        parts += [("logs", "-n", namespace, pod, "--all-containers", "--tail=20") for pod in pods]
        said = []
        for part in parts:
            try:
                said.append(self.kubectl(*part))
            except KubectlError as error:
                said.append(str(error))
        return "\n".join(said)

    def pod_urls(self, namespace: str, component: str) -> list[str]:
        """Return http://<address>:<port> of each ready pod of one component of the chart."""
        selector = f"app.kubernetes.io/component={component}"
        pods = self.objects.get("pods", namespace=namespace, selector=selector)["items"]
        return sorted(
            f"http://{pod['status']['podIP']}:{pod['spec']['containers'][0]['ports'][0]['containerPort']}"
            for pod in pods
            if is_ready(pod)
        )


def is_ready(found: dict[str, Any]) -> bool:
    """Whether a pod or a node says of itself that it is ready."""
    conditions = found.get("status", {}).get("conditions", [])
    ready = {"type": "Ready", "status": "True"}
    return any(ready.items() <= condition.items() for condition in conditions)


def _wait_until(is_so: Callable[[], bool], seconds: float, otherwise: str) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise ClusterError(f"{otherwise} after {seconds:g} s")
        time.sleep(POLL_SECONDS)
