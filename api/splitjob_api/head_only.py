"""A HEAD that is served as a GET, and the mark by which a route can tell."""

from starlette.types import Scope

_MARK = "head_only"


def head_as_get(scope: Scope) -> Scope:
    """Return the scope of a GET for that of a HEAD."""
    return {**scope, "method": "GET", "state": {**scope.get("state", {}), _MARK: True}}


def is_head_only(scope: Scope) -> bool:
    """Return whether a GET was a HEAD: nobody receives the body."""
    return _MARK in scope.get("state", {})
