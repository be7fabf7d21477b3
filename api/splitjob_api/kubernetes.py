"""What the API asks of the cluster: SplitJobs, their Secrets, and the operator's totals.

Every call has a timeout. Those of `Cluster` block: routes call them from worker threads, never from
the event loop. A submission makes its calls there (`Submissions`), for it is what comes most often.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from splitjob import resource
from splitjob_kube import access
from splitjob_kube.access import User
from splitjob_kube.async_client import AsyncKubernetesClient
from splitjob_kube.client import (
    ClientPolicy,
    KubernetesClient,
    Page,
    WatchEvent,
    selecting,
)
from splitjob_kube.errors import (
    AlreadyExistsError,
    ConflictError,
    ExpiredError,
    ForbiddenError,
    InvalidError,
    KubernetesError,
    NotFoundError,
    UnauthorizedError,
    UnreachableError,
)
from splitjob_kube.paths import CONFIGMAPS, SECRETS, SPLITJOBS
from splitjob_kube.preconditions import Preconditions, Unready
from splitjob_kube.rights import Right, rights

POLICY = ClientPolicy(connect_seconds=2, read_seconds=10, tries_again=True)
# The server ends a watch after this, and says how far it is two seconds before: often enough for
# what is known here to be current, and for a silent watch to be noticed.
WATCH_SECONDS = 3
NO_NAME = "none"  # of no SplitJob of ours: a list of it is cheap, and says how far the cluster is
# What everything below needs.
RIGHTS = (
    *rights(resource.PLURAL, "create", "get", "list", "watch", "patch", group=resource.GROUP),
    *rights("secrets", "create"),
    *rights("events", "list"),
)

SplitJobObject = dict[str, Any]

_MEANINGS: dict[type[KubernetesError], str] = {
    UnauthorizedError: "does not accept this service's credentials",
    ForbiddenError: "refuses this service (its role, or a quota)",
    NotFoundError: "knows no SplitJobs: the CustomResourceDefinition or the namespace is missing",
    InvalidError: "does not accept this SplitJob: is the CustomResourceDefinition of this version?",
    ExpiredError: "changed while it was read",
}


class ClusterUnavailableError(Exception):
    """The cluster cannot serve us now.

    Attributes:
        reason: goes on from "the Kubernetes API": "cannot be reached". Holds no secret.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"the Kubernetes API {reason}")
        self.reason = reason


