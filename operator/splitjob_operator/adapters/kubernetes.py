"""The only file of the operator that talks to the Kubernetes API (kopf's own look at it apart).

Everything is the API server's own JSON. Calls block; the operator makes them in threads.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from splitjob.resource import GROUP, LABEL_SPLITJOB, PLURAL, SECRET_TYPE
from splitjob_kube.client import ClientPolicy, Json, KubernetesClient, Timeout, selecting
from splitjob_kube.connection import Connection
from splitjob_kube.errors import (
    ConflictError,
    ForbiddenError,
    KubernetesError,
    NotFoundError,
    UnauthorizedError,
)
from splitjob_kube.paths import (
    CONFIGMAPS,
    EVENTS,
    JOBS,
    LEASES,
    NETWORK_POLICIES,
    NODES,
    PODS,
    SECRETS,
    SPLITJOBS,
    Kind,
)
from splitjob_kube.preconditions import Preconditions, Unready
from splitjob_kube.rights import Right, rights
from splitjob_operator.core.kueue import JOB_UID_LABEL

__all__ = ["KubernetesAdapter", "accepts_credentials", "connection", "rights_needed"]

# What fails is looked at again anyway, a little later.
POLICY = ClientPolicy(connect_seconds=5, read_seconds=30, tries_again=False)
LOG_TIMEOUT = (3, 5)  # seconds to connect, to read
LEASE_TIMEOUT = (2, 3)  # the same: a try that hangs must leave time for another one
KUEUE = "kueue.x-k8s.io"
LOG_LINES = 40
LOG_BYTES = 16384
_OF_SPLITJOBS = selecting("labelSelector", LABEL_SPLITJOB)
# An autoscaler has many names; those who post most of a pod's Events have not.
_OF_OTHERS = ("source!=kubelet", "source!=default-scheduler")
_SELECTORS = {
    "SplitJob": (),
    "Job": (_OF_SPLITJOBS,),
    "Pod": (_OF_SPLITJOBS,),
    "Secret": (selecting("fieldSelector", f"type={SECRET_TYPE}"),),
}
# What everything below needs. Nodes are not among them: an installation may do
# without (rbac.nodes).
RIGHTS = (
    *rights(PLURAL, "get", "list", "watch", "delete", group=GROUP),
    *rights(f"{PLURAL}/status", "update", group=GROUP),
    *rights(f"{PLURAL}/finalizers", "update", group=GROUP),
    *rights("jobs", "create", "get", "list", "watch", "delete", group="batch"),
    *rights("pods", "list", "watch", "delete"),
    *rights("pods/log", "get"),
    *rights("secrets", "get", "list", "patch", "delete"),
    *rights("events", "create", "list"),
    *rights("configmaps", "create"),
    *rights("leases", "create", group=LEASES.group),
)


def connection() -> Connection:
    """Return how to reach the API server, read afresh: tokens are renewed under our feet.

    Raises:
        splitjob_kube.errors.UnconfiguredError: nothing says where the API server is.
    """
    return KubernetesClient(POLICY).connection()


def accepts_credentials() -> bool:
    """Return whether the API server knows us; True also where it does not answer at all.

    Raises:
        splitjob_kube.errors.UnconfiguredError: nothing says where the API server is.
    """
    kubernetes = KubernetesClient(POLICY)
    try:
        kubernetes.read("ask for the version", "/version")
    except UnauthorizedError:
        return False
    except KubernetesError:
        return True
    return True


class KubernetesAdapter:
    """One namespace of a cluster.

    Args:
        namespace: the namespace served.
        needed: the rights that this operator needs (`rights_needed`).
        release: this installation's name; blank: it has none.
        fence: called before each write; raises where this process may write nothing.
    """

    def __init__(
        self,
        namespace: str,
        needed: tuple[Right, ...] = (),
        release: str = "",
        fence: Callable[[], None] = lambda: None,
    ) -> None:
        self.namespace = namespace
        self._fence = fence
        self._client = KubernetesClient(POLICY)
        self._preconditions = Preconditions(self._client, namespace, needed, release)
        self._paths = {
            "SplitJob": SPLITJOBS.path(namespace),
            "Job": JOBS.path(namespace),
            "Pod": PODS.path(namespace),
            "Secret": SECRETS.path(namespace),
            "Event": EVENTS.path(namespace),
            "ConfigMap": CONFIGMAPS.path(namespace),
            "Lease": LEASES.path(namespace),
            "NetworkPolicy": NETWORK_POLICIES.path(namespace),
        }

    def unmet(self) -> tuple[Unready, ...]:
        """Return what of the cluster is not as this operator needs it."""
        return self._preconditions.unmet()

    def metadata(self, kind: str) -> Iterator[Json]:
        """Yield the metadata of all objects of a kind that concern SplitJobs, page by page."""
        return self._client.metadata(
            f"list {kind}s by their metadata", self._paths[kind], *_SELECTORS[kind]
        )

    def latest_version(self, kind: str) -> str:
        """Return the resourceVersion of now: no change up to now has a later one."""
        listing = self._client.read(
            f"ask for the latest resourceVersion of {kind}s", f"{self._paths[kind]}?limit=1"
        )
        return str(listing["metadata"]["resourceVersion"])

    def changes(self, kind: str, version: str, seconds: int) -> Iterator[tuple[str, Json]]:
        """Yield what changes of a kind after a resourceVersion, bookmarks among them.

        Args:
            kind: SplitJob, Job or Pod.
            version: after which it begins.
            seconds: the API server ends the watch after this.

        Raises:
            splitjob_kube.errors.ExpiredError: what came after that version is no longer known.
        """
        changes = self._client.watch(
            f"watch {kind}s", self._paths[kind], version, seconds, *_SELECTORS[kind]
        )
        for event in changes:
            event.object["metadata"].pop("managedFields", None)  # much, and nobody reads it
            yield event

    # SplitJobs

    def splitjob(self, name: str) -> Json:
        """Return a SplitJob."""
        return self._client.read(f"read SplitJob {name}", self._paths["SplitJob"] + f"/{name}")

    def splitjobs(self) -> Iterator[Json]:
        """Yield all SplitJobs, page by page."""
        return self._client.items("list SplitJobs", self._paths["SplitJob"])

    def readers(self, source_url: str) -> list[Json]:
        """Return the SplitJobs whose request names a source, as they are this moment.

        All at once, which the API server answers from memory where it can: a page it reads from
        etcd, and all SplitJobs with it.
        """
        readers = selecting("fieldSelector", f"spec.request.source.url={_escaped(source_url)}")
        listing = self._client.read(
            "list the SplitJobs that read a file", f"{self._paths['SplitJob']}?{readers}"
        )
        return list(listing["items"] or [])

    def write_status(self, seen: Mapping[str, Any], status: Json) -> Json:
        """Replace the status of a SplitJob as it was read.

        Returns:
            The SplitJob as it is now.

        Raises:
            splitjob_kube.errors.ConflictError: it has changed since.
        """
        self._fence()
        name = seen["metadata"]["name"]
        return self._client.replace(
            f"write the status of {name}",
            f"{self._paths['SplitJob']}/{name}/status",
            {**seen, "metadata": _without_managers(seen["metadata"]), "status": status},
        )

    def delete_splitjob(self, seen: Mapping[str, Any]) -> None:
        """Delete a SplitJob as it was read and, behind it, all it owns."""
        self._delete("SplitJob", seen["metadata"]["name"], _as_read(seen))

    # Jobs and pods

    def job(self, name: str) -> Json:
        """Return a Job."""
        return self._client.read(f"read Job {name}", f"{self._paths['Job']}/{name}")

    def jobs(self, splitjob: str) -> list[Json]:
        """Return the Jobs of a SplitJob, by its label."""
        return self._labelled("Job", splitjob)

    def pods(self, splitjob: str) -> list[Json]:
        """Return the pods of a SplitJob, by its label."""
        return self._labelled("Pod", splitjob)

    def _labelled(self, kind: str, splitjob: str) -> list[Json]:
        query = selecting("labelSelector", f"{LABEL_SPLITJOB}={splitjob}")
        listing = self._client.read(f"list {kind}s", f"{self._paths[kind]}?{query}")
        return list(listing["items"] or [])

    def create_job(self, manifest: Json) -> Json:
        """Create a Job.

        Raises:
            splitjob_kube.errors.AlreadyExistsError: one of that name is there.
        """
        self._fence()
        name = manifest["metadata"]["name"]
        return self._client.create(f"create Job {name}", self._paths["Job"], manifest)

    def create_network_policy(self, manifest: Json) -> None:
        """Create a NetworkPolicy.

        Raises:
            splitjob_kube.errors.AlreadyExistsError: one of that name is there.
        """
        self._fence()
        name = manifest["metadata"]["name"]
        self._client.add(f"create NetworkPolicy {name}", self._paths["NetworkPolicy"], manifest)

    def delete_job(self, name: str, uid: str, propagation: str) -> None:
        """Delete a Job; one that is gone already is fine."""
        self._delete("Job", name, {"uid": uid}, propagation)

    def delete_pod(self, name: str, uid: str, *, force: bool) -> None:
        """Delete a pod; by force without waiting for its node."""
        self._delete("Pod", name, {"uid": uid}, grace_seconds=0 if force else None)

    def workload(self, job_uid: str) -> Json | None:
        """Return the Workload that Kueue keeps of a Job; None: there is none, or no Kueue."""
        try:
            query = selecting("labelSelector", f"{JOB_UID_LABEL}={job_uid}")
            listing = self._client.read("list Workloads", f"{self._workloads()}?{query}")
        except (ForbiddenError, NotFoundError):
            return None
        return next(iter(listing["items"] or []), None)

    def set_workload_active(self, job_uid: str, *, active: bool) -> None:
        """Set `spec.active` of a Job's Workload, as it was read.

        Raises:
            splitjob_kube.errors.ConflictError: it has changed since.
        """
        self._fence()
        found = self.workload(job_uid)
        if found is None or found["spec"].get("active", True) == active:
            return
        name = found["metadata"]["name"]
        changed = {
            **found,
            "metadata": _without_managers(found["metadata"]),
            "spec": {**found["spec"], "active": active},
        }
        self._client.replace(f"write Workload {name}", f"{self._workloads()}/{name}", changed)

    def _workloads(self) -> str:
        """Return the path of Kueue's Workloads, in the version that is served."""
        if not self._paths.get("Workload"):
            group = self._client.read("look for Kueue", f"/apis/{KUEUE}")
            version = group["preferredVersion"]["version"]
            self._paths["Workload"] = Kind("workloads", KUEUE, version).path(self.namespace)
        return self._paths["Workload"]

    def log_tail(self, pod: str, container: str) -> str:
        """Return the last lines of a container's log."""
        query = f"container={container}&tailLines={LOG_LINES}&limitBytes={LOG_BYTES}"
        return self._client.text(
            f"read the log of {pod}",
            f"{self._paths['Pod']}/{pod}/log?{query}",
            LOG_TIMEOUT,
        )

    def node(self, name: str) -> Json:
        """Return a node."""
        return self._client.read(f"read node {name}", NODES.path(name=name))

    # Secrets, events, totals

    def secret(self, name: str) -> Json:
        """Return a Secret."""
        return self._client.read(f"read Secret {name}", SECRETS.path(self.namespace, name))

    def own_secret(self, secret: Mapping[str, Any], owner: Json) -> None:
        """Add an owner to a Secret as it was read."""
        self._fence()
        metadata = secret["metadata"]
        owners = [*metadata.get("ownerReferences", []), owner]
        changes = {"metadata": {**_as_read(secret), "ownerReferences": owners}}
        path = SECRETS.path(self.namespace, metadata["name"])
        self._client.merge(f"own Secret {metadata['name']}", path, changes)

    def delete_secret(self, seen: Mapping[str, Any]) -> None:
        """Delete a Secret as it was read; one that is gone or has got an owner is fine."""
        self._delete("Secret", seen["metadata"]["name"], _as_read(seen))

    def events(self, kind: str, name: str) -> list[Json]:
        """Return the events about an object."""
        return self._client.events_about(self.namespace, kind, name)

    def autoscaler_events(self) -> list[Json]:
        """Return the events about pods that neither scheduler nor node have posted."""
        about = selecting("fieldSelector", ",".join(("involvedObject.kind=Pod", *_OF_OTHERS)))
        return list(self._client.items("list events of autoscalers", self._paths["Event"], about))

    def create_event(self, event: Json) -> None:
        """Create a Kubernetes Event."""
        self._fence()
        self._client.add("create an event", self._paths["Event"], event)

    def configmap(self, name: str) -> Json | None:
        """Return a ConfigMap, or None where it is not there."""
        return self._found("ConfigMap", name)

    def write_configmap(self, configmap: Json) -> Json:
        """Write a ConfigMap: with a resourceVersion as it was read, without one anew.

        Raises:
            splitjob_kube.errors.ConflictError: it has changed since.
            splitjob_kube.errors.AlreadyExistsError: it is there already.
        """
        self._fence()
        return self._replace_or_create("ConfigMap", configmap)

    # The Lease, which who would lead writes as well: no fence holds that back

    def lease(self, name: str) -> Json | None:
        """Return a Lease, or None where it is not there."""
        return self._found("Lease", name, LEASE_TIMEOUT)

    def write_lease(self, lease: Json) -> Json:
        """Write a Lease: with a resourceVersion as it was read, without one anew.

        Raises:
            splitjob_kube.errors.ConflictError: it has changed since.
            splitjob_kube.errors.AlreadyExistsError: it is there already.
            splitjob_kube.errors.NotFoundError: it is gone.
        """
        return self._replace_or_create("Lease", lease, LEASE_TIMEOUT)

    # How

    def _found(self, kind: str, name: str, timeout: Timeout | None = None) -> Json | None:
        """Return an object, or None where it is not there."""
        try:
            path = f"{self._paths[kind]}/{name}"
            return self._client.read(f"read {kind} {name}", path, timeout=timeout)
        except NotFoundError:
            return None

    def _replace_or_create(self, kind: str, body: Json, timeout: Timeout | None = None) -> Json:
        """Replace an object with a resourceVersion as it was read, create one without."""
        name, path = body["metadata"]["name"], self._paths[kind]
        if "resourceVersion" not in body["metadata"]:
            return self._client.create(f"create {kind} {name}", path, body, timeout)
        return self._client.replace(f"write {kind} {name}", f"{path}/{name}", body, timeout)

    def _delete(
        self,
        kind: str,
        name: str,
        preconditions: Mapping[str, str],
        propagation: str = "Background",
        grace_seconds: int | None = None,
    ) -> None:
        """Delete an object as it was read; one that is gone, or another one now, is fine."""
        self._fence()
        options: Json = {"propagationPolicy": propagation, "preconditions": dict(preconditions)}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        try:
            self._client.delete(f"delete {kind} {name}", f"{self._paths[kind]}/{name}", options)
        except (NotFoundError, ConflictError):
            return  # gone, changed, or another of that name: not ours to delete


