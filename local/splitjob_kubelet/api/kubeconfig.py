"""Reading the node's kubeconfig, and writing those of pods."""

import base64
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from splitjob_kubelet.objects import Json

AUTHORITY_FILE = "ca.crt"
"""File in the node's root with the API server's certificate authority, for pods."""


class KubeconfigError(Exception):
    """The node cannot use a kubeconfig."""


@dataclass(frozen=True)
class ClientConfig:
    """The address of an API server, and the credentials for it."""

    server: str
    tls: ssl.SSLContext
    authority: str
    token: str | None = None
    token_file: Path | None = None

    def headers(self) -> dict[str, str]:
        """The headers of a request; a token file is read each time, since tokens are rotated."""
        token = self.token
        if self.token_file is not None:
            token = self.token_file.read_text(encoding="utf-8").strip()
        return {"Authorization": f"Bearer {token}"} if token else {}


def load_client_config(path: Path) -> ClientConfig:
    """Read the current context of a kubeconfig.

    Client certificates, tokens and token files are supported.

    Raises:
        KubeconfigError: something is missing; the message says what.
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
    """PEM text, embedded in the kubeconfig or in a file that it names."""
    if section.get(f"{key}-data"):
        return base64.b64decode(section[f"{key}-data"]).decode()
    if section.get(key):
        return (path.parent / str(section[key])).read_text(encoding="ascii")
    return None


def _load_certificate(tls: ssl.SSLContext, certificate: str, key: str) -> None:
    # The ssl module reads client certificates from files only.
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(key + "\n" + certificate)
        file.flush()
        tls.load_cert_chain(file.name)


def pod_kubeconfig(server: str, authority: Path, token_file: str, namespace: str) -> str:
    """The kubeconfig that replaces a pod's mounted service account."""
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
