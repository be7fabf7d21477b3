"""The only file that talks to the Kubernetes API (kopf's watches apart).

Everything is the API server's own JSON. Calls block; the operator makes them in threads.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from splitjob.resource import GROUP, LABEL_SPLITJOB, PLURAL, SECRET_TYPE, VERSION
from splitjob_kube.connection import configure
from splitjob_kube.preconditions import Preconditions, Unready
from splitjob_kube.rights import Right, rights

__all__ = [
    "AlreadyExists",
    "Cluster",
    "ClusterError",
    "Conflict",
    "Connection",
    "Forbidden",
    "NotFound",
    "accepts_credentials",
    "connect",
    "rights_needed",
]

Json = dict[str, Any]
TIMEOUT = (5, 30)  # seconds to connect, to read
LOG_TIMEOUT = (3, 5)
PAGE = 500
LOG_LINES = 40
LOG_BYTES = 16384
# What everything below, and kopf's watches, need. Nodes are not among them: an installation may do
# without (rbac.nodes).
RIGHTS = (
    *rights(PLURAL, "get", "list", "watch", "delete", group=GROUP),
    *rights(f"{PLURAL}/status", "update", group=GROUP),
    *rights(f"{PLURAL}/finalizers", "update", group=GROUP),
    *rights("jobs", "create", "get", "list", "watch", "delete", group="batch"),
    *rights("pods", "list", "watch", "delete"),
    *rights("pods/log", "get"),
    *rights("secrets", "get", "list", "patch", "delete"),
    *rights("events", "create", "list"),
    *rights("configmaps", "create"),
)


class ClusterError(Exception):
    """The API server refused, or could not be reached.

    Args:
        message: what was attempted and what came back.
        status: the HTTP status, 0 where there was none.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class NotFound(ClusterError):  # noqa: N818 - these read as what the API server said
    """The object is not there."""


class Conflict(ClusterError):  # noqa: N818
    """The object has changed since it was read, or is another one."""


class AlreadyExists(ClusterError):  # noqa: N818
    """An object of that name is there already."""


class Forbidden(ClusterError):  # noqa: N818
    """The operator's account may not do this."""


@dataclass(frozen=True)
class Connection:
    """How to reach the API server, for kopf."""

    server: str
    ca_path: str | None
    verify: bool
    token: str | None
    certificate_path: str | None
    key_path: str | None


def connect() -> client.ApiClient:
    """Return a client: by KUBECONFIG where it is set, else from inside the cluster.

    Raises:
        ClusterError: neither says where the API server is.
    """
    configuration = client.Configuration()
    try:
        configure(configuration)
    except config.ConfigException as error:
        raise ClusterError(f"the API server's address is not known: {error}") from None
    configuration.retries = False
    configuration.connection_pool_maxsize = 64
    return client.ApiClient(configuration)


def connection() -> Connection:
    """Return how to reach the API server, read afresh: tokens are renewed under our feet."""
    configuration = connect().configuration
    prefixed = configuration.get_api_key_with_prefix("BearerToken") or (
        configuration.get_api_key_with_prefix("authorization")
    )
    return Connection(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        verify=configuration.verify_ssl,
        token=_without_scheme(prefixed) if prefixed else None,
        certificate_path=configuration.cert_file,
        key_path=configuration.key_file,
    )


def accepts_credentials() -> bool:
    """Return whether the API server knows us; True also where it does not answer at all."""
    try:
        client.VersionApi(connect()).get_code(_request_timeout=TIMEOUT)
    except ApiException as error:
        return bool(error.status != 401)
    except urllib3.exceptions.HTTPError:
        return True
    return True


def _without_scheme(authorization: str) -> str:
    """Return the token of an Authorization header's value.

    KUBECONFIG's loader writes `Bearer TOKEN`, the in-cluster one `bearer TOKEN`: the scheme's case
    means nothing (RFC 9110, section 11.1).
    """
    return authorization.split(maxsplit=1)[-1].strip()


