"""People who come with their Kubernetes identity: whose token it is, and what RBAC lets them do.

The API server decides both. What it says is remembered for a few seconds, under a digest of the
token; the token itself is kept nowhere and written nowhere.
"""

import hashlib
import re
import time
from collections.abc import Callable
from typing import Protocol

from splitjob.resource import GROUP, PLURAL
from splitjob_api.caller import Caller
from splitjob_api.expiring_cache import ExpiringCache
from splitjob_api.problems import ApiError
from splitjob_kube.access import User

__all__ = ["KubernetesTokens", "verb_of"]

GOOD_SECONDS = 5.0  # how long an answer of the API server is believed
REMEMBERED = 1024  # answers of each kind
# https://www.rfc-editor.org/rfc/rfc6750#section-2.1
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)
_ONE_JOB = re.compile(r"/jobs/[^/]+(/.*)?")
_REDELIVER = re.compile(r"/jobs/[^/]+/redeliver")
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Reviewer(Protocol):
    """What is asked of the cluster (`splitjob_api.kubernetes.Cluster`)."""

    @property
    def namespace(self) -> str:
        """Where the SplitJobs are."""

    def user_of(self, token: str, audience: str) -> User | None:
        """Return whose token it is, None where it is not accepted."""

    def is_allowed(self, user: User, verb: str) -> bool:
        """Return whether a user may do this to SplitJobs."""


class KubernetesTokens:
    """Lets requests in by a Kubernetes token; may be used from any thread, and blocks.

    Args:
        reviewer: asks the API server.
        audience: for whom tokens must be; blank: for the API server itself.
        clock: of any beginning, in seconds.
    """

    def __init__(
        self, reviewer: Reviewer, audience: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._reviewer = reviewer
        self._audience = audience
        self._users: ExpiringCache[bytes, User | None] = ExpiringCache(
            GOOD_SECONDS, REMEMBERED, clock
        )
        self._allowed: ExpiringCache[tuple[bytes, str], bool] = ExpiringCache(
            GOOD_SECONDS, REMEMBERED, clock
        )

    def admit(self, authorization: str, method: str, path: str) -> Caller:
        """Return who makes a request, where they may.

        Args:
            authorization: the request's header `Authorization`.
            method: of the request.
            path: of the request.

        Raises:
            ApiError: 401 where the token is not accepted, 403 where a right is missing.
            splitjob_api.kubernetes.ClusterUnavailableError: the API server does not say.
        """
        token = _bearer(authorization)
        digest = hashlib.sha256(token.encode()).digest()
        user = self._users.get(digest, lambda: self._reviewer.user_of(token, self._audience))
        if user is None:
            raise _refused(self._not_accepted())
        verb = verb_of(method, path)
        if not self._allowed.get((digest, verb), lambda: self._reviewer.is_allowed(user, verb)):
            raise ApiError(
                403,
                "forbidden",
                f"{user.name} may not {verb} {PLURAL}.{GROUP} in namespace "
                f"{self._reviewer.namespace}: bind a Role with that verb, or ask who can",
            )
        return Caller("kubernetes", user.name)

    def _not_accepted(self) -> str:
        option = f" --audience {self._audience}" if self._audience else ""
        audience = f", or is not for the audience {self._audience}" if self._audience else ""
        return (
            f"the Kubernetes API does not accept this token: it is wrong, has ended{audience}. "
            f"A new one: kubectl create token ACCOUNT{option}"
        )


def verb_of(method: str, path: str) -> str:
    """Return the verb on SplitJobs that a request takes.

    Args:
        method: of the request.
        path: of the request.
    """
    if method in _READING:
        return "get" if _ONE_JOB.fullmatch(path) else "list"
    if method == "POST" and not _REDELIVER.fullmatch(path):
        return "create"
    return "patch"


def _bearer(authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not _TOKEN.fullmatch(token.strip(" ")):
        raise _refused("Authorization must be Bearer, a blank and one Kubernetes token")
    return token.strip(" ")


def _refused(detail: str) -> ApiError:
    return ApiError(401, "token_invalid", detail, headers={"WWW-Authenticate": "Bearer"})
