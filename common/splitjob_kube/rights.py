"""The rights a program needs in its namespace, and which of them it has not got.

Every account may ask about itself (the ClusterRole `system:basic-user`), so this needs no right.
Source: https://kubernetes.io/docs/reference/access-authn-authz/authorization/
"""

from collections.abc import Iterable
from typing import NamedTuple

from splitjob_kube.client import Json, KubernetesClient
from splitjob_kube.paths import Kind

__all__ = ["Right", "attributes", "missing_rights", "rights"]

TIMEOUT = (3, 10)  # seconds to connect, to read
OWN_RULES_REVIEWS = Kind("selfsubjectrulesreviews", "authorization.k8s.io")
OWN_ACCESS_REVIEWS = Kind("selfsubjectaccessreviews", "authorization.k8s.io")


class Right(NamedTuple):
    """One verb on one resource.

    Attributes:
        verb: get, list, watch, create, update, patch, delete.
        resource: the plural, with a subresource behind a slash: `pods/log`.
        group: the API group; blank: the core one.
        name: of the only object it is needed for; blank: all.
    """

    verb: str
    resource: str
    group: str = ""
    name: str = ""

    def __str__(self) -> str:
        resource, slash, subresource = self.resource.partition("/")
        kind = f"{resource}.{self.group}" if self.group else resource
        which = f" {self.name}" if self.name else ""
        return f"{self.verb} {kind}{slash}{subresource}{which}"


def rights(resource: str, *verbs: str, group: str = "", name: str = "") -> tuple[Right, ...]:
    """Return the rights to several verbs on one resource; see `Right`."""
    return tuple(Right(verb, resource, group, name) for verb in verbs)


def missing_rights(
    kubernetes: KubernetesClient, namespace: str, needed: Iterable[Right]
) -> tuple[Right, ...]:
    """Return those of the needed rights that this account has not got in a namespace.

    The list of all its rules is asked for first. It may be incomplete where something else than
    RBAC decides as well, so what is not on it is asked for by itself.

    Raises:
        splitjob_kube.errors.KubernetesError: the API server does not say.
    """
    review = kubernetes.create(
        "ask for its own rights",
        OWN_RULES_REVIEWS.path(),
        {"spec": {"namespace": namespace}},
        TIMEOUT,
    )
    rules = review["status"].get("resourceRules") or []
    doubtful = [right for right in needed if not any(_grants(rule, right) for rule in rules)]
    return tuple(right for right in doubtful if not _may(kubernetes, namespace, right))


def attributes(right: Right, namespace: str) -> Json:
    """Return a right as a review of access wants it."""
    resource, _, subresource = right.resource.partition("/")
    return {
        "namespace": namespace,
        "verb": right.verb,
        "group": right.group,
        "resource": resource,
        "subresource": subresource,
        "name": right.name,
    }


def _grants(rule: Json, right: Right) -> bool:
    names = rule.get("resourceNames")
    return (
        bool({"*", right.verb} & set(rule["verbs"]))
        and bool({"*", right.group} & set(rule.get("apiGroups") or ()))
        and bool({"*", right.resource} & set(rule.get("resources") or ()))
        and (not names or right.name in names)
    )


def _may(kubernetes: KubernetesClient, namespace: str, right: Right) -> bool:
    review = kubernetes.create(
        f"ask whether it may {right}",
        OWN_ACCESS_REVIEWS.path(),
        {"spec": {"resourceAttributes": attributes(right, namespace)}},
        TIMEOUT,
    )
    return bool(review["status"].get("allowed"))
