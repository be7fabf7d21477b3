"""People who come with their Kubernetes identity: whose token it is, and what RBAC lets them do.

The API server decides both. What it says is remembered for a few seconds, under a digest of the
token; the token itself is kept nowhere and written nowhere.
"""

import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from starlette.routing import compile_path

from splitjob.resource import GROUP, PLURAL
from splitjob_api.caller import Caller
from splitjob_api.expiring_cache import ExpiringCache
from splitjob_api.problems import ApiError
from splitjob_kube.access import User

__all__ = ["VERBS", "KubernetesTokens", "verb_of"]

GOOD_SECONDS = 5.0  # how long an answer of the API server is believed
REMEMBERED = 1024  # answers of each kind
# https://www.rfc-editor.org/rfc/rfc6750#section-2.1
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)
# The right that each call takes. A call that is not listed is let in by none: to fall back to some
# right would let whoever has that one do what takes another.
VERBS: dict[tuple[str, str], str] = {
    ("GET", "/events"): "list",
    ("GET", "/jobs"): "list",
    ("GET", "/models"): "list",
    ("GET", "/queue/capacity"): "list",
    ("GET", "/queue/status"): "list",
    ("GET", "/jobs/{job_id}"): "get",
    ("GET", "/jobs/{job_id}/events"): "get",
    ("GET", "/jobs/{job_id}/resource"): "get",
    ("GET", "/jobs/{job_id}/stems/{stem}"): "get",
    ("GET", "/jobs/{job_id}/waveforms/{stem}"): "get",
    ("GET", "/jobs/{job_id}/manifest"): "get",
    ("POST", "/split"): "create",
    ("POST", "/uploads"): "create",
    ("POST", "/jobs/{job_id}/retry"): "create",
    ("POST", "/jobs/{job_id}/redeliver"): "patch",
    ("DELETE", "/jobs/{job_id}"): "patch",
    ("DELETE", "/jobs/{job_id}/data"): "patch",
}
# Read as the router reads them, so that no path is one call here and another one there.
_CALLS = tuple((method, compile_path(path)[0], verb) for (method, path), verb in VERBS.items())


class Reviewer(Protocol):
    """What is asked of the cluster (`splitjob_api.kubernetes.Cluster`)."""

    @property
    def namespace(self) -> str:
        """Where the SplitJobs are."""

    def user_of(self, token: str, audience: str) -> User | None:
        """Return whose token it is, None where it is not accepted."""

    def is_allowed(self, user: User, verb: str) -> bool:
        """Return whether a user may do this to SplitJobs."""


class _NotRememberedError(Exception):
    """The cluster would have to be asked."""


@dataclass(frozen=True)
class _Nobody:
    """Is asked where the cluster is not to be."""

    namespace: str

    def user_of(self, _token: str, _audience: str) -> User | None:
        raise _NotRememberedError

    def is_allowed(self, _user: User, _verb: str) -> bool:
        raise _NotRememberedError


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

    def remembered(self, authorization: str, method: str, path: str) -> Caller | None:
        """Return who makes a request, where that is known without asking the cluster; never blocks.

        Args:
            authorization: the request's header `Authorization`.
            method: of the request.
            path: of the request.

        Raises:
            ApiError: as `admit`.
        """
        try:
            return self._judge(_Nobody(self._reviewer.namespace), authorization, method, path)
        except _NotRememberedError:
            return None

    def admit(self, authorization: str, method: str, path: str) -> Caller:
        """Return who makes a request, where they may.

        Args:
            authorization: the request's header `Authorization`.
            method: of the request.
            path: of the request.

        Raises:
            ApiError: 401 where the token is not accepted, 403 where a right is missing, 404 where
                there is no such call.
            splitjob_api.kubernetes.ClusterUnavailableError: the API server does not say.
        """
        return self._judge(self._reviewer, authorization, method, path)

    def _judge(self, reviewer: Reviewer, authorization: str, method: str, path: str) -> Caller:
        token = _bearer(authorization)
        digest = hashlib.sha256(token.encode()).digest()
        user = self._users.get(digest, lambda: reviewer.user_of(token, self._audience))
        if user is None:
            raise _refused(self._not_accepted())
        verb = verb_of(method, path)
        if verb is None:
            raise ApiError(404, "not_found", "no such call; GET /docs lists those there are")
        if not self._allowed.get((digest, verb), lambda: reviewer.is_allowed(user, verb)):
            raise ApiError(
                403,
                "forbidden",
                f"{user.name} may not {verb} {PLURAL}.{GROUP} in namespace "
                f"{reviewer.namespace}: bind a Role with that verb, or ask who can",
            )
        return Caller("kubernetes", user.name)

    def _not_accepted(self) -> str:
        option = f" --audience {self._audience}" if self._audience else ""
        audience = f", or is not for the audience {self._audience}" if self._audience else ""
        return (
            f"the Kubernetes API does not accept this token: it is wrong, has ended{audience}. "
            f"A new one: kubectl create token ACCOUNT{option}"
        )


def verb_of(method: str, path: str) -> str | None:
    """Return the verb on SplitJobs that a request takes; None where there is no such call.

    Args:
        method: of the request.
        path: of the request.
    """
    method = "GET" if method == "HEAD" else method
    return next((verb for by, calls, verb in _CALLS if by == method and calls.match(path)), None)


def _bearer(authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not _TOKEN.fullmatch(token.strip(" ")):
        raise _refused("Authorization must be Bearer, a blank and one Kubernetes token")
    return token.strip(" ")


def _refused(detail: str) -> ApiError:
    return ApiError(401, "token_invalid", detail, headers={"WWW-Authenticate": "Bearer"})
