"""What must be so in the cluster for the API and the operator to do their work.

A cluster that is otherwise is nobody's defect here and mends itself while we wait: it is said in
words, and looked at again.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from splitjob.resource import GROUP, PLURAL, VERSION
from splitjob_kube.client import KubernetesClient
from splitjob_kube.errors import ForbiddenError, NotFoundError
from splitjob_kube.paths import CONFIGMAPS
from splitjob_kube.rights import Right, missing_rights, rights
from splitjob_kube.served_schema import CrdMissingError, ServedSchema

__all__ = ["INSTALLATION_CONFIGMAP", "Preconditions", "Unready", "UnreadyReason"]

INSTALLATION_CONFIGMAP = "track-tree-audio-installation"  # the chart's; one name, one owner
TIMEOUT = (3, 10)  # seconds to connect, to read
SHOWN = 5  # how many of many missing things are named
UPGRADE = (
    "helm upgrade with crds.enabled=true (the default), or kubectl apply --server-side -f with the "
    "chart's files/crd.yaml (`python -m splitjob.crd` in this image prints it)"
)


class UnreadyReason(StrEnum):
    """Why a component is not ready, for programs."""

    CLUSTER_UNAVAILABLE = "ClusterUnavailable"
    CRD_MISSING = "CrdMissing"
    CRD_OUTDATED = "CrdOutdated"
    RIGHTS_MISSING = "RightsMissing"
    OTHER_RELEASE = "OtherRelease"
    NOT_LISTED = "NotListed"


class Unready(NamedTuple):
    """One thing that is in the way.

    Attributes:
        reason: for programs.
        message: what is wrong and what to do, for people.
    """

    reason: UnreadyReason
    message: str

    @property
    def forbids_work(self) -> bool:
        """Whether work done in spite of it could do harm, not only fail."""
        return self.reason in {
            UnreadyReason.CRD_MISSING,
            UnreadyReason.CRD_OUTDATED,
            UnreadyReason.OTHER_RELEASE,
        }


class Preconditions:
    """Looks at the cluster on behalf of one component.

    Args:
        kubernetes: a client of the cluster.
        namespace: the namespace served.
        needed: the rights that the component needs there.
        release: this installation's name; blank: it has none, and others are not asked about.
    """

    def __init__(
        self,
        kubernetes: KubernetesClient,
        namespace: str,
        needed: Sequence[Right],
        release: str = "",
    ) -> None:
        self._kubernetes = kubernetes
        self._namespace = namespace
        self._release = release
        self._needed = (*needed, *(_READ_INSTALLATION if release else ()))
        self._schema = ServedSchema(kubernetes)

    def unmet(self) -> tuple[Unready, ...]:
        """Return what is in the way now. It blocks.

        Raises:
            splitjob_kube.errors.KubernetesError: the API server failed, or could not be reached.
        """
        found = (self._other_release(), self._crd(), self._rights())
        return tuple(one for one in found if one is not None)

    def _other_release(self) -> Unready | None:
        if not self._release:
            return None
        try:
            installation = self._kubernetes.read(
                f"read ConfigMap {INSTALLATION_CONFIGMAP}",
                CONFIGMAPS.path(self._namespace, INSTALLATION_CONFIGMAP),
                timeout=TIMEOUT,
            )
        except (ForbiddenError, NotFoundError):  # not there; or not ours to read: `_rights` says so
            return None
        serving = (installation.get("data") or {}).get("release", "")
        if serving in {"", self._release}:
            return None
        return Unready(
            UnreadyReason.OTHER_RELEASE,
            f"release {serving} serves namespace {self._namespace} (ConfigMap "
            f"{INSTALLATION_CONFIGMAP}); release {self._release} does nothing there. Install it "
            f"in another namespace, or uninstall {serving}: then this one takes over",
        )

    def _crd(self) -> Unready | None:
        definition = f"the CustomResourceDefinition {PLURAL}.{GROUP}"
        try:
            missing = self._schema.missing()
        except CrdMissingError as error:
            instead = f"; it serves {', '.join(error.versions)}" if error.versions else ""
            return Unready(
                UnreadyReason.CRD_MISSING,
                f"{definition} is not in this cluster, or not in version {VERSION}{instead}. "
                f"Install the CRD: {UPGRADE}",
            )
        if not missing:
            return None
        return Unready(
            UnreadyReason.CRD_OUTDATED,
            f"{definition} is older than this version and would lose or refuse "
            f"{_some(missing)}. Upgrade the CRD: {UPGRADE}",
        )

    def _rights(self) -> Unready | None:
        missing = missing_rights(self._kubernetes, self._namespace, self._needed)
        if not missing:
            return None
        return Unready(
            UnreadyReason.RIGHTS_MISSING,
            f"this pod's service account lacks rights in namespace {self._namespace}: "
            f"{_some([str(right) for right in missing])}. Restore the chart's Role and "
            "RoleBinding (helm upgrade), or grant them",
        )


_READ_INSTALLATION = rights("configmaps", "get", name=INSTALLATION_CONFIGMAP)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
