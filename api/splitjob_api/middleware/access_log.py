"""One log line and one measurement per request; its id on each line that is logged meanwhile."""

import logging
import time
from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

from splitjob.jsonlog import log_context
from splitjob_api.caller import caller_of
from splitjob_api.metrics import Metrics
from splitjob_api.middleware.sent_answer import SentAnswer
from splitjob_api.request_log import REQUEST_ID_HEADER, collecting, remember_request_id

_PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
_MAX_PATH = 200

logger = logging.getLogger(__name__)


class AccessLogMiddleware:
    """Logs and measures what an app answers. Of a path, the query is never logged.

    Args:
        app: what is behind it.
        metrics: counts the answers.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = remember_request_id(scope)
        started = time.perf_counter()
        answer = SentAnswer(send, {REQUEST_ID_HEADER: request_id})
        with log_context(requestId=request_id), collecting() as noted:
            try:
                await self._app(scope, receive, answer)
            except Exception:
                answer.status = answer.status or 500  # answered further out, where nothing is seen
                raise
            finally:
                self._record(scope, answer.status, time.perf_counter() - started, noted)

    def _record(self, scope: Scope, status: int, seconds: float, noted: Mapping[str, str]) -> None:
        route = getattr(scope.get("route"), "path", "none")
        self._metrics.request(scope["method"], route, status, seconds)
        caller = caller_of(scope)
        logger.log(
            logging.DEBUG if scope["path"] in _PROBES else logging.INFO,
            "request answered" if status else "request not answered",
            extra={
                "method": scope["method"][:16],
                "path": scope["path"][:_MAX_PATH],
                "status": status,
                "milliseconds": round(seconds * 1000, 1),
                **({} if caller is None else {"who": str(caller)}),
                **noted,
            },
        )
