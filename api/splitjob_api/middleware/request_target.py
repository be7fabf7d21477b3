"""The line of a request as a proxy is sent it, read as that of a request to us."""

import re
from urllib.parse import unquote

from starlette.types import ASGIApp, Receive, Scope, Send

_ABSOLUTE = re.compile(rb"https?://[^/]+", re.IGNORECASE)


class RequestTargetMiddleware:
    """Takes scheme and host off `GET http://host/jobs HTTP/1.1`, which every server must accept.

    All that comes after it sees the path alone: what is signed, routed and logged is the same.
    Source: https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2

    Args:
        app: what is behind it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        target = scope.get("raw_path") or b"/"
        if not target.startswith(b"/") and (absolute := _ABSOLUTE.match(target)):
            path = target[absolute.end() :] or b"/"
            scope = {**scope, "raw_path": path, "path": unquote(path.decode("ascii"))}
        await self._app(scope, receive, send)
