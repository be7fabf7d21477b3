"""Routes that hold one of the places of those who ask the cluster, while they are served."""

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
    to sign URLs with. The place is given back before the answer is sent.
    """

    def get_route_handler(self) -> Serve:
        """Return what serves a request: as it would be served, in a place."""
        serve = super().get_route_handler()
        if inspect.iscoroutinefunction(self.endpoint):
            return serve

        async def serve_in_place(request: Request) -> Response:
            async with request.app.state.services.cluster_places.one():
                return await serve(request)

        return serve_in_place
