"""Who somebody else is, and what they may do: asked of the API server, which alone knows.

Sources: https://kubernetes.io/docs/reference/access-authn-authz/authentication/ (TokenReview),
https://kubernetes.io/docs/reference/access-authn-authz/authorization/ (LocalSubjectAccessReview).
"""

from typing import NamedTuple

from splitjob_kube.client import Json, KubernetesClient
from splitjob_kube.paths import Kind
from splitjob_kube.rights import Right, attributes, rights

__all__ = ["RIGHTS", "User", "is_allowed", "user_of"]

TOKEN_REVIEWS = Kind("tokenreviews", "authentication.k8s.io")
ACCESS_REVIEWS = Kind("localsubjectaccessreviews", "authorization.k8s.io")
# What asking takes: the first of the whole cluster, the second in one namespace.
RIGHTS = (
    *rights(TOKEN_REVIEWS.plural, "create", group=TOKEN_REVIEWS.group),
    *rights(ACCESS_REVIEWS.plural, "create", group=ACCESS_REVIEWS.group),
)


class User(NamedTuple):
    """Somebody whom the API server knows.

    Attributes:
        name: `system:serviceaccount:audio:ana`, or what the cluster's identity provider says.
        subject: all that a review of access takes: name, uid, groups and what else is known.
    """

    name: str
    subject: Json


def user_of(kubernetes: KubernetesClient, token: str, audience: str) -> User | None:
    """Return whose token it is; None where the API server does not accept it.

    Args:
        kubernetes: a client whose account may create TokenReviews.
        token: as it came.
        audience: for whom the token must be; blank: for the API server itself.

    Raises:
        splitjob_kube.errors.KubernetesError: the API server does not say.
    """
    wanted = {"audiences": [audience]} if audience else {}
    review = kubernetes.create(
        "review a token", TOKEN_REVIEWS.path(), {"spec": {"token": token, **wanted}}
    )
    status = review.get("status") or {}
    if not status.get("authenticated"):
        return None
    # An authenticator that knows nothing of audiences does not repeat the one that was asked for.
    if audience and audience not in (status.get("audiences") or ()):
        return None
    user = status.get("user") or {}
    name = str(user.get("username", ""))
    known = {key: user[key] for key in ("uid", "groups", "extra") if user.get(key)}
    return User(name, {"user": name, **known}) if name else None


def is_allowed(kubernetes: KubernetesClient, namespace: str, user: User, right: Right) -> bool:
    """Return whether a user may do this in a namespace.

    Args:
        kubernetes: a client whose account may create LocalSubjectAccessReviews there.
        namespace: where.
        user: who.
        right: what.

    Raises:
        splitjob_kube.errors.KubernetesError: the API server does not say.
    """
    review = kubernetes.create(
        f"ask whether somebody may {right}",
        ACCESS_REVIEWS.path(namespace),
        {
            "metadata": {"namespace": namespace},
            "spec": {**user.subject, "resourceAttributes": attributes(right, namespace)},
        },
    )
    return bool((review.get("status") or {}).get("allowed"))
