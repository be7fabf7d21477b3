"""What reconciling needs of the world outside: adapters fill these ports, in tests fakes do.

Objects are the API server's own JSON. Every call blocks. Where a method says nothing else it raises
`KubernetesError` when the API server refuses or cannot be reached.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from splitjob.spec import Request
from splitjob.webhook import DeliveryOutcome
from splitjob_operator.core.inputs import StoredInput
from splitjob_operator.core.lookups import (
    ClaimTombstone,
    EraseData,
    ErasureLookup,
    InputDeletion,
    ManifestLookup,
)
from splitjob_operator.core.observed import SplitJob

__all__ = [
    "BucketError",
    "EventPort",
    "InputStorePort",
    "KubernetesPort",
    "LeasePort",
    "ListingPort",
    "LogPort",
    "ManifestStorePort",
    "NodePort",
    "TotalsPort",
    "WatchingPort",
    "WebhookSenderPort",
]

Json = dict[str, Any]


class BucketError(Exception):
    """The bucket refused, or could not be reached; the message says what was attempted."""


class LogPort(Protocol):
    """The logs of the workers."""

    def log_tail(self, pod: str, container: str) -> str:
        """Return the last lines of a container's log."""


class EventPort(Protocol):
    """Where Kubernetes Events are posted."""

    def create_event(self, event: Json) -> None:
        """Create a Kubernetes Event."""


class KubernetesPort(LogPort, EventPort, Protocol):
    """One namespace of a cluster; `splitjob_operator.adapters.kubernetes` is the real one."""

    def splitjob(self, name: str) -> Json:
        """Return a SplitJob.

        Raises:
            NotFoundError: there is none of that name.
        """

    def readers(self, source_url: str) -> list[Json]:
        """Return the SplitJobs whose request names a source, as they are this moment."""

    def jobs(self, splitjob: str) -> Iterable[Json]:
        """Return the Jobs that carry a SplitJob's label."""

    def pods(self, splitjob: str) -> Iterable[Json]:
        """Return the pods that carry a SplitJob's label."""

    def job(self, name: str) -> Json:
        """Return a Job.

        Raises:
            NotFoundError: there is none of that name.
        """

    def workload(self, job_uid: str) -> Json | None:
        """Return the Workload that Kueue keeps of a Job; None: there is none, or no Kueue."""

    def set_workload_active(self, job_uid: str, *, active: bool) -> None:
        """Set `spec.active` of a Job's Workload; where there is none nothing is done.

        Raises:
            ConflictError: it has changed since it was read.
        """

    def secret(self, name: str) -> Json:
        """Return a Secret.

        Raises:
            NotFoundError: there is none of that name.
        """

    def events(self, kind: str, name: str) -> list[Json]:
        """Return the events about an object."""

    def autoscaler_events(self) -> list[Json]:
        """Return the events about pods that neither scheduler nor node have posted."""

    def write_status(self, seen: Mapping[str, Any], status: Json) -> Json:
        """Replace the status of a SplitJob, under the resourceVersion that was read.

        Args:
            seen: the SplitJob as it was read.
            status: what its status is to be.

        Returns:
            The SplitJob as it is now.

        Raises:
            ConflictError: it has changed since it was read.
            NotFoundError: it is gone.
        """

    def create_job(self, manifest: Json) -> Json:
        """Create a Job and return it.

        Raises:
            AlreadyExistsError: there is one of that name.
        """

    def create_network_policy(self, manifest: Json) -> None:
        """Create a NetworkPolicy.

        Raises:
            AlreadyExistsError: there is one of that name.
        """

    def own_secret(self, secret: Mapping[str, Any], owner: Json) -> None:
        """Add an owner reference to a Secret as it was read."""

    def delete_job(self, name: str, uid: str, propagation: str) -> None:
        """Delete the Job of this name and uid; one that is gone is fine."""

    def delete_pod(self, name: str, uid: str, *, force: bool) -> None:
        """Delete the pod of this name and uid; by force without waiting for its node."""

    def delete_splitjob(self, seen: Mapping[str, Any]) -> None:
        """Delete a SplitJob and behind it all that it owns, where it is still as it was read."""


