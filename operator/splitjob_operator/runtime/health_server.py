"""Liveness, readiness and metrics over HTTP."""

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from splitjob_io.listening import listen
from splitjob_operator.runtime.leadership import Leadership
from splitjob_operator.runtime.resync import Resync

__all__ = ["serve"]


async def serve(resync: Resync, leadership: Leadership, host: str, port: int) -> web.AppRunner:
    """Serve `/healthz`, `/readyz` and `/metrics` until the runner is cleaned up.

    Both follow the resync, whether this replica leads or not: one that stands by lists as well, and
    is ready to lead.
    """

    def answer(*, ok: bool) -> web.Response:
        body = {
            "ok": ok,
            "leads": leadership.leads,
            "lastResyncSeconds": round(resync.age, 1),
            "unready": [
                {"reason": one.reason, "message": one.message} for one in resync.readiness.unready
            ],
        }
        return web.json_response(body, status=200 if ok else 503)

    async def healthz(_: web.Request) -> web.Response:
        return answer(ok=resync.alive)

    async def readyz(_: web.Request) -> web.Response:
        return answer(ok=resync.alive and not resync.readiness.unready)

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
