"""The node's HTTPS endpoint for the API server: logs, exec and port-forward.

As with a kubelet, clients need a certificate of the cluster, and the API server authorizes their
requests (SubjectAccessReview).
"""

import ssl
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta

from aiohttp import web

from splitjob_kubelet.api.apiserver import ApiServerError
from splitjob_kubelet.containers.runner import ContainerRunner
from splitjob_kubelet.endpoint.exec_session import execute
from splitjob_kubelet.endpoint.port_forward import forward_ports
from splitjob_kubelet.node.node_context import NodeContext
from splitjob_kubelet.objects import parse_timestamp
from splitjob_kubelet.pods.agent import Agent
from splitjob_kubelet.pods.pod_worker import PodWorker
from splitjob_kubelet.runtime.logs import LogQuery, read_log

_MASTERS = "system:masters"
_CHANGING = ("/exec/", "/portForward/")
_AGENT = web.AppKey("agent", Agent)
_NODE = web.AppKey("node", NodeContext)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Endpoint:
    """A running HTTPS server."""

    def __init__(self, node: NodeContext, agent: Agent) -> None:
        self._node = node
        app = web.Application(middlewares=[_authorize])
        app[_AGENT] = agent
        app[_NODE] = node
        app.router.add_get("/healthz", _healthz)
        app.router.add_get("/pods", _pods)
        app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", _container_logs)
        app.router.add_get("/exec/{namespace}/{pod}/{container}", _exec)
        app.router.add_get("/portForward/{namespace}/{pod}", _port_forward)
        app.router.add_route("*", "/attach/{rest:.*}", _attach)
        self._runner = web.AppRunner(app, access_log=None)

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the port is taken, or a certificate cannot be read.
        """
        settings = self._node.settings
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(settings.client_ca))
        tls.load_cert_chain(settings.serving_cert, settings.serving_key)
        tls.verify_mode = ssl.CERT_REQUIRED
        await self._runner.setup()
        site = web.TCPSite(
            self._runner, settings.address, settings.port, ssl_context=tls, shutdown_timeout=1.0
        )
        await site.start()

    async def stop(self) -> None:
        await self._runner.cleanup()


def client_of(request: web.Request) -> tuple[str, list[str]]:
    """The user (common name) and groups (organizations) in the client's certificate."""
    certificate = request.transport.get_extra_info("peercert") if request.transport else None
    fields = [pair for part in (certificate or {}).get("subject", ()) for pair in part]
    users = [value for key, value in fields if key == "commonName"]
    groups = [value for key, value in fields if key == "organizationName"]
    return (users[0] if users else ""), groups


@web.middleware
async def _authorize(request: web.Request, handler: Handler) -> web.StreamResponse:
    user, groups = client_of(request)
    node = request.app[_NODE]
    if _MASTERS not in groups:
        attributes = {
            "verb": "create" if request.path.startswith(_CHANGING) else "get",
            "resource": "nodes",
            "subresource": "proxy",
            "name": node.settings.name,
        }
        try:
            allowed = bool(user) and await node.api_server.may(user, groups, attributes)
        except ApiServerError as error:
            return web.Response(status=503, text=f"authorization: {error}\n")
        if not allowed:
            return web.Response(status=403, text=f'user "{user}" may not use nodes/proxy\n')
    return await handler(request)


async def _healthz(_request: web.Request) -> web.StreamResponse:
    return web.Response(text="ok")


async def _attach(_request: web.Request) -> web.StreamResponse:
    return web.Response(status=501, text="attach does not exist on the process node: use exec\n")


async def _pods(request: web.Request) -> web.StreamResponse:
    pods = request.app[_AGENT].pods
    return web.json_response({"kind": "PodList", "apiVersion": "v1", "items": pods})


def _worker(request: web.Request) -> PodWorker:
    """The pod in the request's path."""
    where = request.match_info
    worker = request.app[_AGENT].find(where["namespace"], where["pod"])
    if worker is None:
        raise web.HTTPNotFound(text=f'pod "{where["pod"]}" is not on this node\n')
    return worker


def _runner(request: web.Request) -> ContainerRunner:
    """The container in the request's path."""
    name = request.match_info["container"]
    runner = _worker(request).runner_of(name)
    if runner is None:
        raise web.HTTPNotFound(text=f'the pod has no container "{name}"\n')
    return runner


async def _port_forward(request: web.Request) -> web.StreamResponse:
    address = _worker(request).record.pod_ip
    if address is None:
        raise web.HTTPBadRequest(text="the pod has no address yet\n")
    return await forward_ports(request, address)


async def _exec(request: web.Request) -> web.StreamResponse:
    return await execute(request, _runner(request))


async def _container_logs(request: web.Request) -> web.StreamResponse:
    runner = _runner(request)
    previous = request.query.get("previous") == "true"
    try:
        query = log_query(request.query, datetime.now(UTC))
    except ValueError as error:
        return web.Response(status=400, text=f"{error}\n")
    attempt = _attempt(runner, previous)
    if attempt is None:
        return web.Response(status=400, text=_why_no_log(runner, previous))
    return await _send_log(request, runner, attempt, query)


def log_query(query: Mapping[str, str], now: datetime) -> LogQuery:
    """PodLogOptions from a query string.

    Args:
        query: the parameters.
        now: the time for sinceSeconds.

    Raises:
        ValueError: a number or time is malformed.
    """
    since = parse_timestamp(query["sinceTime"]) if query.get("sinceTime") else None
    if query.get("sinceSeconds"):
        since = now - timedelta(seconds=int(query["sinceSeconds"]))
    return LogQuery(
        follow=query.get("follow") == "true",
        tail_lines=int(query["tailLines"]) if query.get("tailLines") else None,
        since=since,
        limit_bytes=int(query["limitBytes"]) if query.get("limitBytes") else None,
        timestamps=query.get("timestamps") == "true",
    )


def _attempt(runner: ContainerRunner, previous: bool) -> int | None:
    """The number of restarts of the log to show, or None if there is no such log."""
    entry = runner.entry
    attempt = entry.restarts - 1 if previous else entry.restarts
    return attempt if attempt >= 0 and runner.directory.log(attempt).exists() else None


def _why_no_log(runner: ContainerRunner, previous: bool) -> str:
    pod = runner.pod_name
    if previous:
        return f'previous terminated container "{runner.name}" in pod "{pod}" not found'
    waiting = runner.entry.waiting
    reason = waiting.message or waiting.reason if waiting else "its log is gone"
    return f'container "{runner.name}" in pod "{pod}" is waiting to start: {reason}'


async def _send_log(
    request: web.Request, runner: ContainerRunner, attempt: int, query: LogQuery
) -> web.StreamResponse:
    path = runner.directory.log(attempt)
    writer = runner.log_writer if runner.log_writer and runner.log_writer.path == path else None
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    await response.prepare(request)
    async for piece in read_log(path, query, writer):
        await response.write(piece)
    await response.write_eof()
    return response
