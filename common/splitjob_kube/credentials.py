"""Credentials for the API server: KUBECONFIG's first, the pod's service account's second.

Tokens are replaced while a program runs, and live an hour: what names them, and the files that hold
them, is read again every few seconds, and at once where the API server no longer takes the one read
before.
"""

import os
import threading
import time

import yaml

from splitjob_kube.connection import Account, Connection
from splitjob_kube.errors import UnconfiguredError
from splitjob_kube.kubeconfig import Kubeconfig
from splitjob_kube.service_account import ServiceAccount

__all__ = ["Credentials"]

RELOAD_SECONDS = 10.0
# What comes of files that are not there, half written, or something else.
UNREADABLE = (yaml.YAMLError, OSError, ValueError, TypeError, AttributeError, LookupError)


class Credentials:
    """Where the API server is and who we are, kept current.

    Attributes:
        namespace: the service account's own, or that of KUBECONFIG's context.
        generation: how often they were read; what was made of an earlier one may be out of date.

    Raises:
        UnconfiguredError: neither a KUBECONFIG nor a service account says where the API server is.
    """

    def __init__(self) -> None:
        named = os.environ.get("KUBECONFIG", "")
        in_cluster = not named and ServiceAccount.is_there()
        self._source = ServiceAccount() if in_cluster else Kubeconfig(named)
        self._lock = threading.Lock()
        self.generation = 0
        try:
            self._account = self._load()
        except UNREADABLE as error:
            raise UnconfiguredError(f"the API server's address is not known: {error}") from None
        self.namespace = self._account.namespace

    def renew(self, refused: str | None) -> bool:
        """Read the credentials again now; return whether the token is another one.

        Args:
            refused: the token that the API server did not take.
        """
        with self._lock:
            if self.token == refused:
                self._read_again(anew=True)
            return self.token != refused

    @property
    def token(self) -> str | None:
        """The token as it was last read; None where a certificate is used."""
        return self._account.connection.token

    def connection(self) -> Connection:
        """Return what was read, for another client."""
        return self._account.connection

    def is_current(self, generation: int) -> bool:
        """Return whether nothing was read since, nor is to be read again; never blocks."""
        return generation == self.generation and time.monotonic() < self._due

    def refresh(self) -> None:
        """Read the credentials again where that is due."""
        with self._lock:
            if time.monotonic() >= self._due:
                self._read_again()

    def _load(self, *, anew: bool = False) -> Account:
        self._due = time.monotonic() + RELOAD_SECONDS
        account = self._source.read(anew=anew)
        self.generation += 1
        return account

    def _read_again(self, *, anew: bool = False) -> None:
        """Read again; what cannot be read, as while it is being replaced, stays as it was."""
        try:
            self._account = self._load(anew=anew)
        except UNREADABLE:
            return
