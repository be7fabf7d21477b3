"""Where the API server keeps the kinds of objects that are asked for without the library's methods.

Source: https://kubernetes.io/docs/reference/using-api/api-concepts/#standard-api-terminology
"""

from typing import NamedTuple

from splitjob.resource import GROUP, PLURAL, VERSION

__all__ = ["EVENTS", "JOBS", "PODS", "SECRETS", "SPLITJOBS", "Kind"]


class Kind(NamedTuple):
    """A kind of objects that live in namespaces.

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

    def path(self, namespace: str) -> str:
        """Return the path of a namespace's objects: `/apis/batch/v1/namespaces/audio/jobs`."""
        root = f"/apis/{self.group}" if self.group else "/api"
        return f"{root}/{self.version}/namespaces/{namespace}/{self.plural}"


SPLITJOBS = Kind(PLURAL, GROUP, VERSION)
JOBS = Kind("jobs", "batch")
PODS = Kind("pods")
SECRETS = Kind("secrets")
EVENTS = Kind("events")
