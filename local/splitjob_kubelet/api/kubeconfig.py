"""Reads the node's own kubeconfig, and writes the ones that pods get."""

import base64
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from splitjob_kubelet.objects import Json

AUTHORITY_FILE = "ca.crt"
"""Below the node's root: the certificate authority of the API server, for pods."""


class KubeconfigError(Exception):
    """A kubeconfig that the node cannot use."""


@dataclass(frozen=True)
class ClientConfig:
    """How to reach an API server, and as whom."""

    server: str
    tls: ssl.SSLContext
    authority: str
    token: str | None = None
    token_file: Path | None = None

    def headers(self) -> dict[str, str]:
        """What to send with each request; a token in a file may change at any time."""
        token = self.token
        if self.token_file is not None:
            token = self.token_file.read_text(encoding="utf-8").strip()
        return {"Authorization": f"Bearer {token}"} if token else {}


def load_client_config(path: Path) -> ClientConfig:
    """Read the current context of a kubeconfig.

    Client certificates, tokens and token files are understood.

    Raises:
        KubeconfigError: the file lacks something; the message says what.
    """
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    try:
        context = _named(config, "contexts", config["current-context"])["context"]
        cluster = _named(config, "clusters", context["cluster"])["cluster"]
        user = _named(config, "users", context["user"])["user"]
        server = cluster["server"]
    except (KeyError, TypeError) as error:
        raise KubeconfigError(f"{path}: incomplete: {error}") from None
    authority = _material(cluster, "certificate-authority", path)
    if authority is None:
        raise KubeconfigError(f"{path}: the cluster has no certificate-authority")
    tls = ssl.create_default_context(cadata=authority)
    certificate = _material(user, "client-certificate", path)
    key = _material(user, "client-key", path)
    if certificate and key:
        _load_certificate(tls, certificate, key)
    token_file = user.get("tokenFile")
    return ClientConfig(
        server=server,
        tls=tls,
        authority=authority,
        token=user.get("token"),
        token_file=path.parent / token_file if token_file else None,
    )


def _named(config: Json, kind: str, name: str) -> Json:
    for entry in config[kind]:
        if entry["name"] == name:
            return dict(entry)
    raise KeyError(f"{kind}: {name}")


def _material(section: Json, key: str, path: Path) -> str | None:
    """PEM text that is given in the file itself or by the name of another one."""
    if section.get(f"{key}-data"):
        return base64.b64decode(section[f"{key}-data"]).decode()
    if section.get(key):
        return (path.parent / str(section[key])).read_text(encoding="ascii")
    return None


def _load_certificate(tls: ssl.SSLContext, certificate: str, key: str) -> None:
    # The ssl module takes client certificates from files only.
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(key + "\n" + certificate)
        file.flush()
        tls.load_cert_chain(file.name)


def pod_kubeconfig(server: str, authority: Path, token_file: str, namespace: str) -> str:
    """The kubeconfig that stands for a pod's mounted service account."""
    name = "pod"
    config: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": name, "cluster": {"server": server, "certificate-authority": str(authority)}}
        ],
        "users": [{"name": name, "user": {"tokenFile": token_file}}],
        "contexts": [
            {"name": name, "context": {"cluster": name, "user": name, "namespace": namespace}}
        ],
        "current-context": name,
    }
    return yaml.safe_dump(config)
