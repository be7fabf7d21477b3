"""What the local cluster and the demo do in Kubernetes, through kubectl and helm."""

import json
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splitjob_local.processes.supervised import clean_environment
from splitjob_local.processes.supervisor import COMMAND_ON

COMMAND_SECONDS = 120.0
# Go collects garbage six times in the shortest command's life, which is a quarter of all that it
# takes of a processor; one that lives longer collects from here on.
FEW_COLLECTIONS = {"GOGC": "off", "GOMEMLIMIT": "512MiB"}


class KubectlError(Exception):
    """A request to the cluster failed; the message is what kubectl or helm said."""


@dataclass(frozen=True)
class KubectlClient:
    """kubectl and helm with one kubeconfig."""

    kubeconfig: Path
    programs: dict[str, Path]

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

    def get(self, *arguments: str) -> dict[str, Any]:
        """Return `kubectl get ... -o json` as an object."""
        answer: dict[str, Any] = json.loads(self.kubectl("get", *arguments, "-o", "json"))
        return answer

    def is_ready(self) -> bool:
        """Whether the API server says that it is ready."""
        try:
            return self.kubectl("get", "--raw", "/readyz", "--request-timeout=2s") == "ok"
        except KubectlError:
            return False

    def wait_until_node_ready(self, name: str, seconds: float) -> None:
        """Wait until a node has registered itself and says it is ready.

        Raises:
            KubectlError: it is not by then.
        """
        timeout = f"--timeout={seconds:g}s"
        self.kubectl("wait", "--for=create", f"node/{name}", timeout)
        self.kubectl("wait", "--for=condition=Ready", f"node/{name}", timeout)

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
            KubectlError: it is there already, or could not be created.
        """
        labels = {"pod-security.kubernetes.io/enforce": pod_security}
        namespace = {"apiVersion": "v1", "kind": "Namespace"}
        document = namespace | {"metadata": {"name": name, "labels": labels}}
        self.kubectl("create", "-f", "-", text=json.dumps(document))
        if wait_for_account:
            account = "serviceaccount/default"
            self.kubectl("wait", "-n", name, "--for=create", account, "--timeout=20s")

    def wait_until_available(self, namespace: str, seconds: float) -> None:
        """Wait until every Deployment of a namespace is available.

        Raises:
            KubectlError: one is not by then; with the state and the last words of its pods.
        """
        deadline = time.monotonic() + seconds
        try:
            for deployment in self.get("deployments", "-n", namespace)["items"]:
                name = deployment["metadata"]["name"]
                left = max(1, deadline - time.monotonic())
                self.kubectl(
                    "rollout", "status", "-n", namespace, f"deployment/{name}", f"--timeout={left}s"
                )
        except KubectlError as error:
            raise KubectlError(f"{error}\n{self.describe_pods(namespace)}") from None

    def describe_pods(self, namespace: str) -> str:
        """Return the state of a namespace's pods, its warning events and the end of each log."""
        parts: list[tuple[str, ...]] = [
            ("get", "pods", "-n", namespace),
            ("events", "-n", namespace, "--types=Warning"),
        ]
        pods = self.get("pods", "-n", namespace)["items"]
        parts += [
            ("logs", "-n", namespace, pod["metadata"]["name"], "--all-containers", "--tail=20")
            for pod in pods
        ]
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
        pods = self.get("pods", "-n", namespace, "-l", selector)["items"]
        return sorted(
            f"http://{pod['status']['podIP']}:{pod['spec']['containers'][0]['ports'][0]['containerPort']}"
            for pod in pods
            if _is_ready(pod)
        )


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", [])
    ready = {"type": "Ready", "status": "True"}
    return any(ready.items() <= condition.items() for condition in conditions)