class Cluster:
    """SplitJobs and their Secrets in one namespace.

    Args:
        namespace: blank: the service account's, else that of KUBECONFIG's context.
        totals: the ConfigMap with the operator's totals.
        release: this installation's name; blank: it has none.
        reviews: whether it is to be asked for other people's identity and rights as well.

    Attributes:
        namespace: which one.
        submissions: what a submission asks, for the event loop.

    Raises:
        splitjob_kube.errors.UnconfiguredError: there is neither a KUBECONFIG nor a service account.
    """

    def __init__(
        self, namespace: str = "", totals: str = "", release: str = "", *, reviews: bool = False
    ) -> None:
        self._client = KubernetesClient(POLICY)
        self.namespace = namespace or self._client.namespace
        self._preconditions = Preconditions(
            self._client, self.namespace, rights_needed(totals, reviews=reviews), release
        )
        self._splitjobs = SPLITJOBS.path(self.namespace)
        self.submissions = Submissions(AsyncKubernetesClient(self._client), self.namespace)

    def get(self, name: str) -> SplitJobObject | None:
        """Return a SplitJob, or None where there is none of this name."""
        with _explaining():
            try:
                path = SPLITJOBS.path(self.namespace, name)
                return self._client.read(f"read SplitJob {name}", path)
            except NotFoundError:
                return None

    def patch_spec(self, seen: SplitJobObject, changes: Mapping[str, Any]) -> SplitJobObject | None:
        """Change a SplitJob's spec as it was read.

        Args:
            seen: the SplitJob.
            changes: fields of the spec with their new values.

        Returns:
            The SplitJob as it is now, or None where it has changed since, or is gone.
        """
        name, version = seen["metadata"]["name"], seen["metadata"]["resourceVersion"]
        with _explaining():
            try:
                return self._client.merge(
                    f"change SplitJob {name}",
                    SPLITJOBS.path(self.namespace, name),
                    {"metadata": {"resourceVersion": version}, "spec": dict(changes)},
                )
            except (ConflictError, NotFoundError):
                return None

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the Kubernetes Events about a SplitJob, in no order."""
        with _explaining():
            return self._client.events_about(self.namespace, resource.KIND, name)

    def config_map(self, name: str) -> dict[str, str]:
        """Return the data of a ConfigMap, empty where it does not exist."""
        with _explaining():
            try:
                path = CONFIGMAPS.path(self.namespace, name)
                found = self._client.read(f"read ConfigMap {name}", path)
            except NotFoundError:
                return {}
        return found.get("data") or {}

    def probe(self) -> None:
        """Check that the cluster answers, knows SplitJobs and lets us see them.

        Raises:
            ClusterUnavailableError: it does not; the reason says what is missing.
        """
        with _explaining():
            self._client.read("list one SplitJob", f"{self._splitjobs}?limit=1")

    def unmet(self) -> tuple[Unready, ...]:
        """Return what of the cluster is not as this service needs it.

        Raises:
            ClusterUnavailableError: the cluster does not say.
        """
        with _explaining():
            return self._preconditions.unmet()

    def user_of(self, token: str, audience: str) -> User | None:
        """Return whose Kubernetes token it is; see `splitjob_kube.access.user_of`."""
        with _explaining():
            return access.user_of(self._client, token, audience)

    def is_allowed(self, user: User, verb: str) -> bool:
        """Return whether RBAC lets a user do this to the SplitJobs of this namespace."""
        right = Right(verb, resource.PLURAL, resource.GROUP)
        with _explaining():
            return access.is_allowed(self._client, self.namespace, user, right)

    def list_all(self) -> Iterator[Page]:
        """Yield all SplitJobs page by page.

        Raises:
            splitjob_kube.errors.ExpiredError: it took too long; begin anew.
            ClusterUnavailableError: the cluster does not say.
        """
        with _explaining(but=ExpiredError):
            yield from self._client.pages("list SplitJobs", self._splitjobs)

    def latest_version(self) -> str:
        """Return the resourceVersion of now: no change up to now has a later one.

        Raises:
            ClusterUnavailableError: the cluster does not say.
        """
        with _explaining():
            nothing = selecting("fieldSelector", f"metadata.name={NO_NAME}")
            listing = self._client.read(
                "ask for the latest resourceVersion", f"{self._splitjobs}?{nothing}"
            )
        return str(listing["metadata"]["resourceVersion"])

    def watch(self, resource_version: str) -> Iterator[WatchEvent]:
        """Yield the changes after a resourceVersion, for at most WATCH_SECONDS.

        Raises:
            splitjob_kube.errors.ExpiredError: list again.
            ClusterUnavailableError: the connection was lost or refused.
        """
        with _explaining(but=ExpiredError):
            yield from self._client.watch(
                "watch SplitJobs", self._splitjobs, resource_version, WATCH_SECONDS
            )


class Submissions:
    """What a submission asks of the cluster, and writes there; for the event loop alone.

    Args:
        client: asks.
        namespace: of the SplitJobs and Secrets.
    """

    def __init__(self, client: AsyncKubernetesClient, namespace: str) -> None:
        self._client = client
        self._splitjobs = SPLITJOBS.path(namespace)
        self._secrets = SECRETS.path(namespace)

    async def get(self, name: str) -> SplitJobObject | None:
        """Return a SplitJob, or None where there is none of this name."""
        with _explaining():
            try:
                return await self._client.read(f"read SplitJob {name}", f"{self._splitjobs}/{name}")
            except NotFoundError:
                return None

    async def with_intent(self, intent_label: str) -> list[SplitJobObject]:
        """Return the SplitJobs whose label says that they serve an intent."""
        selector = selecting("labelSelector", f"{resource.LABEL_INTENT}={intent_label}")
        with _explaining():
            return await self._client.items("list SplitJobs", self._splitjobs, selector)

    async def create(self, splitjob: SplitJobObject) -> SplitJobObject | None:
        """Create a SplitJob; return it, or None where its name is taken."""
        with _explaining():
            try:
                return await self._client.create("create a SplitJob", self._splitjobs, splitjob)
            except (AlreadyExistsError, ConflictError):
                return None

    async def create_secret(
        self, name: str, data: Mapping[str, str], labels: Mapping[str, str]
    ) -> None:
        """Create the immutable Secret that holds a request's whole URLs.

        Args:
            name: never used before.
            data: whole URLs by key.
            labels: of the Secret.
        """
        body = {
            "metadata": {"name": name, "labels": dict(labels)},
            "type": resource.SECRET_TYPE,
            "immutable": True,
            "stringData": dict(data),
        }
        with _explaining():
            await self._client.create(f"create Secret {name}", self._secrets, body)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def rights_needed(totals: str, *, reviews: bool = False) -> tuple[Right, ...]:
    """Return what this service needs to be allowed.

    Args:
        totals: the operator's ConfigMap.
        reviews: whether people may come with Kubernetes tokens.
    """
    of_reviews = access.RIGHTS if reviews else ()
    return (*RIGHTS, *rights("configmaps", "get", name=totals), *of_reviews)


@contextmanager
def _explaining(but: type[KubernetesError] | tuple[()] = ()) -> Iterator[None]:
    """Turn what goes wrong into what a caller may be told.

    Args:
        but: what is handled otherwise, and is passed on.
    """
    try:
        yield
    except but:
        raise
    except KubernetesError as error:
        raise ClusterUnavailableError(_reason(error)) from None


def _reason(error: KubernetesError) -> str:
    """Return what an answer means; it is not repeated, since it may quote what was sent."""
    if isinstance(error, UnreachableError):
        return f"cannot be reached ({error.cause})"
    return _MEANINGS.get(type(error), f"answered with {error.status}")
