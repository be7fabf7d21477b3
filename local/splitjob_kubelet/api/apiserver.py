"""The node's requests to the API server."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp

from splitjob_kubelet.api.kubeconfig import ClientConfig
from splitjob_kubelet.objects import Json, name_of, namespace_of, parse_timestamp, uid_of
from splitjob_kubelet.runtime.volumes import TokenRequest

log = logging.getLogger(__name__)

Result = TypeVar("Result")

_REQUEST_SECONDS = 20
_WATCH_SECONDS = 300
_SILENCE_SECONDS = 150
_LONGEST_EVENT = 8 * 1024 * 1024
_STRATEGIC_MERGE = "application/strategic-merge-patch+json"
# What an API server says of anybody while it begins: it does not know yet who may do what.
_NOT_YET = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"


class ApiServerError(Exception):
    """A request to the API server failed."""


class UnavailableError(ApiServerError):
    """No answer, or one that asks to try later."""


class RefusedError(ApiServerError):
    """The API server refused the request."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


class ApiServer:
    """A session with the API server, with the node's credentials."""

    def __init__(self, config: ClientConfig) -> None:
        self._config = config
        self._session = aiohttp.ClientSession(
            base_url=config.server,
            connector=aiohttp.TCPConnector(ssl=config.tls, limit=64),
            read_bufsize=_LONGEST_EVENT,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def _request(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        params: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Json:
        """Send a request once.

        Raises:
            UnavailableError: no answer, 429 or 5xx.
            RefusedError: any other error.
        """
        headers = self._config.headers() | {"Content-Type": content_type}
        data = None if body is None else json.dumps(body).encode()
        timeout = aiohttp.ClientTimeout(total=_REQUEST_SECONDS)
        try:
            async with self._session.request(
                method, path, data=data, params=params, headers=headers, timeout=timeout
            ) as response:
                answer = await response.json(content_type=None)
                _raise_for(response.status, answer)
                return dict(answer)
        except (aiohttp.ClientError, TimeoutError, OSError, json.JSONDecodeError) as error:
            raise UnavailableError(f"{method} {path}: {type(error).__name__}: {error}") from None

    async def pods_of(self, node: str) -> tuple[list[Json], str]:
        """The pods bound to a node, and the resource version to watch from."""
        answer = await self._request("GET", "/api/v1/pods", params=_bound_to(node))
        return answer.get("items") or [], answer["metadata"]["resourceVersion"]

    async def watch_pods_of(self, node: str, version: str) -> AsyncIterator[tuple[str, Json]]:
        """Changes to the pods bound to a node, until the API server ends the watch.

        Yields:
            ADDED, MODIFIED, DELETED or BOOKMARK, and the pod.

        Raises:
            UnavailableError: the connection broke or fell silent.
            RefusedError: among others with 410, when `version` is too old.
        """
        params = _bound_to(node) | {
            "watch": "1",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        # Bookmarks come about once a minute: a connection without them is dead.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=_SILENCE_SECONDS)
        try:
            async with self._session.get(
                "/api/v1/pods", params=params, headers=self._config.headers(), timeout=timeout
            ) as response:
                if response.status != 200:
                    _raise_for(response.status, await response.json(content_type=None))
                async for line in response.content:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        _raise_for(event["object"].get("code", 500), event["object"])
                    yield event["type"], event["object"]
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise UnavailableError(f"watch of pods: {type(error).__name__}: {error}") from None

    async def patch_pod_status(self, pod: Json, status: Json) -> Json:
        """Write the status of a pod; refused if a pod with this name and another uid exists."""
        body = {"metadata": {"uid": uid_of(pod)}, "status": status}
        return await self._request(
            "PATCH", f"{_pod_path(pod)}/status", body, content_type=_STRATEGIC_MERGE
        )

    async def delete_pod(self, pod: Json) -> None:
        """Delete a pod that has ended; a pod that is gone already is no error."""
        body: Json = {"gracePeriodSeconds": 0, "preconditions": {"uid": uid_of(pod)}}
        try:
            await self._request("DELETE", _pod_path(pod), body)
        except RefusedError as error:
            if error.status not in (404, 409):
                raise

    async def data_object(self, kind: str, namespace: str, name: str) -> Json | None:
        """A Secret (`secret`) or ConfigMap (`configMap`), or None if it does not exist."""
        plural = {"secret": "secrets", "configMap": "configmaps"}[kind]
        try:
            return await self._request("GET", f"/api/v1/namespaces/{namespace}/{plural}/{name}")
        except RefusedError as error:
            if error.status == 404:
                return None
            raise

    async def request_token(self, pod: Json, request: TokenRequest) -> tuple[str, datetime]:
        """Request a service account token that is bound to the pod.

        Returns:
            The token and its expiry.
        """
        account = pod["spec"].get("serviceAccountName") or "default"
        pod_reference = {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": name_of(pod),
            "uid": uid_of(pod),
        }
        spec: Json = {"expirationSeconds": request.seconds, "boundObjectRef": pod_reference}
        if request.audience:
            spec["audiences"] = [request.audience]
        path = f"/api/v1/namespaces/{namespace_of(pod)}/serviceaccounts/{account}/token"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        answer = (await self._request("POST", path, body))["status"]
        return answer["token"], parse_timestamp(answer["expirationTimestamp"])

    async def register_node(self, node: Json) -> None:
        """Create the Node object, or update an existing one."""
        name = name_of(node)
        try:
            await self._request("POST", "/api/v1/nodes", node)
        except RefusedError as error:
            if error.status != 409:
                raise
            labels = {"metadata": {"labels": node["metadata"]["labels"]}}
            await self._request(
                "PATCH", f"/api/v1/nodes/{name}", labels, content_type=_STRATEGIC_MERGE
            )
        await self.patch_node_status(name, node["status"])

    async def patch_node_status(self, name: str, status: Json) -> None:
        await self._request(
            "PATCH",
            f"/api/v1/nodes/{name}/status",
            {"status": status},
            content_type=_STRATEGIC_MERGE,
        )

    async def renew_lease(self, name: str, lease: Json) -> None:
        """Renew the node's lease, or create it."""
        try:
            await self._request(
                "PATCH",
                f"{_LEASES}/{name}",
                {"spec": lease["spec"]},
                content_type="application/merge-patch+json",
            )
        except RefusedError as error:
            if error.status != 404:
                raise
            await self._request("POST", _LEASES, lease)

    async def create_event(self, event: Json) -> None:
        namespace = event["metadata"]["namespace"]
        await self._request("POST", f"/api/v1/namespaces/{namespace}/events", event)

    async def may(self, user: str, groups: list[str], attributes: Json) -> bool:
        """Whether a client of the node's endpoint is authorized (SubjectAccessReview)."""
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": user, "groups": groups, "resourceAttributes": attributes},
        }
        path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
        answer: Any = await self._request("POST", path, body)
        return bool(answer["status"].get("allowed"))


def _bound_to(node: str) -> dict[str, str]:
    return {"fieldSelector": f"spec.nodeName={node}"}


def _pod_path(pod: Json) -> str:
    return f"/api/v1/namespaces/{namespace_of(pod)}/pods/{name_of(pod)}"


def _raise_for(status: int, answer: object) -> None:
    if status < 400:
        return
    message = answer.get("message", "") if isinstance(answer, dict) else ""
    if status == 429 or status >= 500:
        raise UnavailableError(f"{status}: {message}")
    raise RefusedError(status, message)


async def until_answered(what: str, attempt: Callable[[], Awaitable[Result]]) -> Result:
    """Repeat a request with exponential back-off until the API server answers it.

    A node may do all that it asks for: where that is refused, the API server has just begun.

    Args:
        what: for the log.
        attempt: sends the request.

    Raises:
        RefusedError: the API server refused it for what it is.
    """
    delay = 0.1
    while True:
        try:
            return await attempt()
        except UnavailableError as error:
            log.warning("%s: %s", what, error)
        except RefusedError as error:
            if error.status not in _NOT_YET:
                raise
            log.warning("%s: refused, which will pass: %s", what, error)
        await asyncio.sleep(delay)
        delay = min(delay * 2, 5.0)
