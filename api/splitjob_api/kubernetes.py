"""The one way to the cluster: SplitJobs and Secrets through the Kubernetes API.

Every call has a timeout and may block: routes call it from worker threads, never from the event
loop. The configuration is KUBECONFIG's first, the pod's service account's second.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from splitjob import resource
from splitjob_kube.connection import configure
from splitjob_kube.preconditions import Preconditions, Unready
from splitjob_kube.rights import Right, rights

CONNECT_SECONDS = 2.0
READ_SECONDS = 10.0
WATCH_SECONDS = 60  # the server ends a watch after this; a silent one is noticed soon after
PAGE_SIZE = 500
POOL_SIZE = 64  # more than the threads that serve requests, and the watch
# One more try where the connection broke or the server says "later" (429 with Retry-After), and of
# reads only: urllib3 repeats no POST that it has sent.
RETRIES = urllib3.Retry(
    total=2,
    connect=1,
    read=1,
    status=1,
    redirect=0,
    backoff_factor=0.1,
    retry_after_max=2,
    raise_on_status=False,
)
# What everything below needs.
RIGHTS = (
    *rights(resource.PLURAL, "create", "get", "list", "watch", group=resource.GROUP),
    *rights("secrets", "create"),
)

SplitJobObject = dict[str, Any]
# Without a readable token there is no answer either.
_NO_ANSWER = (urllib3.exceptions.HTTPError, OSError, config.ConfigException)


class ClusterUnavailable(Exception):  # noqa: N818 - reads as what happened
    """The cluster cannot serve us now.

    Attributes:
        reason: goes on from "the Kubernetes API": "cannot be reached". Holds no secret.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"the Kubernetes API {reason}")
        self.reason = reason


class WatchExpired(Exception):  # noqa: N818 - reads as what happened
    """The changes since a resourceVersion are no longer known: list again."""


class Cluster:
    """SplitJobs and their Secrets in one namespace.

    Args:
        namespace: blank: the service account's, else that of KUBECONFIG's context.
        totals: the ConfigMap with the operator's totals.
        release: this installation's name; blank: it has none.

    Raises:
        kubernetes.config.ConfigException: there is neither a KUBECONFIG nor a service account.
    """

    def __init__(self, namespace: str = "", totals: str = "", release: str = "") -> None:
        configuration = client.Configuration()
        configuration.connection_pool_maxsize = POOL_SIZE
        configuration.retries = RETRIES
        own_namespace = configure(configuration)
        self.namespace = namespace or own_namespace
        api = client.ApiClient(configuration)
        self._objects = client.CustomObjectsApi(api)
        self._core = client.CoreV1Api(api)
        self._preconditions = Preconditions(api, self.namespace, rights_needed(totals), release)
        self._where = {
            "group": resource.GROUP,
            "version": resource.VERSION,
            "namespace": self.namespace,
            "plural": resource.PLURAL,
        }

    def get(self, name: str) -> SplitJobObject | None:
        """Return a SplitJob, or None where there is none of this name."""
        try:
            found: SplitJobObject = _call(
                self._objects.get_namespaced_custom_object, **self._where, name=name
            )
        except ApiException as error:
            if error.status == 404:
                return None
            raise _unavailable(error) from None
        return found

    def with_intent(self, intent_label: str) -> list[SplitJobObject]:
        """Return the SplitJobs whose label says that they serve an intent."""
        selector = f"{resource.LABEL_INTENT}={intent_label}"
        try:
            return [item for page in self._pages(label_selector=selector) for item in page["items"]]
        except WatchExpired:
            raise ClusterUnavailable("changed while it was read") from None

    def create(self, splitjob: SplitJobObject) -> SplitJobObject | None:
        """Create a SplitJob; return it, or None where its name is taken."""
        try:
            created: SplitJobObject = _call(
                self._objects.create_namespaced_custom_object, **self._where, body=splitjob
            )
        except ApiException as error:
            if error.status == 409:
                return None
            raise _unavailable(error) from None
        return created

    def create_secret(self, name: str, data: Mapping[str, str], labels: Mapping[str, str]) -> None:
        """Create the immutable Secret that holds a request's whole URLs.

        Args:
            name: never used before.
            data: whole URLs by key.
            labels: of the Secret.
        """
        body = {
            "metadata": {"name": name, "labels": dict(labels)},
            "type": resource.SECRET_TYPE,
            "immutable": True,
            "stringData": dict(data),
        }
        try:
            _call(self._core.create_namespaced_secret, self.namespace, body)
        except ApiException as error:
            raise _unavailable(error) from None

    def config_map(self, name: str) -> dict[str, str]:
        """Return the data of a ConfigMap, empty where it does not exist."""
        try:
            found = _call(self._core.read_namespaced_config_map, name, self.namespace)
        except ApiException as error:
            if error.status == 404:
                return {}
            raise _unavailable(error) from None
        return dict(found.data or {})

    def probe(self) -> None:
        """Check that the cluster answers, knows SplitJobs and lets us see them.

        Raises:
            ClusterUnavailable: it does not; the reason says what is missing.
        """
        try:
            _call(self._objects.list_namespaced_custom_object, **self._where, limit=1)
        except ApiException as error:
            raise _unavailable(error) from None

    def unmet(self) -> tuple[Unready, ...]:
        """Return what of the cluster is not as this service needs it.

        Raises:
            ClusterUnavailable: the cluster does not say.
        """
        try:
            return self._preconditions.unmet()
        except ApiException as error:
            raise _unavailable(error) from None
        except _NO_ANSWER as error:
            raise _unreachable(error) from None

    def list_all(self) -> Iterator[tuple[list[SplitJobObject], str]]:
        """Yield all SplitJobs page by page, each with the resourceVersion to watch from."""
        for page in self._pages():
            yield page["items"], page["metadata"]["resourceVersion"]

    def watch(self, resource_version: str) -> Iterator[dict[str, Any]]:
        """Yield the changes after a resourceVersion, for at most WATCH_SECONDS.

        Yields:
            Events with `type` (ADDED, MODIFIED, DELETED, BOOKMARK) and `object`.

        Raises:
            WatchExpired: list again.
            ClusterUnavailable: the connection was lost or refused.
        """
        try:
            response = self._objects.list_namespaced_custom_object(
                **self._where,
                watch=True,
                resource_version=resource_version,
                allow_watch_bookmarks=True,
                timeout_seconds=WATCH_SECONDS,
                _preload_content=False,
                _request_timeout=(CONNECT_SECONDS, WATCH_SECONDS + READ_SECONDS),
            )
        except ApiException as error:
            if error.status == 410:
                raise WatchExpired from None
            raise _unavailable(error) from None
        except _NO_ANSWER as error:
            raise _unreachable(error) from None
        try:
            yield from _events(response)
        finally:
            response.close()
            response.release_conn()

    def _pages(self, **query: object) -> Iterator[dict[str, Any]]:
        follow: dict[str, str] = {}
        while True:
            try:
                page: dict[str, Any] = _call(
                    self._objects.list_namespaced_custom_object,
                    **self._where,
                    limit=PAGE_SIZE,
                    **query,
                    **follow,
                )
            except ApiException as error:
                if error.status == 410:
                    raise WatchExpired from None
                raise _unavailable(error) from None
            yield page
            token = page["metadata"].get("continue")
            if not token:
                return
            follow = {"_continue": token}


