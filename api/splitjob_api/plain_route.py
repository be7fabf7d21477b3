"""Routes whose endpoint is handed the request as it came, and gives the answer whole."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

__all__ = ["PlainRoute"]


class PlainRoute(APIRoute):
    """A route without dependencies: none is solved, no body read, and no answer made into JSON.

    The framework would do all three at each request, which takes a good part of the time that a job
    needs here. The endpoint is a coroutine, takes the request alone, and returns a response.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what serves a request: the endpoint itself."""
        endpoint: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return endpoint
