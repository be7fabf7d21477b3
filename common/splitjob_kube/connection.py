"""The way to the API server: KUBECONFIG's first, the pod's service account's second.

Tokens are replaced while a program runs, and live an hour: what names them, and the files that hold
them, is read again every few seconds, and at once where the API server no longer takes the one read
before.
"""

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import yaml
from kubernetes import client, config
from kubernetes.client.rest import should_bypass_proxies

from splitjob_kube.errors import UnconfiguredError

__all__ = ["Connection", "Credentials"]

RELOAD_SECONDS = 10.0
NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
API_KEY = "BearerToken"  # what the library calls the header with the token
# What the library raises over files that are not there, half written, or something else.
UNREADABLE = (
    config.ConfigException,
    yaml.YAMLError,
    OSError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
)


@dataclass(frozen=True)
class Connection:
    """How to reach the API server, for a client that is not ours.

    Attributes:
        server: its URL.
        ca_path: the file with its authority's certificate.
        verify: whether its certificate is to be checked.
        token: ours, bare.
        certificate_path, key_path: the files of our own certificate.
        server_name: whom its certificate must name, where that is not the URL's host.
        proxy: the URL of the proxy on the way; None: there is none.
    """

    server: str
    ca_path: str | None
    verify: bool
    token: str | None
    certificate_path: str | None
    key_path: str | None
    server_name: str | None = None
    proxy: str | None = None


class Credentials:
    """Where the API server is and who we are, kept current in a client's configuration.

    Args:
        configuration: is filled in, and again whenever it is used and has not been for a while.

    Attributes:
        namespace: the service account's own, or that of KUBECONFIG's context.
        generation: how often they were read; what was made of an earlier one may be out of date.

    Raises:
        UnconfiguredError: neither a KUBECONFIG nor a service account says where the API server is.
    """

    def __init__(self, configuration: client.Configuration) -> None:
        self._configuration = configuration
        self._kubeconfig = os.environ.get("KUBECONFIG")
        self._in_cluster = not self._kubeconfig and bool(os.environ.get("KUBERNETES_SERVICE_HOST"))
        self._lock = threading.Lock()
        self._due = 0.0
        self.generation = 0
        try:
            self._load()
            self.namespace = self._own_namespace()
        except UNREADABLE as error:
            raise UnconfiguredError(f"the API server's address is not known: {error}") from None

    def renew(self, refused: str | None) -> bool:
        """Read the credentials again now; return whether the token is another one.

        Args:
            refused: the token that the API server did not take.
        """
        with self._lock:
            if self.token == refused:
                self._read_again()
            return self.token != refused

    @property
    def token(self) -> str | None:
        """The token as it was last read, without its scheme; None where a certificate is used.

        KUBECONFIG's loader writes `Bearer TOKEN`, the in-cluster one `bearer TOKEN`: the scheme's
        case means nothing (RFC 9110, section 11.1).
        """
        header: str | None = self._configuration.api_key.get(API_KEY)
        return header.split(maxsplit=1)[-1].strip() if header else None

    def connection(self) -> Connection:
        """Return what was read, for another client."""
        with self._lock:
            return Connection(
                server=self._configuration.host,
                ca_path=self._configuration.ssl_ca_cert,
                verify=self._configuration.verify_ssl,
                token=self.token,
                certificate_path=self._configuration.cert_file,
                key_path=self._configuration.key_file,
                server_name=self._configuration.tls_server_name or None,
                proxy=self._proxy(),
            )

    def is_current(self, generation: int) -> bool:
        """Return whether nothing was read since, nor is to be read again; never blocks."""
        return generation == self.generation and time.monotonic() < self._due

    def refresh(self) -> None:
        """Read the credentials again where that is due."""
        with self._lock:
            if time.monotonic() >= self._due:
                self._read_again()

    def _load(self) -> None:
        self._due = time.monotonic() + RELOAD_SECONDS
        if self._in_cluster:
            config.load_incluster_config(client_configuration=self._configuration)
        else:
            config.load_kube_config(self._kubeconfig, client_configuration=self._configuration)
        self._configuration.refresh_api_key_hook = self._refresh  # the library calls it each time
        self.generation += 1

    def _refresh(self, _: client.Configuration) -> None:
        self.refresh()

    def _proxy(self) -> str | None:
        given, without = self._configuration.proxy, self._configuration.no_proxy or ""
        bypassed = not given or should_bypass_proxies(self._configuration.host, no_proxy=without)
        return None if bypassed else str(given)

    def _read_again(self) -> None:
        """Read again; what cannot be read, as while it is being replaced, stays as it was."""
        try:
            self._load()
        except UNREADABLE:
            self._configuration.refresh_api_key_hook = self._refresh

    def _own_namespace(self) -> str:
        if self._in_cluster:
            return NAMESPACE_FILE.read_text().strip() if NAMESPACE_FILE.exists() else "default"
        _, active = config.list_kube_config_contexts(self._kubeconfig)
        namespace: str = active["context"].get("namespace") or "default"
        return namespace
