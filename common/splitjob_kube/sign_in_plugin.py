"""The program that signs in for the user of a kubeconfig (`exec`), as clouds have one.

Source: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
"""

import json
import os
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["PluginAnswer", "SignInPlugin"]

Json = dict[str, Any]
LIMIT_SECONDS = 60.0
BEFORE_ITS_END = timedelta(seconds=60)  # an answer is asked for again
WITHOUT_END = timedelta(minutes=10)  # how long one counts that does not say
_CLUSTER_EXTENSION = "client.authentication.k8s.io/exec"


class PluginAnswer(NamedTuple):
    """Who we are.

    Attributes:
        token: bare; None: there is a certificate.
        certificate, key: in PEM; None: there is a token.
        until: when this is to be asked again.
    """

    token: str | None
    certificate: bytes | None
    key: bytes | None
    until: datetime


class SignInPlugin:
    """Asks a plugin, and keeps its answer for as long as that counts."""

    def __init__(self) -> None:
        self._asked: object = None
        self._answer: PluginAnswer | None = None

    def answer(
        self, spec: Mapping[str, Any], cluster: Mapping[str, Any], folder: Path, *, anew: bool
    ) -> PluginAnswer:
        """Return what the plugin says.

        Args:
            spec: which one, as the user's `exec` has it.
            cluster: which it is to sign in at.
            folder: of the kubeconfig, from which a relative path of the program counts.
            anew: whether it is asked although its last answer still counts.

        Raises:
            ValueError: it failed, or says nothing that can be used.
        """
        asked = (spec, cluster, folder)
        known = self._answer if self._asked == asked and not anew else None
        if known is None or known.until <= datetime.now(UTC):
            known = self._answer = _answer_of(_run(spec, cluster, folder))
            self._asked = asked
        return known


def _run(spec: Mapping[str, Any], cluster: Mapping[str, Any], folder: Path) -> Json:
    """Return the ExecCredential that a plugin prints."""
    command = str(spec["command"])
    if "/" in command:
        command = str(folder / command)
    asked: Json = {"interactive": False}
    if spec.get("provideClusterInfo"):
        asked["cluster"] = _cluster_info(cluster)
    about = {"apiVersion": spec["apiVersion"], "kind": "ExecCredential", "spec": asked}
    own = {one["name"]: one["value"] for one in spec.get("env") or ()}
    try:
        done = subprocess.run(
            [command, *(spec.get("args") or ())],
            env={**os.environ, **own, "KUBERNETES_EXEC_INFO": json.dumps(about)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LIMIT_SECONDS,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip()
        raise ValueError(f"{command} ended with {error.returncode}: {said}") from None
    except subprocess.TimeoutExpired:
        raise ValueError(f"{command} did not end within {LIMIT_SECONDS:.0f} s") from None
    printed: Json = json.loads(done.stdout)
    return printed


def _cluster_info(cluster: Mapping[str, Any]) -> Json:
    """Return what a plugin is told of the cluster."""
    extensions = cluster.get("extensions") or ()
    config = [one["extension"] for one in extensions if one["name"] == _CLUSTER_EXTENSION]
    told = {key: value for key, value in cluster.items() if key != "extensions"}
    return {**told, "config": config[0]} if config else told


def _answer_of(credential: Json) -> PluginAnswer:
    status = credential["status"]
    ends = status.get("expirationTimestamp")
    now = datetime.now(UTC)
    until = datetime.fromisoformat(ends) - BEFORE_ITS_END if ends else now + WITHOUT_END
    token = status.get("token")
    certificate, key = status.get("clientCertificateData"), status.get("clientKeyData")
    if not token and not (certificate and key):
        raise ValueError("the plugin gives neither a token nor a certificate with its key")
    return PluginAnswer(
        token,
        certificate.encode() if certificate else None,
        key.encode() if key else None,
        until,
    )
