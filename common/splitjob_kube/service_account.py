"""The service account of a pod, as its kubelet gives it: files that it replaces, and an address.

Source: https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/
"""

import os
from pathlib import Path

from splitjob_kube.connection import Account, Connection
from splitjob_kube.proxies import proxy_to

__all__ = ["ServiceAccount"]

FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
HOST, PORT = "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"


class ServiceAccount:
    """The account of the pod that this process runs in."""

    @staticmethod
    def is_there() -> bool:
        """Return whether this process runs in a pod."""
        return bool(os.environ.get(HOST))

    def read(self, *, anew: bool = False) -> Account:
        """Return the account as its files are now.

        Args:
            anew: nothing is kept from one time to the next, so this says nothing.

        Raises:
            OSError: a file cannot be read.
            ValueError: one is empty, or the address is none.
        """
        host, port = os.environ.get(HOST, ""), os.environ.get(PORT, "")
        if not port:
            raise ValueError(f"{PORT} is not set")
        authority = FOLDER / "ca.crt"
        server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
        _text(authority)
        connection = Connection(
            server=server,
            ca_path=str(authority),
            verify=True,
            token=_text(FOLDER / "token"),
            certificate_path=None,
            key_path=None,
            proxy=proxy_to(server),
        )
        namespace = FOLDER / "namespace"
        return Account(connection, _text(namespace) if namespace.exists() else "default")


def _text(path: Path) -> str:
    text = path.read_text(encoding="utf-8").strip()
    if not text:
        raise ValueError(f"{path} is empty")
    return text
