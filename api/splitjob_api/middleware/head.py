"""HEAD wherever GET is: the same answer without its body."""

from starlette.types import ASGIApp, Receive, Scope, Send

from splitjob_api.head_only import head_as_get


class HeadMiddleware:
    """Hands a HEAD on as a GET; the server itself sends no body in answer to a HEAD.

    An answer without end, as a stream of events is, must not be begun: its route asks
    `is_head_only`.

    Args:
        app: what is behind it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        as_get = head_as_get(scope)
        try:
            await self._app(as_get, receive, send)
        finally:
            scope["route"] = as_get.get("route")  # for the log and the metrics
