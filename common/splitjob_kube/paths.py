"""Where the API server keeps objects of each kind.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#standard-api-terminology
"""

from typing import NamedTuple
from urllib.parse import quote

from splitjob.resource import GROUP, PLURAL, VERSION

__all__ = [
    "CONFIGMAPS",
    "EVENTS",
    "JOBS",
    "LEASES",
    "NETWORK_POLICIES",
    "NODES",
    "PODS",
    "SECRETS",
    "SPLITJOBS",
    "Kind",
]


class Kind(NamedTuple):
    """A kind of objects.

    Attributes:
        plural: as paths and Roles name it: `jobs`.
        group: the API group; blank: the core one.
        version: of the group.
    """

    plural: str
    group: str = ""
    version: str = "v1"

    @property
    def resource(self) -> str:
        """The kind as messages and tests name it, with its group: `batch/jobs`."""
        return f"{self.group}/{self.plural}" if self.group else self.plural

    def path(self, namespace: str = "", name: str = "") -> str:
        """Return the path of objects: `/apis/batch/v1/namespaces/audio/jobs`.

        Args:
            namespace: theirs; blank: they are in none.
            name: of a single one; blank: all.
        """
        root = f"/apis/{self.group}" if self.group else "/api"
        within = f"namespaces/{namespace}/" if namespace else ""
        one = f"/{quote(name, safe='')}" if name else ""
        return f"{root}/{self.version}/{within}{self.plural}{one}"


SPLITJOBS = Kind(PLURAL, GROUP, VERSION)
JOBS = Kind("jobs", "batch")
PODS = Kind("pods")
SECRETS = Kind("secrets")
EVENTS = Kind("events")
CONFIGMAPS = Kind("configmaps")
NODES = Kind("nodes")
LEASES = Kind("leases", "coordination.k8s.io")
NETWORK_POLICIES = Kind("networkpolicies", "networking.k8s.io")
