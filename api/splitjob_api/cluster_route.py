"""Routes that count against the limit of requests that ask the cluster, while they are served."""

import inspect
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

__all__ = ["ClusterRoute"]

Serve = Callable[[Request], Coroutine[Any, Any, Response]]


class ClusterRoute(APIRoute):
    """A route that asks the cluster, where it is no coroutine.

    Such a route blocks a thread while the cluster answers, or a service that gives out credentials
    to sign URLs with. It counts no more when the answer is sent.
    """

    def get_route_handler(self) -> Serve:
        """Return what serves a request, counted while it is served."""
        serve = super().get_route_handler()
        if inspect.iscoroutinefunction(self.endpoint):
            return serve

        async def serve_counted(request: Request) -> Response:
            async with request.app.state.services.cluster_limit.held():
                return await serve(request)

        return serve_counted
