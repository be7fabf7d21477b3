"""The one client of the Kubernetes API, for the API and the operator alike.

Its methods take one of the library's generated methods (`client.core.read_namespaced_pod`) and its
arguments, and answer with the API server's own JSON. Each call has a timeout and blocks. All that
goes wrong is raised as one of `splitjob_kube.errors`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import urllib3
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from pydantic_core import from_json, to_json

from splitjob.resource import GROUP, PLURAL, VERSION
from splitjob_kube.blocking_http import BlockingPool
from splitjob_kube.connection import API_KEY, Connection, Credentials
from splitjob_kube.errors import (
    KubernetesError,
    UnauthorizedError,
    UnreachableError,
    answer_error,
    no_answer_error,
    status_error,
)
from splitjob_kube.http_connection import Server
from splitjob_kube.tls import TlsContexts
from splitjob_kube.way import JSON, Way, current_way

__all__ = [
    "ClientPolicy",
    "Json",
    "KubernetesClient",
    "Page",
    "WatchEvent",
    "decoded",
    "splitjobs_in",
]

Json = dict[str, Any]
PAGE_SIZE = 500  # objects
METADATA_LIST = f"{JSON};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
POOL_SIZE = 64  # connections: more than the threads that call
# One more try where the connection broke or the server says "later" (429 with Retry-After), and of
# reads only: urllib3 repeats no POST that it has sent.
ONE_MORE_TRY = urllib3.Retry(
    total=2,
    connect=1,
    read=1,
    status=1,
    redirect=0,
    backoff_factor=0.1,
    retry_after_max=2,
    raise_on_status=False,
)


class ClientPolicy(NamedTuple):
    """How patient a client is.

    Attributes:
        connect_seconds: to reach the API server.
        read_seconds: between two pieces of an answer.
        tries_again: whether a call that broke is made once more before it fails.
    """

    connect_seconds: float
    read_seconds: float
    tries_again: bool


class Page(NamedTuple):
    """A part of a listing.

    Attributes:
        items: the objects.
        resource_version: from which a watch goes on.
    """

    items: list[Json]
    resource_version: str


class WatchEvent(NamedTuple):
    """One change that a watch brings.

    Attributes:
        type: ADDED, MODIFIED, DELETED; or BOOKMARK, which only says how far the watch is.
        object: as it is now, or was.
    """

    type: str
    object: Json

    @property
    def resource_version(self) -> str:
        """From which a watch goes on after it."""
        return str(self.object["metadata"]["resourceVersion"])


class KubernetesClient:
    """The Kubernetes API, as one program sees it; may be used from any thread.

    Args:
        policy: how patient it is.

    Attributes:
        policy: how patient it is.
        credentials: whose account it uses.
        namespace: the service account's own, or that of KUBECONFIG's context.
        core, batch, networking, coordination, custom, authentication, authorization, version: the
            library's methods, to hand to `call`, `send`, `pages` and `watch`.

    Raises:
        splitjob_kube.errors.UnconfiguredError: nobody says where the API server is.
    """

    def __init__(self, policy: ClientPolicy) -> None:
        configuration = client.Configuration()
        configuration.connection_pool_maxsize = POOL_SIZE
        configuration.retries = ONE_MORE_TRY if policy.tries_again else False
        self.policy = policy
        self._configuration = configuration
        self.credentials = Credentials(configuration)
        self._api = client.ApiClient(configuration)
        self._tls = TlsContexts()
        self._way: Way[BlockingPool] | None = None
        self.namespace = self.credentials.namespace
        self.core = client.CoreV1Api(self._api)
        self.batch = client.BatchV1Api(self._api)
        self.networking = client.NetworkingV1Api(self._api)
        self.coordination = client.CoordinationV1Api(self._api)
        self.custom = client.CustomObjectsApi(self._api)
        self.authentication = client.AuthenticationV1Api(self._api)
        self.authorization = client.AuthorizationV1Api(self._api)
        self.version = client.VersionApi(self._api)

    def connection(self) -> Connection:
        """Return how to reach the API server, for another client."""
        return self.credentials.connection()

    def call(
        self,
        purpose: str,
        method: Callable[..., Any],
        **arguments: object,
    ) -> Json:
        """Call a method; return its answer.

        Args:
            purpose: what is attempted, for messages: "read Job a".
            method: one of the library's.
            arguments: its own, and `_request_timeout` where the policy's does not fit.

        Raises:
            splitjob_kube.errors.KubernetesError: the API server refused, or gave no answer.
        """
        return self._json(purpose, self.send(purpose, method, **arguments))

    def read(self, purpose: str, path: str, accept: str = JSON, **arguments: object) -> Json:
        """Return the JSON document at a path of the API server, without the library's methods.

        Args:
            purpose: what is attempted, for messages: "read Job a".
            path: with its query.
            accept: the media type wanted.
            arguments: `_request_timeout`, where the policy's does not fit.
        """
        return self.call(purpose, partial(self._exchange, "GET", path, accept=accept), **arguments)

    def metadata(self, purpose: str, path: str, *selectors: str) -> Iterator[Json]:
        """Yield the metadata of the objects at a path, page by page; see `read`.

        Args:
            purpose: what is attempted, for messages.
            path: of the objects of one kind.
            selectors: parts of the query: `labelSelector=app`.
        """

        def ask(token: str) -> Json:
            query = "&".join((f"limit={PAGE_SIZE}", *selectors, f"continue={token}"))
            return self.read(purpose, f"{path}?{query}", accept=METADATA_LIST)

        for listing in _listings(ask):
            yield from (item["metadata"] for item in listing["items"] or [])  # null: none

    def create(self, purpose: str, path: str, body: Json) -> Json:
        """Create an object; return it as the API server keeps it. See `call`.

        It is sent without the library's methods, which look at every value of it: with them, a
        write takes half as much processor time again.

        Args:
            purpose: what is attempted, for messages: "create Job a".
            path: of the objects of its kind (`splitjob_kube.paths`).
            body: the object.
        """
        return self.call(purpose, partial(self._exchange, "POST", path, to_json(body)))

    def replace(self, purpose: str, path: str, body: Json) -> Json:
        """Replace the object, or the part of one, at a path; the rest is as with `create`."""
        return self.call(purpose, partial(self._exchange, "PUT", path, to_json(body)))

    def delete(self, purpose: str, path: str, options: Json) -> Json:
        """Delete the object at a path; the rest is as with `create`.

        Args:
            purpose: what is attempted, for messages.
            path: of the object.
            options: preconditions, propagation and grace, as Kubernetes' DeleteOptions.
        """
        return self.call(purpose, partial(self._exchange, "DELETE", path, to_json(options)))

    def send(
        self,
        purpose: str,
        method: Callable[..., Any],
        **arguments: object,
    ) -> urllib3.HTTPResponse:
        """Call a method; return its answer before it is read. See `call`.

        A token that has ended is read again, and what it was refused for sent once more.
        """
        arguments.setdefault("_request_timeout", self.policy[:2])
        token = self.credentials.token
        try:
            return self._send(purpose, method, **arguments)
        except UnauthorizedError:
            if not self.credentials.renew(token):
                raise
        return self._send(purpose, method, **arguments)

    def text(self, purpose: str, path: str, **arguments: object) -> str:
        """Return the text at a path of the API server; the rest is as with `read`."""
        method = partial(self._exchange, "GET", path, accept="*/*")
        response = self.send(purpose, method, **arguments)
        with translating(purpose):
            return bytes(response.data).decode("utf-8", errors="replace")

    def pages(
        self,
        purpose: str,
        method: Callable[..., Any],
        **arguments: object,
    ) -> Iterator[Page]:
        """List objects, page by page; the rest is as with `call`.

        Raises:
            splitjob_kube.errors.ExpiredError: it took so long that the listing must begin anew.
        """

        def ask(token: str) -> Json:
            more = {"_continue": token} if token else {}
            return self.call(purpose, method, limit=PAGE_SIZE, **more, **arguments)

        for listing in _listings(ask):
            version = listing.get("metadata", {}).get("resourceVersion", "")
            yield Page(listing.get("items", []), version)

    def items(
        self,
        purpose: str,
        method: Callable[..., Any],
        **arguments: object,
    ) -> Iterator[Json]:
        """List objects one by one, asking for pages as they are needed; see `pages`."""
        for page in self.pages(purpose, method, **arguments):
            yield from page.items

    def events_about(self, namespace: str, kind: str, name: str) -> list[Json]:
        """Return the Kubernetes Events about an object, in no order; see `pages`."""
        selector = f"involvedObject.kind={kind},involvedObject.name={name}"
        listed = self.items(
            "list events",
            self.core.list_namespaced_event,
            namespace=namespace,
            field_selector=selector,
        )
        return list(listed)

    def watch(
        self,
        purpose: str,
        method: Callable[..., Any],
        resource_version: str,
        seconds: int,
        **arguments: object,
    ) -> Iterator[WatchEvent]:
        """Yield the changes after a resourceVersion, bookmarks among them.

        Args:
            purpose: what is attempted, for messages: "watch SplitJobs".
            method: a list method of the library's.
            resource_version: of a `Page` or a `WatchEvent`.
            seconds: the server ends the watch after this; one that is silent for longer, and the
                policy's read_seconds, has broken.
            arguments: the method's own.

        Raises:
            splitjob_kube.errors.ExpiredError: list again.
            splitjob_kube.errors.KubernetesError: the connection was lost or refused.
        """
        response = self.send(
            purpose,
            method,
            watch=True,
            resource_version=resource_version,
            allow_watch_bookmarks=True,
            timeout_seconds=seconds,
            _request_timeout=(self.policy.connect_seconds, seconds + self.policy.read_seconds),
            **arguments,
        )
        try:
            yield from _events(purpose, response)
        finally:
            response.close()
            response.release_conn()

    def _send(
        self,
        purpose: str,
        method: Callable[..., Any],
        **arguments: object,
    ) -> urllib3.HTTPResponse:
        with translating(purpose):
            response: urllib3.HTTPResponse = method(_preload_content=False, **arguments)
            return response

    def _exchange(
        self,
        verb: str,
        path: str,
        content: bytes = b"",
        *,
        accept: str = JSON,
        _request_timeout: tuple[float, float],
        _preload_content: bool,  # as the library's methods are called; all of it is read here
    ) -> urllib3.BaseHTTPResponse:
        """Send a request without the library; by its connections where they can do more."""
        way = self._current_way()
        if self.policy.tries_again or way.connection.proxy:
            headers = {"Accept": accept, **({"Content-Type": JSON} if content else {})}
            return self._exchange_by_library(verb, path, headers, content, _request_timeout)
        answer = way.pool.exchange(way.written(verb, path, content, accept), _request_timeout[1])
        if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
            error = ApiException(answer.status, answer.phrase)
            error.body = answer.content
            raise error
        return urllib3.HTTPResponse(answer.content, status=answer.status)

    def _current_way(self) -> Way[BlockingPool]:
        """Return the way to the API server, made anew where the credentials were read again."""
        if self._way is None or not self.credentials.is_current(self._way.generation):
            self._way = current_way(self.credentials, self._tls, self._way, self._new_pool)
        return self._way

    def _new_pool(self, server: Server) -> BlockingPool:
        return BlockingPool(server, self.policy.connect_seconds)

    def _exchange_by_library(
        self,
        verb: str,
        path: str,
        headers: dict[str, str],
        content: bytes,
        timeout: tuple[float, float],
    ) -> urllib3.BaseHTTPResponse:
        if token := self._configuration.get_api_key_with_prefix(API_KEY):
            headers["Authorization"] = token
        server = self._configuration.host
        pool: urllib3.HTTPConnectionPool
        pool = self._api.rest_client.pool_manager.connection_from_url(server)
        answer = pool.urlopen(
            verb,
            urlsplit(server).path + path,
            body=content or None,
            headers=headers,
            redirect=False,
            timeout=urllib3.Timeout(*timeout),
        )
        if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
            raise ApiException(http_resp=answer)
        return answer

    def _json(self, purpose: str, response: urllib3.HTTPResponse) -> Json:
        with translating(purpose):
            content = response.data
        return decoded(purpose, content)


def decoded(purpose: str, content: bytes) -> Json:
    """Return the JSON of an answer.

    Args:
        purpose: what is attempted, for messages.
        content: the body of the answer.

    Raises:
        splitjob_kube.errors.UnreachableError: it is something else.
    """
    try:
        answer: Json = from_json(content)
    except ValueError:
        raise UnreachableError(f"cannot {purpose}: the answer is not JSON", "not JSON") from None
    return answer


def splitjobs_in(namespace: str) -> dict[str, str]:
    """Return the arguments that make a method for custom objects one for SplitJobs."""
    return {"group": GROUP, "version": VERSION, "namespace": namespace, "plural": PLURAL}


@contextmanager
def translating(purpose: str) -> Iterator[None]:
    """Turn what the library and urllib3 raise into `splitjob_kube.errors`."""
    try:
        yield
    except ApiException as error:
        raise answer_error(purpose, error) from None
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise no_answer_error(purpose, error) from None


def _listings(ask: Callable[[str], Json]) -> Iterator[Json]:
    """Yield the pages of a listing, each asked for with what the one before it says."""
    token = ""
    while True:
        listing = ask(token)
        yield listing
        token = listing.get("metadata", {}).get("continue", "")
        if not token:
            return


def _events(purpose: str, response: urllib3.HTTPResponse) -> Iterator[WatchEvent]:
    """Yield the events of a watch: one JSON object a line."""
    pending = b""
    for chunk in _chunks(purpose, response):
        *lines, pending = (pending + chunk).split(b"\n")
        for line in filter(None, lines):
            event = WatchEvent(**from_json(line))
            if event.type == "ERROR":
                raise _ended(purpose, event.object)
            yield event


def _chunks(purpose: str, response: urllib3.HTTPResponse) -> Iterator[bytes]:
    with translating(purpose):
        yield from response.stream(amt=None, decode_content=False)


def _ended(purpose: str, status: Json) -> KubernetesError:
    reason = str(status.get("reason", ""))
    return status_error(purpose, int(status.get("code", 0)), reason, status.get("message", reason))
