"""Who made a request, as logs, limits and routes may know it."""

from dataclasses import dataclass
from typing import Literal

from starlette.types import Scope

__all__ = ["Caller", "caller_of", "remember_caller"]

KEY = "caller"


@dataclass(frozen=True)
class Caller:
    """Somebody who was let in.

    Attributes:
        kind: how: by a signature, or by a Kubernetes token.
        name: `token-1` for the first of the installation's tokens, or the Kubernetes user's name.
    """

    kind: Literal["token", "kubernetes"]
    name: str

    def __str__(self) -> str:
        """Return how logs name the caller; no user of a cluster can pass for a token."""
        return self.name if self.kind == "token" else f"kubernetes:{self.name}"


def remember_caller(scope: Scope, caller: Caller) -> None:
    """Note on a request who made it."""
    scope.setdefault("state", {})[KEY] = caller


def caller_of(scope: Scope) -> Caller | None:
    """Return who made a request; None where anybody may, or nobody was let in."""
    found: Caller | None = scope.get("state", {}).get(KEY)
    return found
