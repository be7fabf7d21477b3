"""A span of each request that changes something, as a part of the trace that its caller names."""

from datetime import UTC, datetime

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from splitjob.tracing import TRACEPARENT, Span, SpanSink, TraceContext
from splitjob_api.middleware.sent_answer import SentAnswer
from splitjob_api.request_log import noted
from splitjob_api.request_trace import tracing

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class TraceMiddleware:
    """Tells a span of each request that was let in and does more than read.

    Args:
        app: what is behind it.
        spans: where they go.
    """

    def __init__(self, app: ASGIApp, spans: SpanSink) -> None:
        self._app = app
        self._spans = spans

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http" or scope["method"] in _READING:
            await self._app(scope, receive, send)
            return
        parent = TraceContext.parse(Headers(scope=scope).get(TRACEPARENT))
        place = self._spans.enter(parent)
        began, answer = datetime.now(UTC), SentAnswer(send, {})
        try:
            with tracing(place):
                await self._app(scope, receive, answer)
        finally:
            self._spans.tell(_span(scope, answer.status or 500, place, parent, began))


def _span(
    scope: Scope, status: int, place: TraceContext, parent: TraceContext | None, began: datetime
) -> Span:
    method, route = scope["method"], getattr(scope.get("route"), "path", "")
    about = {"http.request.method": method, "http.route": route, "splitjob.name": noted("jobId")}
    return Span(
        name=f"{method} {route}".strip(),
        context=place,
        parent=parent,
        began=began,
        ended=datetime.now(UTC),
        kind="server",
        error=str(status) if status >= 500 else "",
        attributes={
            "http.response.status_code": status,
            **{name: value for name, value in about.items() if value},
        },
    )
