"""The one client of the Kubernetes API, for the API and the operator alike.

It answers with the API server's own JSON, and speaks with it without the library of generated
models: that takes 45 MB of a program's memory, and three times the processor time for each call.
Each call has a timeout and blocks. All that goes wrong is raised as one of `splitjob_kube.errors`.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

from pydantic_core import from_json, to_json

from splitjob_kube.blocking_http import BlockingPool, Streamed
from splitjob_kube.connection import Connection
from splitjob_kube.credentials import Credentials
from splitjob_kube.endpoint import JSON, Endpoint, current_endpoint
from splitjob_kube.errors import (
    KubernetesError,
    UnauthorizedError,
    UnreachableError,
    no_answer_error,
    refusal_error,
    status_error,
)
from splitjob_kube.http_connection import Answer
from splitjob_kube.paths import EVENTS
from splitjob_kube.tls import TlsContexts

__all__ = [
    "ClientPolicy",
    "Json",
    "KubernetesClient",
    "Page",
    "Timeout",
    "WatchEvent",
    "decoded",
    "selecting",
]

Json = dict[str, Any]
Timeout = tuple[float, float]  # seconds to connect, and between two pieces of an answer
T = TypeVar("T")
PAGE_SIZE = 500  # objects
METADATA_LIST = f"{JSON};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class ClientPolicy(NamedTuple):
    """How patient a client is.

    Attributes:
        connect_seconds: to reach the API server.
        read_seconds: between two pieces of an answer.
        tries_again: whether a call that broke is made once more before it fails, where that is
            safe: a read, or what was never sent.
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


class _Request(NamedTuple):
    """What is sent; see `Endpoint.written`."""

    verb: str
    path: str
    content: bytes = b""
    accept: str = JSON


