"""What can go wrong between us and the API server, as one tree.

KubernetesError
  UnconfiguredError      nobody says where the API server is
  UnreachableError       it gave no answer, or one that cannot be read
  UnauthorizedError      401: it does not know our credentials
  ForbiddenError         403: our account may not do this
  NotFoundError          404
  ConflictError          409: the object has changed since it was read, or is another one
  AlreadyExistsError     409: an object of that name is there already
  ExpiredError           410: the changes since a resourceVersion are no longer known; list again
  InvalidError           422: the object is not acceptable
"""

import json
from typing import Any

__all__ = [
    "AlreadyExistsError",
    "ConflictError",
    "ExpiredError",
    "ForbiddenError",
    "InvalidError",
    "KubernetesError",
    "NotFoundError",
    "UnauthorizedError",
    "UnconfiguredError",
    "UnreachableError",
    "no_answer_error",
    "refusal_error",
    "status_error",
]

MAX_MESSAGE = 300  # of what the API server says, which may quote what it was sent


class KubernetesError(Exception):
    """The API server refused, or could not be reached.

    Args:
        message: what was attempted and what came back.
        status: the HTTP status, 0 where there was none.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class UnconfiguredError(KubernetesError):
    """Neither a KUBECONFIG nor a service account says where the API server is."""


class UnreachableError(KubernetesError):
    """There was no answer, or none that can be read.

    Args:
        message: what was attempted and what happened.
        cause: the kind of failure, for messages that must quote nothing.
    """

    def __init__(self, message: str, cause: str = "") -> None:
        super().__init__(message)
        self.cause = cause


class UnauthorizedError(KubernetesError):
    """The API server does not know our credentials."""


class ForbiddenError(KubernetesError):
    """Our account may not do this."""


class NotFoundError(KubernetesError):
    """The object, or its kind, is not there."""


class ConflictError(KubernetesError):
    """The object has changed since it was read, or is another one."""


class AlreadyExistsError(KubernetesError):
    """An object of that name is there already."""


class ExpiredError(KubernetesError):
    """The changes since a resourceVersion are no longer known: list again."""


class InvalidError(KubernetesError):
    """The API server does not accept the object."""


_BY_STATUS: dict[int, type[KubernetesError]] = {
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    410: ExpiredError,
    422: InvalidError,
}


def status_error(purpose: str, status: int, reason: str, message: str) -> KubernetesError:
    """Return the error that a refusal of the API server amounts to.

    Args:
        purpose: what was attempted, as in "cannot read Job a".
        status: the HTTP status.
        reason: for programs, as in its Status object: `AlreadyExists`.
        message: for people.
    """
    kind = _BY_STATUS.get(status, KubernetesError)
    if reason == "AlreadyExists":
        kind = AlreadyExistsError
    return kind(f"cannot {purpose}: {status} {message[:MAX_MESSAGE]}", status)


def refusal_error(
    purpose: str, status: int, phrase: str, body: str | bytes | None
) -> KubernetesError:
    """Return what an answer amounts to that is none of success.

    Args:
        purpose: what was attempted, as in "cannot read Job a".
        status: the HTTP status.
        phrase: the status in words.
        body: a Status object where the API server itself answered.
    """
    said = _status_object(body)
    message = str(said.get("message", phrase))
    return status_error(purpose, status, str(said.get("reason", "")), message)


def no_answer_error(purpose: str, error: Exception) -> UnreachableError:
    """Return the error for a call that nobody answered.

    Args:
        purpose: what was attempted, as in "cannot read Job a".
        error: what was raised meanwhile.
    """
    cause = type(error).__name__
    return UnreachableError(f"cannot {purpose}: {cause}", cause)


def _status_object(body: str | bytes | None) -> dict[str, Any]:
    try:
        said = json.loads(body or "{}")
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
