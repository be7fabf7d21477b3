"""The objects of a cluster, asked for over connections that stay open.

Each start of kubectl takes 120 ms of a processor, a request on an open connection one.
"""

import base64
import json
import ssl
import tempfile
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import yaml

Json = dict[str, Any]
TIMEOUT_SECONDS = 30.0
# Seconds for the answer to a read that is asked again without it. Now and then an API server under
# load leaves one alone that came when objects were deleted, and answers the same a moment later.
FIRST_READ_SECONDS = 8.0
READY_SECONDS = 2.0
FIELD_MANAGER = "local-cluster"
# All resources of all groups in one answer each, the preferred version first.
DISCOVERY = {"Accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"


class ClusterError(Exception):
    """The cluster refused a request, or did not answer; the message is what it said."""


class Resource(NamedTuple):
    """Where the API server has the objects of one kind.

    Attributes:
        prefix: the path of its group and version.
        plural: its name in paths.
        is_namespaced: whether its objects are in namespaces.
    """

    prefix: str
    plural: str
    is_namespaced: bool

    def path(self, namespace: str, name: str) -> str:
        """Return the path of one object, or of all in a namespace or everywhere."""
        within = f"/namespaces/{namespace}" if namespace and self.is_namespaced else ""
        return f"{self.prefix}{within}/{self.plural}" + (name and f"/{name}")


class ObjectClient:
    """Reads and writes the objects of a cluster; may be used from any thread.

    Kinds are named as for kubectl: `pods`, `pod`, `po`, `Pod`.

    Args:
        kubeconfig: of the cluster, with everything embedded.
    """

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig
        self._resources: dict[str, Resource] = {}

    def is_ready(self) -> bool:
        """Whether the API server says that it is ready."""
        try:
            return self._http.get("/readyz", timeout=READY_SECONDS).text == "ok"
        except httpx.HTTPError:
            return False

    def get(self, kinds: str, name: str = "", *, namespace: str = "", selector: str = "") -> Json:
        """Return an object, or a list of objects.

        Args:
            kinds: of the objects; several are separated by commas.
            name: of one object; blank: all of these kinds.
            namespace: where they are; blank: everywhere, or in none.
            selector: labels that those in a list have.

        Raises:
            ClusterError: there is none of that name, or the cluster does not answer.
        """
        if name:
            return self._send("GET", self._path(kinds, namespace, name))
        chosen = {"labelSelector": selector} if selector else {}
        lists = [
            self._send("GET", self._path(kind, namespace), params=chosen)
            for kind in kinds.split(",")
        ]
        return {"items": [_whole(item, found) for found in lists for item in found["items"]]}

    def names(self, kinds: str, *, namespace: str = "", selector: str = "") -> list[str]:
        """Return the names of all objects of some kinds; see `get`."""
        found = self.get(kinds, namespace=namespace, selector=selector)["items"]
        return [one["metadata"]["name"] for one in found]

    def create(self, document: Json, namespace: str = "", *, dry_run: bool = False) -> Json:
        """Create an object and return it.

        Args:
            document: its manifest; one with unknown fields is refused.
            namespace: where, unless the manifest says so.
            dry_run: only see whether the cluster takes it.

        Raises:
            ClusterError: it is there already, or the cluster refuses it.
        """
        path = self._path(_kind(document), _namespace(document, namespace))
        return self._send("POST", path, params=_checked(dry_run=dry_run), json=document)

    def apply(
        self,
        document: Json,
        namespace: str = "",
        *,
        field_manager: str = FIELD_MANAGER,
        dry_run: bool = False,
    ) -> Json:
        """Create an object or make it what the document says, and return it.

        Args:
            document: its manifest; one with unknown fields is refused.
            namespace: where, unless the manifest says so.
            dry_run: only see whether the cluster takes it.
            field_manager: whose fields these are from then on.
        """
        name = document["metadata"]["name"]
        path = self._path(_kind(document), _namespace(document, namespace), name)
        how = {"fieldManager": field_manager, "force": "true"}
        return self._patch(path, APPLY, document, how | _checked(dry_run=dry_run))

    def patch(
        self,
        kind: str,
        name: str,
        change: Json,
        *,
        namespace: str = "",
        subresource: str = "",
        dry_run: bool = False,
    ) -> Json:
        """Merge a change into an object, or a subresource of it, and return that.

        Raises:
            ClusterError: there is none of that name, or the cluster refuses the change.
        """
        path = self._path(kind, namespace, name) + (subresource and f"/{subresource}")
        return self._patch(path, MERGE, change, _checked(dry_run=dry_run))

    def delete(self, kind: str, name: str, *, namespace: str = "") -> None:
        """Delete an object and all that depends on it; those may be there a little longer.

        Raises:
            ClusterError: there is none of that name, or the cluster refuses it.
        """
        params = {"propagationPolicy": "Background"}
        self._send("DELETE", self._path(kind, namespace, name), params=params)

    def delete_all(self, kind: str, *, namespace: str) -> None:
        """Delete all objects of a kind in a namespace, and all that depends on them, as `delete`.

        Raises:
            ClusterError: the cluster refuses it.
        """
        self.delete(kind, "", namespace=namespace)

    def _patch(self, path: str, how: str, document: Json, params: dict[str, str]) -> Json:
        content = json.dumps(document).encode()
        headers = {"Content-Type": how}
        return self._send("PATCH", path, params=params, content=content, headers=headers)

    def _send(self, method: str, path: str, **how: Any) -> Json:  # noqa: ANN401 - as for httpx
        what = f"{method} {path}"
        try:
            answer = self._answer(method, path, **how)
            document: Json = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise ClusterError(f"{what}: {error or type(error).__name__}") from None
        if answer.is_error:
            said = f"{document.get('reason')}: {document.get('message')}"
            raise ClusterError(f"{what}: {said}")
        return document

    def _answer(self, method: str, path: str, **how: Any) -> httpx.Response:  # noqa: ANN401 - as for httpx
        if method == "GET":
            with suppress(httpx.ReadTimeout):
                return self._http.request(method, path, timeout=FIRST_READ_SECONDS, **how)
        return self._http.request(method, path, **how)

    def _path(self, kind: str, namespace: str, name: str = "") -> str:
        kind = kind.lower()
        if kind not in self._resources:  # it may have come since
            self._resources = self._discover()
        if kind not in self._resources:
            raise ClusterError(f'the server has no resource type "{kind}"')
        return self._resources[kind].path(namespace, name)

    def _discover(self) -> dict[str, Resource]:
        """Return each resource by each of its names, which the first group has that uses it."""
        found: dict[str, Resource] = {}
        for root in ("/api", "/apis"):
            for group in self._send("GET", root, headers=DISCOVERY)["items"]:
                place = f"{root}/{group['metadata'].get('name', '')}".rstrip("/")
                for version in group["versions"]:
                    for one in version["resources"]:
                        _add(found, f"{place}/{version['version']}", one)
        return found

    @cached_property
    def _http(self) -> httpx.Client:
        config = yaml.safe_load(self._kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        user = config["users"][0]["user"]
        authority = _decoded(cluster["certificate-authority-data"]).decode()
        context = ssl.create_default_context(cadata=authority)
        with tempfile.NamedTemporaryFile() as identity:  # it is read from files alone
            for part in ("client-certificate-data", "client-key-data"):
                identity.write(_decoded(user[part]))
            identity.flush()
            context.load_cert_chain(identity.name)
        return httpx.Client(
            base_url=cluster["server"], verify=context, timeout=TIMEOUT_SECONDS, trust_env=False
        )


def _add(found: dict[str, Resource], prefix: str, described: Json) -> None:
    resource = Resource(prefix, described["resource"], described["scope"] == "Namespaced")
    kind = described["responseKind"]["kind"].lower()
    for name in (resource.plural, kind, *described.get("shortNames", ())):
        found.setdefault(name, resource)


def _whole(item: Json, listed: Json) -> Json:
    """Return an object of a list with what the list says of all of its objects."""
    of_all = {
        "apiVersion": listed["apiVersion"],
        "kind": str(listed["kind"]).removesuffix("List"),
    }
    return of_all | item


def _checked(*, dry_run: bool) -> dict[str, str]:
    """Return the parameters of a write that refuses unknown fields, as kubectl does."""
    return {"fieldValidation": "Strict"} | ({"dryRun": "All"} if dry_run else {})


def _kind(document: Json) -> str:
    return str(document["kind"])


def _namespace(document: Json, otherwise: str) -> str:
    return str(document["metadata"].get("namespace", otherwise))


def _decoded(text: str) -> bytes:
    return base64.b64decode(text)