class Cluster:
    """One namespace of a cluster.

    Args:
        namespace: the namespace served.
        needed: the rights that this operator needs (`rights_needed`).
        release: this installation's name; blank: it has none.
        api: a client; `connect()` by default.
    """

    def __init__(
        self,
        namespace: str,
        needed: tuple[Right, ...] = (),
        release: str = "",
        api: client.ApiClient | None = None,
    ) -> None:
        self.namespace = namespace
        self._api = api or connect()
        self._preconditions = Preconditions(self._api, namespace, needed, release)
        self._core = client.CoreV1Api(self._api)
        self._batch = client.BatchV1Api(self._api)
        self._networking = client.NetworkingV1Api(self._api)
        self._custom = client.CustomObjectsApi(self._api)
        self._kind = {
            "group": GROUP,
            "version": VERSION,
            "namespace": namespace,
            "plural": PLURAL,
        }

    def unmet(self) -> tuple[Unready, ...]:
        """Return what of the cluster is not as this operator needs it."""
        with _translating("look at the CRD and at its own rights"):
            return self._preconditions.unmet()

    # SplitJobs

    def splitjob(self, name: str) -> Json:
        """Return a SplitJob."""
        return self._call(
            f"read SplitJob {name}",
            self._custom.get_namespaced_custom_object,
            name=name,
            **self._kind,
        )

    def splitjobs(self) -> Iterator[Json]:
        """Yield all SplitJobs, page by page."""
        return self._pages(
            "list SplitJobs", self._custom.list_namespaced_custom_object, **self._kind
        )

    def write_status(self, seen: Mapping[str, Any], status: Json) -> Json:
        """Replace the status of a SplitJob as it was read.

        Returns:
            The SplitJob as it is now.

        Raises:
            Conflict: it has changed since.
        """
        return self._call(
            f"write the status of {seen['metadata']['name']}",
            self._custom.replace_namespaced_custom_object_status,
            name=seen["metadata"]["name"],
            body={**seen, "status": status},
            **self._kind,
        )

    def delete_splitjob(self, name: str, uid: str) -> None:
        """Delete a SplitJob and, behind it, all it owns."""
        self._delete(
            f"SplitJob {name}",
            self._custom.delete_namespaced_custom_object,
            uid,
            "Background",
            None,
            name=name,
            **self._kind,
        )

    # Jobs and pods

    def job(self, name: str) -> Json:
        """Return a Job."""
        return self._call(
            f"read Job {name}",
            self._batch.read_namespaced_job,
            name=name,
            namespace=self.namespace,
        )

    def jobs(self, splitjob: str | None = None) -> Iterator[Json]:
        """Yield the Jobs of a SplitJob, by its label; without a name those of all."""
        return self._pages(
            "list Jobs",
            self._batch.list_namespaced_job,
            namespace=self.namespace,
            label_selector=_selector(splitjob),
        )

    def pods(self, splitjob: str | None = None) -> Iterator[Json]:
        """Yield the pods of a SplitJob, by its label; without a name those of all."""
        return self._pages(
            "list pods",
            self._core.list_namespaced_pod,
            namespace=self.namespace,
            label_selector=_selector(splitjob),
        )

    def create_job(self, manifest: Json) -> Json:
        """Create a Job.

        Raises:
            AlreadyExists: one of that name is there.
        """
        return self._call(
            f"create Job {manifest['metadata']['name']}",
            self._batch.create_namespaced_job,
            namespace=self.namespace,
            body=manifest,
        )

    def create_network_policy(self, manifest: Json) -> None:
        """Create a NetworkPolicy.

        Raises:
            AlreadyExists: one of that name is there.
        """
        self._call(
            f"create NetworkPolicy {manifest['metadata']['name']}",
            self._networking.create_namespaced_network_policy,
            namespace=self.namespace,
            body=manifest,
        )

    def delete_job(self, name: str, uid: str, propagation: str) -> None:
        """Delete a Job; one that is gone already is fine."""
        self._delete(
            f"Job {name}",
            self._batch.delete_namespaced_job,
            uid,
            propagation,
            name=name,
            namespace=self.namespace,
        )

    def delete_pod(self, name: str, uid: str, *, force: bool) -> None:
        """Delete a pod; by force without waiting for its node."""
        self._delete(
            f"pod {name}",
            self._core.delete_namespaced_pod,
            uid,
            "Background",
            grace_seconds=0 if force else None,
            name=name,
            namespace=self.namespace,
        )

    def log_tail(self, pod: str, container: str) -> str:
        """Return the last lines of a container's log."""
        response = self._send(
            f"read the log of {pod}",
            self._core.read_namespaced_pod_log,
            name=pod,
            namespace=self.namespace,
            container=container,
            tail_lines=LOG_LINES,
            limit_bytes=LOG_BYTES,
            _request_timeout=LOG_TIMEOUT,
        )
        return bytes(response.data).decode("utf-8", errors="replace")

    def node(self, name: str) -> Json:
        """Return a node."""
        return self._call(f"read node {name}", self._core.read_node, name=name)

    # Secrets, events, totals

    def secret(self, name: str) -> Json:
        """Return a Secret."""
        return self._call(
            f"read Secret {name}",
            self._core.read_namespaced_secret,
            name=name,
            namespace=self.namespace,
        )

    def source_secrets(self) -> Iterator[Json]:
        """Yield the Secrets with the URLs of requests, and no others."""
        return self._pages(
            "list Secrets",
            self._core.list_namespaced_secret,
            namespace=self.namespace,
            field_selector=f"type={SECRET_TYPE}",
        )

    def own_secret(self, secret: Mapping[str, Any], owner: Json) -> None:
        """Add an owner to a Secret as it was read."""
        metadata = secret["metadata"]
        owners = [*metadata.get("ownerReferences", []), owner]
        body = {
            "metadata": {
                "resourceVersion": metadata["resourceVersion"],
                "uid": metadata["uid"],
                "ownerReferences": owners,
            }
        }
        self._call(
            f"own Secret {metadata['name']}",
            self._core.patch_namespaced_secret,
            name=metadata["name"],
            namespace=self.namespace,
            body=body,
        )

    def delete_secret(self, name: str, uid: str) -> None:
        """Delete a Secret; one that is gone already is fine."""
        self._delete(
            f"Secret {name}",
            self._core.delete_namespaced_secret,
            uid,
            "Background",
            name=name,
            namespace=self.namespace,
        )

    def warnings(self, kind: str, name: str) -> list[Json]:
        """Return the warning events about an object."""
        selector = f"involvedObject.kind={kind},involvedObject.name={name},type=Warning"
        return list(
            self._pages(
                "list events",
                self._core.list_namespaced_event,
                namespace=self.namespace,
                field_selector=selector,
            )
        )

    def create_event(self, event: Json) -> None:
        """Create a Kubernetes Event."""
        self._call(
            "create an event",
            self._core.create_namespaced_event,
            namespace=self.namespace,
            body=event,
        )

    def configmap(self, name: str) -> Json | None:
        """Return a ConfigMap, or None where it is not there."""
        try:
            return self._call(
                f"read ConfigMap {name}",
                self._core.read_namespaced_config_map,
                name=name,
                namespace=self.namespace,
            )
        except NotFound:
            return None

    def write_configmap(self, configmap: Json) -> Json:
        """Write a ConfigMap: with a resourceVersion as it was read, without one anew.

        Raises:
            Conflict: it has changed since.
            AlreadyExists: it is there already.
        """
        name = configmap["metadata"]["name"]
        if "resourceVersion" in configmap["metadata"]:
            return self._call(
                f"write ConfigMap {name}",
                self._core.replace_namespaced_config_map,
                name=name,
                namespace=self.namespace,
                body=configmap,
            )
        return self._call(
            f"create ConfigMap {name}",
            self._core.create_namespaced_config_map,
            namespace=self.namespace,
            body=configmap,
        )

    # How

    def _delete(
        self,
        what: str,
        method: Callable[..., Any],
        uid: str,
        propagation: str,
        grace_seconds: int | None = None,
        **arguments: Any,  # noqa: ANN401 - handed to the client as they are
    ) -> None:
        options: Json = {"propagationPolicy": propagation, "preconditions": {"uid": uid}}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        try:
            self._call(f"delete {what}", method, body=options, **arguments)
        except (NotFound, Conflict):
            return  # gone, or another of that name: not ours to delete

    def _pages(
        self,
        deed: str,
        method: Callable[..., Any],
        **arguments: Any,  # noqa: ANN401 - handed to the client as they are
    ) -> Iterator[Json]:
        token = ""
        while True:
            more = {"_continue": token} if token else {}
            page = self._call(deed, method, limit=PAGE, **more, **arguments)
            yield from page.get("items", [])
            token = page.get("metadata", {}).get("continue", "")
            if not token:
                return

    def _call(
        self,
        deed: str,
        method: Callable[..., Any],
        **arguments: Any,  # noqa: ANN401 - handed to the client as they are
    ) -> Json:
        answer: Json = json.loads(self._send(deed, method, **arguments).data)
        return answer

    def _send(
        self,
        deed: str,
        method: Callable[..., Any],
        **arguments: Any,  # noqa: ANN401 - handed to the client as they are
    ) -> Any:  # noqa: ANN401 - urllib3's response
        arguments.setdefault("_request_timeout", TIMEOUT)
        with _translating(deed):
            return method(_preload_content=False, **arguments)


