"""Whether the cluster serves SplitJobs with all that this version writes into them.

The API server drops a field that its CustomResourceDefinition does not have, and says nothing:
written by a newer operator, an outbox or a verdict would be lost. What is served is read from the
OpenAPI document of the group, which every account may read (the ClusterRole `system:discovery`).
Source: https://kubernetes.io/docs/concepts/overview/kubernetes-api/#openapi-v3
"""

from collections.abc import Iterator
from typing import Any

from splitjob.crd import root_schema
from splitjob.resource import GROUP, KIND, PLURAL, VERSION
from splitjob_kube.client import KubernetesClient
from splitjob_kube.errors import KubernetesError

__all__ = ["CrdMissingError", "ServedSchema", "differences"]

Schema = dict[str, Any]
TIMEOUT = (3, 10)  # seconds to connect, to read
INDEX = "/openapi/v3"
PATH = f"apis/{GROUP}/{VERSION}"
NOT_SAID = {403, 404, 406}  # an API server that shows its OpenAPI documents to nobody
# Bounds of values: what this version writes must fit into what is served.
AT_MOST = ("maximum", "maxItems", "maxLength", "maxProperties")
AT_LEAST = ("minimum", "minItems", "minLength", "minProperties")


class CrdMissingError(Exception):
    """The cluster does not serve SplitJobs of this version.

    Attributes:
        versions: those that it serves instead.
    """

    def __init__(self, versions: tuple[str, ...]) -> None:
        super().__init__(f"{PLURAL}.{GROUP}/{VERSION} is not served")
        self.versions = versions


class ServedSchema:
    """Compares what is served with what this version needs; again only when it has changed.

    Args:
        kubernetes: a client of the cluster.
    """

    def __init__(self, kubernetes: KubernetesClient) -> None:
        self._kubernetes = kubernetes
        self._compared = ""
        self._missing: tuple[str, ...] = ()

    def missing(self) -> tuple[str, ...]:
        """Return what the served schema lacks, as paths; nothing where the server does not say.

        Raises:
            CrdMissingError: the resource is not there, or not in this version.
            splitjob_kube.errors.KubernetesError: the API server failed.
        """
        try:
            paths = self._get(INDEX)["paths"]
            if PATH not in paths:
                return self._undocumented(paths)
            address = str(paths[PATH]["serverRelativeURL"])  # it ends in a hash of the document
            if address != self._compared:
                self._missing = tuple(differences(root_schema(), _served(self._get(address))))
                self._compared = address
        except KubernetesError as error:
            if error.status not in NOT_SAID:
                raise
            return ()
        return self._missing

    def _undocumented(self, paths: Schema) -> tuple[str, ...]:
        """Return nothing where the kind is served all the same: its document comes a little later.

        Raises:
            CrdMissingError: it is not served.
        """
        try:
            served = self._get(f"/{PATH}")["resources"]
        except KubernetesError as error:
            if error.status not in NOT_SAID:
                raise
            served = []
        if all(one["name"] != PLURAL for one in served):
            raise CrdMissingError(_versions(paths))
        return ()

    def _get(self, path: str) -> Schema:
        return self._kubernetes.read(f"read {path}", path, timeout=TIMEOUT)


def differences(needed: Schema, served: Schema, path: str = "") -> Iterator[str]:
    """Yield where a served schema would lose or refuse what a needed one allows.

    Args:
        needed: the schema of this version, in structural form.
        served: the one of the cluster.
        path: of both, from the root.
    """
    if served.get("x-kubernetes-preserve-unknown-fields"):
        return
    yield from _values(needed, served, path)
    properties = served.get("properties", {})
    for name, one in needed.get("properties", {}).items():
        below = f"{path}.{name}" if path else name
        if below == "metadata":  # the API server's own
            continue
        if name not in properties:
            yield below
        else:
            yield from differences(one, properties[name], below)
    for key, mark in (("items", "[]"), ("additionalProperties", ".*")):
        if isinstance(needed.get(key), dict):
            inner = served.get(key)
            if isinstance(inner, dict):
                yield from differences(needed[key], inner, path + mark)
            else:
                yield path + mark


def _values(needed: Schema, served: Schema, path: str) -> Iterator[str]:
    """Yield the values that are not taken there: of an enumeration, or beyond a bound."""
    if "enum" in served:
        for value in needed.get("enum", ()):
            if value not in served["enum"]:
                yield f"{path}={value}"
    for key in AT_MOST:
        if key in served and served[key] < needed.get(key, float("inf")):
            yield f"{path} ({key} {served[key]})"
    for key in AT_LEAST:
        if key in served and served[key] > needed.get(key, float("-inf")):
            yield f"{path} ({key} {served[key]})"


def _served(document: Schema) -> Schema:
    """Return the schema of SplitJob in an OpenAPI document."""
    wanted = {"group": GROUP, "kind": KIND, "version": VERSION}
    for schema in document["components"]["schemas"].values():
        if wanted in schema.get("x-kubernetes-group-version-kind", ()):
            found: Schema = schema
            return found
    raise CrdMissingError(())


def _versions(paths: dict[str, Any]) -> tuple[str, ...]:
    prefix = f"apis/{GROUP}/"
    return tuple(sorted(path.removeprefix(prefix) for path in paths if path.startswith(prefix)))