class KubernetesClient:
    """The Kubernetes API, as one program sees it; may be used from any thread.

    Paths are those of `splitjob_kube.paths`, with a query where there is one.

    Args:
        policy: how patient it is.

    Attributes:
        policy: how patient it is.
        credentials: whose account it uses.
        namespace: the service account's own, or that of KUBECONFIG's context.

    Raises:
        splitjob_kube.errors.UnconfiguredError: nobody says where the API server is.
    """

    def __init__(self, policy: ClientPolicy) -> None:
        self.policy = policy
        self.credentials = Credentials()
        self.namespace = self.credentials.namespace
        self._tls = TlsContexts()
        self._endpoint: Endpoint[BlockingPool] | None = None

    def connection(self) -> Connection:
        """Return how to reach the API server, for another client."""
        return self.credentials.connection()

    def read(
        self, purpose: str, path: str, accept: str = JSON, timeout: Timeout | None = None
    ) -> Json:
        """Return the JSON document at a path of the API server.

        Args:
            purpose: what is attempted, for messages: "read Job a".
            path: of an object or of several.
            accept: the media type wanted.
            timeout: where the policy's does not fit.

        Raises:
            splitjob_kube.errors.KubernetesError: the API server refused, or gave no answer.
        """
        return self._json(purpose, _Request("GET", path, accept=accept), timeout)

    def text(self, purpose: str, path: str, timeout: Timeout | None = None) -> str:
        """Return the text at a path of the API server; the rest is as with `read`."""
        content = self._content(purpose, _Request("GET", path, accept="*/*"), timeout)
        return content.decode("utf-8", errors="replace")

    def create(self, purpose: str, path: str, body: Json, timeout: Timeout | None = None) -> Json:
        """Create an object; return it as the API server keeps it. See `read`.

        Args:
            purpose: what is attempted, for messages: "create Job a".
            path: of the objects of its kind.
            body: the object.
            timeout: where the policy's does not fit.
        """
        return self._json(purpose, _Request("POST", path, to_json(body)), timeout)

    def add(self, purpose: str, path: str, body: Json) -> None:
        """Create an object of which nobody wants to know more; the rest is as with `create`."""
        self._content(purpose, _Request("POST", path, to_json(body)), None)

    def replace(self, purpose: str, path: str, body: Json, timeout: Timeout | None = None) -> Json:
        """Replace the object, or the part of one, at a path; the rest is as with `create`."""
        return self._json(purpose, _Request("PUT", path, to_json(body)), timeout)

    def merge(self, purpose: str, path: str, changes: Json) -> Json:
        """Change what is named of the object at a path; the rest is as with `create`.

        Args:
            purpose: what is attempted, for messages.
            path: of the object.
            changes: a merge patch (RFC 7386).
        """
        return self._json(purpose, _Request("PATCH", path, to_json(changes)))

    def delete(self, purpose: str, path: str, options: Json) -> None:
        """Delete the object at a path; see `read` for what it raises.

        Args:
            purpose: what is attempted, for messages.
            path: of the object.
            options: preconditions, propagation and grace, as Kubernetes' DeleteOptions.
        """
        self._content(purpose, _Request("DELETE", path, to_json(options)), None)

    def metadata(self, purpose: str, path: str, *selectors: str) -> Iterator[Json]:
        """Yield the metadata of the objects at a path, page by page; see `pages`."""
        for listing in self._listings(purpose, path, selectors, METADATA_LIST):
            yield from (item["metadata"] for item in listing["items"] or [])  # null: none

    def pages(self, purpose: str, path: str, *selectors: str) -> Iterator[Page]:
        """List objects, page by page; the rest is as with `read`.

        Args:
            purpose: what is attempted, for messages.
            path: of the objects of one kind.
            selectors: parts of the query; see `selecting`.

        Raises:
            splitjob_kube.errors.ExpiredError: it took so long that the listing must begin anew.
        """
        for listing in self._listings(purpose, path, selectors, JSON):
            version = listing.get("metadata", {}).get("resourceVersion", "")
            yield Page(listing.get("items") or [], version)

    def items(self, purpose: str, path: str, *selectors: str) -> Iterator[Json]:
        """List objects one by one, asking for pages as they are needed; see `pages`."""
        for page in self.pages(purpose, path, *selectors):
            yield from page.items

    def events_about(self, namespace: str, kind: str, name: str) -> list[Json]:
        """Return the Kubernetes Events about an object, in no order; see `pages`."""
        about = f"involvedObject.kind={kind},involvedObject.name={name}"
        path = EVENTS.path(namespace)
        return list(self.items("list events", path, selecting("fieldSelector", about)))

    def watch(
        self, purpose: str, path: str, resource_version: str, seconds: int, *selectors: str
    ) -> Iterator[WatchEvent]:
        """Yield the changes after a resourceVersion, bookmarks among them.

        Args:
            purpose: what is attempted, for messages: "watch SplitJobs".
            path: of the objects of one kind.
            resource_version: of a `Page` or a `WatchEvent`.
            seconds: the server ends the watch after this; one that is silent for longer, and the
                policy's read_seconds, has broken.
            selectors: parts of the query; see `selecting`.

        Raises:
            splitjob_kube.errors.ExpiredError: list again.
            splitjob_kube.errors.KubernetesError: the connection was lost or refused.
        """
        asked = ("watch=true", "allowWatchBookmarks=true", f"timeoutSeconds={seconds}")
        query = "&".join((*asked, f"resourceVersion={resource_version}", *selectors))
        timeout = (self.policy.connect_seconds, seconds + self.policy.read_seconds)
        request = _Request("GET", f"{path}?{query}")
        with self._streaming(purpose, request, timeout) as answer:
            yield from _events(purpose, answer)

    def _listings(
        self, purpose: str, path: str, selectors: tuple[str, ...], accept: str
    ) -> Iterator[Json]:
        """Yield the pages of a listing, each asked for with what the one before it says."""
        token = ""
        while True:
            query = "&".join((f"limit={PAGE_SIZE}", *selectors, f"continue={token}"))
            listing = self.read(purpose, f"{path}?{query}", accept)
            yield listing
            token = listing.get("metadata", {}).get("continue", "")
            if not token:
                return

    def _json(self, purpose: str, request: _Request, timeout: Timeout | None = None) -> Json:
        return decoded(purpose, self._content(purpose, request, timeout))

    def _content(self, purpose: str, request: _Request, timeout: Timeout | None) -> bytes:
        def ask() -> bytes:
            with _translating(purpose):
                answer = self._answer(request, timeout or self.policy[:2])
            if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
                raise refusal_error(purpose, answer.status, answer.phrase, answer.content)
            return answer.content

        return self._signed(ask)

    @contextmanager
    def _streaming(self, purpose: str, request: _Request, timeout: Timeout) -> Iterator[Streamed]:
        """Yield an answer whose body is yet to come."""
        with ExitStack() as ended:

            def ask() -> Streamed:
                with _translating(purpose):
                    pool, content = self._prepared(request)
                    connection = pool.connection(timeout[0])
                    found = ended.enter_context(pool.streaming(connection, content, timeout[1]))
                    if found.head.status < HTTPStatus.MULTIPLE_CHOICES:
                        return found
                    answer = found.whole()
                raise refusal_error(purpose, answer.status, answer.phrase, answer.content)

            yield self._signed(ask)

    def _signed(self, ask: Callable[[], T]) -> T:
        """Return what is answered; what a token that has ended is refused for is asked again."""
        token = self.credentials.token
        try:
            return ask()
        except UnauthorizedError:
            if not self.credentials.renew(token):
                raise
        return ask()

    def _answer(self, request: _Request, timeout: Timeout) -> Answer:
        """Return what is answered, after one more try where that is safe and may help."""
        pool, content = self._prepared(request)
        connect_seconds, read_seconds = timeout
        if not self.policy.tries_again:
            return pool.exchange(pool.connection(connect_seconds), content, read_seconds)
        is_read, connection = request.verb == "GET", None
        try:
            connection = pool.connection(connect_seconds)
            answer = pool.exchange(connection, content, read_seconds)
            if not is_read or not answer.seconds_to_wait:
                return answer
            time.sleep(answer.seconds_to_wait)
        except OSError:
            if connection is not None and not is_read:
                raise
        return pool.exchange(pool.connection(connect_seconds), content, read_seconds)

    def _prepared(self, request: _Request) -> tuple[BlockingPool, bytes]:
        """Return the connections there are now, and a request as it is sent over them."""
        endpoint = self._current_endpoint()
        return endpoint.pool, endpoint.written(*request)

    def _current_endpoint(self) -> Endpoint[BlockingPool]:
        """Return where the API server is, made anew where the credentials were read again."""
        if self._endpoint is None or not self.credentials.is_current(self._endpoint.generation):
            self._endpoint = current_endpoint(
                self.credentials, self._tls, self._endpoint, BlockingPool
            )
        return self._endpoint


def selecting(what: str, selector: str) -> str:
    """Return the part of a query that selects: `labelSelector=app%3Dsong`.

    Args:
        what: `labelSelector` or `fieldSelector`.
        selector: as kubectl takes it.
    """
    return f"{what}={quote(selector, safe='')}"


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


@contextmanager
def _translating(purpose: str) -> Iterator[None]:
    """Turn what a connection raises into `splitjob_kube.errors`."""
    try:
        yield
    except OSError as error:
        raise no_answer_error(purpose, error) from None


def _events(purpose: str, answer: Streamed) -> Iterator[WatchEvent]:
    """Yield the events of a watch: one JSON object a line."""
    pending = b""
    for piece in _pieces(purpose, answer):
        *lines, pending = (pending + piece).split(b"\n")
        for line in filter(None, lines):
            event = WatchEvent(**from_json(line))
            if event.type == "ERROR":
                raise _ended(purpose, event.object)
            yield event


def _pieces(purpose: str, answer: Streamed) -> Iterator[bytes]:
    with _translating(purpose):
        yield from answer.pieces()


def _ended(purpose: str, status: Json) -> KubernetesError:
    reason = str(status.get("reason", ""))
    return status_error(purpose, int(status.get("code", 0)), reason, status.get("message", reason))
