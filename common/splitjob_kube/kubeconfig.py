"""KUBECONFIG: where the API server is and who we are, as kubectl reads it.

Several files count as one: the first that says something wins. A user may have a token, a file with
one, a certificate, or a plugin that gives either (`splitjob_kube.sign_in_plugin`).

Source: https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/
"""

import base64
import hashlib
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from splitjob.egress import Proxy
from splitjob_kube.connection import Account, Connection
from splitjob_kube.proxies import proxy_to
from splitjob_kube.sign_in_plugin import SignInPlugin

__all__ = ["Kubeconfig", "KubeconfigError"]

Json = dict[str, Any]
DEFAULT = "~/.kube/config"
# What kubectl no longer takes either.
REMOVED = ("auth-provider", "username")


class KubeconfigError(ValueError):
    """The files say nothing that can be used."""


class _Section(NamedTuple):
    """A cluster, a user or a context.

    Attributes:
        content: what is said of it.
        folder: of the file that says it, from which relative paths count.
    """

    content: Json
    folder: Path

    def text(self, key: str) -> str | None:
        """Return a value; None where it is blank or not there."""
        return str(self.content.get(key) or "") or None

    def file(self, key: str) -> str | None:
        """Return the path of a file that is named, or is in here itself as `KEY-data`."""
        if embedded := self.text(f"{key}-data"):
            return _file_with(base64.b64decode(embedded))
        named = self.text(key)
        if named is None:
            return None
        path = self.folder / named
        if not path.is_file():
            raise KubeconfigError(f"file does not exist: {path}")
        return str(path)


class Kubeconfig:
    """What the files of KUBECONFIG say.

    Args:
        paths: theirs, as in that variable; blank: kubectl's default.
    """

    def __init__(self, paths: str) -> None:
        named = (paths or DEFAULT).split(os.pathsep)
        self._paths = [_expanded(path) for path in named if path]
        self._plugin = SignInPlugin()
        self._parsed: dict[Path, tuple[bytes, Json]] = {}

    def read(self, *, anew: bool = False) -> Account:
        """Return the current context's account, as its files are now.

        Args:
            anew: whether a plugin is to be asked whose last answer still counts.

        Raises:
            KubeconfigError: something is missing.
            OSError, ValueError, LookupError, TypeError, AttributeError, yaml.YAMLError: a file
                cannot be read, is half written, or something else.
        """
        files = [(path.parent, self._content(path)) for path in self._paths if path.exists()]
        name = next((one["current-context"] for _, one in files if one.get("current-context")), "")
        context = _named(files, "contexts", name)
        cluster = _named(files, "clusters", context.content["cluster"])
        who = context.text("user")
        user = _named(files, "users", who) if who else _Section({}, Path())
        connection = self._connection(cluster, user, anew=anew)
        return Account(connection, context.text("namespace") or "default")

    def _content(self, path: Path) -> Json:
        """Return what a file says; parsed again only where it has changed."""
        text = path.read_bytes()
        known = self._parsed.get(path)
        if known is None or known[0] != text:
            content = yaml.safe_load(text)
            if not isinstance(content, dict):
                raise KubeconfigError(f"{path} is no kubeconfig")
            known = self._parsed[path] = (text, content)
        return known[1]

    def _connection(self, cluster: _Section, user: _Section, *, anew: bool) -> Connection:
        server = str(cluster.content["server"]).rstrip("/")
        token, certificate, key = self._identity(cluster, user, anew=anew)
        proxy = cluster.text("proxy-url")
        return Connection(
            server=server,
            ca_path=cluster.file("certificate-authority"),
            verify=not cluster.content.get("insecure-skip-tls-verify", False),
            token=token,
            certificate_path=certificate,
            key_path=key,
            server_name=cluster.text("tls-server-name"),
            proxy=Proxy.parse(proxy) if proxy else proxy_to(server),
        )

    def _identity(
        self, cluster: _Section, user: _Section, *, anew: bool
    ) -> tuple[str | None, str | None, str | None]:
        """Return token, and the files of certificate and key."""
        for key in REMOVED:
            if key in user.content:
                raise KubeconfigError(f"a user with {key!r} cannot sign in: Kubernetes took it out")
        certificate, private_key = user.file("client-certificate"), user.file("client-key")
        if named := user.text("tokenFile"):
            token = (user.folder / named).read_text(encoding="utf-8").strip() or None
        else:
            token = user.text("token")
        if token is None and certificate is None and "exec" in user.content:
            given = self._plugin.answer(
                user.content["exec"], cluster.content, user.folder, anew=anew
            )
            token, certificate, private_key = (
                given.token,
                _file_with(given.certificate),
                _file_with(given.key),
            )
        return token, certificate, private_key


def _expanded(path: str) -> Path:
    """Return a path with the home folder in place of `~`; a pod's user need not have one."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def _named(files: list[tuple[Path, Json]], kind: str, name: str) -> _Section:
    for folder, content in files:
        for entry in content.get(kind) or ():
            if entry["name"] == name:
                return _Section(entry[kind.removesuffix("s")], folder)
    raise KubeconfigError(f"there is no {name!r} among the {kind} of the kubeconfig")


def _file_with(content: bytes | None) -> str | None:
    """Return a file with a certificate or key: TLS reads them from files alone."""
    if not content:
        return None
    path = Path(_folder().name) / hashlib.sha256(content).hexdigest()
    if not path.exists():
        path.write_bytes(content)
    return str(path)


@cache
def _folder() -> "tempfile.TemporaryDirectory[str]":
    """Return a folder that nobody else may look into, and that goes with this process."""
    return tempfile.TemporaryDirectory(prefix="kubeconfig-")