def rights_needed(totals: str, *, network_policies: bool) -> tuple[Right, ...]:
    """Return what this operator needs to be allowed.

    Args:
        totals: the ConfigMap with the totals.
        network_policies: whether it makes one for each Job.
    """
    own = rights("configmaps", "get", "update", name=totals)
    policies = rights("networkpolicies", "create", group="networking.k8s.io")
    return (*RIGHTS, *own, *(policies if network_policies else ()))


@contextmanager
def _translating(deed: str) -> Iterator[None]:
    """QueueDecision what the client raises into our own errors."""
    try:
        yield
    except ApiException as error:
        raise _translated(deed, error) from None
    except urllib3.exceptions.HTTPError as error:
        raise ClusterError(f"cannot {deed}: {type(error).__name__}") from None


def _selector(splitjob: str | None) -> str:
    return LABEL_SPLITJOB if splitjob is None else f"{LABEL_SPLITJOB}={splitjob}"


def _translated(deed: str, error: ApiException) -> ClusterError:
    reason, message = "", str(error.reason or "")
    try:
        answer = json.loads(error.body or "")
        reason, message = answer.get("reason", ""), answer.get("message", message)
    except (ValueError, AttributeError):
        pass
    kinds = {404: NotFound, 409: Conflict, 403: Forbidden}
    kind = kinds.get(error.status, ClusterError)
    if reason == "AlreadyExists":
        kind = AlreadyExists
    return kind(f"cannot {deed}: {error.status} {message[:300]}", error.status)