def rights_needed(
    totals: str, lease: str, *, network_policies: bool, kueue: bool = False
) -> tuple[Right, ...]:
    """Return what this operator needs to be allowed.

    Args:
        totals: the ConfigMap with the totals.
        lease: the Lease by which one operator leads.
        network_policies: whether it makes one for each Job.
        kueue: whether Kueue decides when Jobs run.
    """
    own = (
        *rights("configmaps", "get", "update", name=totals),
        *rights("leases", "get", "update", group=LEASES.group, name=lease),
    )
    policies = rights("networkpolicies", "create", group="networking.k8s.io")
    workloads = rights("workloads", "list", "update", group=KUEUE) if kueue else ()
    return (*RIGHTS, *own, *(policies if network_policies else ()), *workloads)


def _as_read(seen: Mapping[str, Any]) -> dict[str, str]:
    """Return the preconditions that an object is still the one, and as, it was read."""
    return {field: seen["metadata"][field] for field in ("uid", "resourceVersion")}


def _escaped(value: str) -> str:
    """Return a value as a field selector has it."""
    return re.sub(r"([\\,=])", r"\\\1", value)


def _without_managers(metadata: Mapping[str, Any]) -> Json:
    """Return metadata without the fields' managers, which the API server keeps by itself."""
    return {name: value for name, value in metadata.items() if name != "managedFields"}
