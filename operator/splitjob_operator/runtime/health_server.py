"""Liveness, readiness and metrics over HTTP."""

from collections.abc import Sequence

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from splitjob_io.listening import listen
from splitjob_kube.preconditions import Unready
from splitjob_operator.runtime.resync import Resync

__all__ = ["serve"]


async def serve(resync: Resync, host: str, port: int) -> web.AppRunner:
    """Serve `/healthz`, `/readyz` and `/metrics` until the runner is cleaned up."""

    async def healthz(_: web.Request) -> web.Response:
        return _answer(ok=resync.alive, age=resync.age, unready=resync.readiness.unready)

    async def readyz(_: web.Request) -> web.Response:
        unready = resync.readiness.unready
        return _answer(ok=resync.alive and not unready, age=resync.age, unready=unready)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes(
        [web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.SockSite(runner, listen(host, port)).start()
    return runner


def _answer(*, ok: bool, age: float, unready: Sequence[Unready]) -> web.Response:
    body = {
        "ok": ok,
        "lastResyncSeconds": round(age, 1),
        "unready": [{"reason": one.reason, "message": one.message} for one in unready],
    }
    return web.json_response(body, status=200 if ok else 503)
