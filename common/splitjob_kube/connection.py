"""The way to the API server: KUBECONFIG's first, the pod's service account's second.

Tokens are replaced while a program runs, so both are read again and again: the service account's
file by the library, once a minute, a KUBECONFIG by the hook here.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

from kubernetes import client, config

__all__ = ["configure"]

RELOAD_SECONDS = 10.0
NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def configure(configuration: client.Configuration) -> str:
    """Fill in where the cluster is and who we are; return the namespace that goes with it.

    Raises:
        kubernetes.config.ConfigException: neither says where the API server is.
    """
    kubeconfig = os.environ.get("KUBECONFIG")
    if not kubeconfig and os.environ.get("KUBERNETES_SERVICE_HOST"):
        config.load_incluster_config(client_configuration=configuration)
        return NAMESPACE_FILE.read_text().strip() if NAMESPACE_FILE.exists() else "default"
    config.load_kube_config(kubeconfig, client_configuration=configuration)
    configuration.refresh_api_key_hook = _reloader(kubeconfig)
    _, active = config.list_kube_config_contexts(kubeconfig)
    namespace: str = active["context"].get("namespace") or "default"
    return namespace


def _reloader(kubeconfig: str | None) -> Callable[[client.Configuration], None]:
    """Return a hook that reads a KUBECONFIG again; the library reads its tokenFile once."""
    due = time.monotonic() + RELOAD_SECONDS

    def reload(configuration: client.Configuration) -> None:
        nonlocal due
        if time.monotonic() < due:
            return
        due = time.monotonic() + RELOAD_SECONDS
        config.load_kube_config(kubeconfig, client_configuration=configuration)
        configuration.refresh_api_key_hook = reload

    return reload