def rights_needed(totals: str) -> tuple[Right, ...]:
    """Return what this service needs to be allowed; `totals` names the operator's ConfigMap."""
    return (*RIGHTS, *rights("configmaps", "get", name=totals))


def _events(response: urllib3.HTTPResponse) -> Iterator[dict[str, Any]]:
    """Yield the events of a watch: one JSON object a line."""
    pending = b""
    try:
        for chunk in response.stream(amt=None, decode_content=False):
            *lines, pending = (pending + chunk).split(b"\n")
            for line in filter(None, lines):
                event: dict[str, Any] = json.loads(line)
                if event["type"] == "ERROR":
                    if event["object"].get("code") == 410:
                        raise WatchExpired
                    raise ClusterUnavailable(f"ended a watch: {event['object'].get('reason')}")
                yield event
    except _NO_ANSWER as error:
        raise _unreachable(error) from None


def _call(function: Callable[..., Any], *args: object, **kwargs: object) -> Any:  # noqa: ANN401
    try:
        return function(*args, **kwargs, _request_timeout=(CONNECT_SECONDS, READ_SECONDS))
    except _NO_ANSWER as error:
        raise _unreachable(error) from None


def _unreachable(error: Exception) -> ClusterUnavailable:
    cause = getattr(error, "reason", None) or error
    return ClusterUnavailable(f"cannot be reached ({type(cause).__name__})")


def _unavailable(error: ApiException) -> ClusterUnavailable:
    """Return what an answer means; its body is not repeated, it may quote what was sent."""
    meaning = {
        401: "does not accept this service's credentials",
        403: "refuses this service (its role, or a quota)",
        404: "knows no SplitJobs: the CustomResourceDefinition or the namespace is missing",
        422: "does not accept this SplitJob: is the CustomResourceDefinition of this version?",
    }
    return ClusterUnavailable(meaning.get(error.status, f"answered with {error.status}"))