class ListingPort(Protocol):
    """What the resync lists, and the Secrets and pods that it deletes."""

    def splitjobs(self) -> Iterator[Json]:
        """Yield all SplitJobs, page by page."""

    def splitjob(self, name: str) -> Json:
        """Return a SplitJob, as `KubernetesPort.splitjob`."""

    def metadata(self, kind: str) -> Iterator[Json]:
        """Yield the metadata of all SplitJobs, of the Jobs or pods of all, or of their Secrets.

        Args:
            kind: SplitJob, Job, Pod or Secret.
        """

    def delete_secret(self, seen: Mapping[str, Any]) -> None:
        """Delete a Secret where it is still as it was read; one that is gone is fine."""

    def delete_pod(self, name: str, uid: str, *, force: bool) -> None:
        """Delete the pod of this name and uid, as `KubernetesPort.delete_pod`."""


class WatchingPort(Protocol):
    """What the watches ask; kinds are SplitJob, Job and Pod."""

    def latest_version(self, kind: str) -> str:
        """Return the resourceVersion of now: no change up to now has a later one."""

    def changes(self, kind: str, version: str, seconds: int) -> Iterator[tuple[str, Json]]:
        """Yield what changes of a kind: the type as Kubernetes calls it, and the object.

        Bookmarks, which only say how far the watch is, are among them.

        Args:
            kind: of the objects.
            version: the resourceVersion after which it begins.
            seconds: the API server ends the watch after this.

        Raises:
            ExpiredError: the API server no longer knows what came after that version.
        """


class TotalsPort(Protocol):
    """Where the totals are kept, and the SplitJobs that they count."""

    def configmap(self, name: str) -> Json | None:
        """Return a ConfigMap, or None where it is not there."""

    def write_configmap(self, configmap: Json) -> Json:
        """Write a ConfigMap: with a resourceVersion as it was read, without one anew.

        Raises:
            ConflictError: it has changed since.
            AlreadyExistsError: it is there already.
        """

    def splitjob(self, name: str) -> Json:
        """Return a SplitJob, as `KubernetesPort.splitjob`."""

    def write_status(self, seen: Mapping[str, Any], status: Json) -> Json:
        """Replace the status of a SplitJob, as `KubernetesPort.write_status`."""


class LeasePort(Protocol):
    """Where the Lease is by which one of several operators leads."""

    def lease(self, name: str) -> Json | None:
        """Return a Lease, or None where it is not there."""

    def write_lease(self, lease: Json) -> Json:
        """Write a Lease: with a resourceVersion as it was read, without one anew.

        Returns:
            The Lease as it is now.

        Raises:
            ConflictError: it has changed since.
            AlreadyExistsError: it is there already.
            NotFoundError: it is gone.
        """


class NodePort(Protocol):
    """The nodes that workers run on."""

    def node(self, name: str) -> Json:
        """Return a node.

        Raises:
            NotFoundError: there is none of that name.
            ForbiddenError: our account may not read nodes.
        """


class ManifestStorePort(Protocol):
    """The manifests in the bucket; `splitjob_operator.adapters.manifest_store` is the real one."""

    def read(self, splitjob: SplitJob, request: Request) -> ManifestLookup:
        """Return what is under the key of a job's manifest; that a bucket is away is a state."""

    def claim(self, splitjob: SplitJob, request: Request, wanted: ClaimTombstone) -> ManifestLookup:
        """Write a tombstone unless a manifest is there; return what is there now."""

    def replace_foreign(self, splitjob: SplitJob, request: Request) -> None:
        """Keep the place of a job's manifest for it, where that of another job stands.

        Raises:
            BucketError: it could not be replaced.
        """

    def erase(self, splitjob: SplitJob, request: Request, wanted: EraseData) -> ErasureLookup:
        """Erase all below a job's prefix, and leave a tombstone; may be done twice."""


class InputStorePort(Protocol):
    """The files from POST /uploads; `splitjob_operator.adapters.input_store` is the real one."""

    def delete(self, key: str) -> InputDeletion:
        """Delete one file; that it could not be deleted is a result."""

    def page(self, after: str) -> tuple[list[StoredInput], str]:
        """Return some of the files, and after which key the next page begins; blank: at the end.

        Raises:
            BucketError: they could not be listed.
        """

    def delete_all(self, keys: Sequence[str]) -> None:
        """Delete files; those that are not there count as deleted.

        Raises:
            BucketError: not all could be deleted.
        """


class WebhookSenderPort(Protocol):
    """The way to receivers; `splitjob_io.webhook_sender` is the real one."""

    def send(
        self, url: str, event_id: str, body: bytes, *, traceparent: str = ""
    ) -> DeliveryOutcome:
        """POST an event once, signed.

        Args:
            url: the receiver, its query included.
            event_id: the same in every attempt of one event.
            body: the event as JSON.
            traceparent: where in a trace it belongs; blank: in none.
        """
