"""From a checked request to one SplitJob, however often and from however many replicas.

The Secret with the whole URLs is written first, the SplitJob second; its creation is the one commit
point. What a crash between the two leaves behind is a Secret that nothing refers to, which the
operator deletes. So each try writes a Secret under a name of its own: no try depends on what an
earlier one left, and a fresh presigned URL is never lost to an old one.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from splitjob import resource
from splitjob.intent import (
    LABEL_LENGTH,
    generation_of,
    intent_of,
    name_of,
    name_of_key,
    secret_name_of,
)
from splitjob.lifecycle import lifecycle_of
from splitjob.request import ResourceDraft
from splitjob.submission_id import new_submission_id
from splitjob_api.kubernetes import ClusterUnavailableError, SplitJobObject
from splitjob_api.request_trace import trace_annotations

MAX_TRIES = 8
MANAGED_BY = {"app.kubernetes.io/managed-by": "track-tree-audio"}


class Store(Protocol):
    """What a submission needs of the cluster (`splitjob_api.kubernetes.Submissions`)."""

    async def get(self, name: str) -> SplitJobObject | None:
        """Return a SplitJob, or None."""

    async def with_intent(self, intent_label: str) -> list[SplitJobObject]:
        """Return the SplitJobs of an intent."""

    async def create(self, splitjob: SplitJobObject) -> SplitJobObject | None:
        """Create a SplitJob, or return None where the name is taken."""

    async def create_secret(self, name: str, data: dict[str, str], labels: dict[str, str]) -> None:
        """Create a Secret."""


class IdempotencyConflictError(Exception):
    """An idempotency key stands for another request already.

    Attributes:
        job_id: the job of that key.
    """

    def __init__(self, job_id: str) -> None:
        super().__init__(f"this idempotencyKey belongs to {job_id}, whose request differs")
        self.job_id = job_id


@dataclass(frozen=True)
class Submitted:
    """What a submission came to.

    Attributes:
        splitjob: the SplitJob that serves the request.
        created: whether it is new.
    """

    splitjob: SplitJobObject
    created: bool

    @property
    def job_id(self) -> str:
        """The SplitJob's name."""
        return str(self.splitjob["metadata"]["name"])


class Submission:
    """One request on its way into the cluster.

    Args:
        store: the cluster.
        draft: the checked request and its secrets. An intent that it has already is kept, and so is
            a Secret that it names.
        priority: its priority.
        retried: whether there may be a later SplitJob than the first of an intent (given by its
            label). While there is none, reading the first by name tells all, and is spared the
            tenth of a second that a list waits for the API server's cache under load.
        absent: whether the watch, which may be a little behind, shows no SplitJob of a name. Then
            it is created without a look; that its name is taken after all shows in the answer.
        refusal: called before anything is written; returns why no new job may be taken, or None.
    """

    def __init__(
        self,
        store: Store,
        draft: ResourceDraft,
        priority: int,
        *,
        retried: Callable[[str], bool],
        absent: Callable[[str], bool],
        refusal: Callable[[], Exception | None],
    ) -> None:
        self._store = store
        self._retried = retried
        self._secrets = draft.secrets
        self._priority = priority
        self._absent = absent
        self._refusal = refusal
        self._intent = draft.request.intent or intent_of(draft.request, priority)
        self._request = draft.request.model_copy(update={"intent": self._intent})
        self._secret_name = draft.request.secret_name

    async def submit(self) -> Submitted:
        """Return the SplitJob that serves the request, made now or before.

        Raises:
            IdempotencyConflictError: its idempotency key stands for another request.
            ClusterUnavailableError: the same request may be sent again later.
            Exception: as `refusal` gives it; no job serves the request, and none may be made.
        """
        key = self._request.idempotency_key
        return await (self._by_intent() if key is None else self._by_key(key))

    async def _by_key(self, key: str) -> Submitted:
        name = name_of_key(key)
        # Where no new job may be taken a look decides: one that is there serves the request.
        unseen = self._absent(name) and self._refusal() is None
        if unseen and (created := await self._create(name, {}, {})):
            return Submitted(created, created=True)
        for _ in range(MAX_TRIES):
            found = await self._store.get(name)
            if found is not None:
                if "deletionTimestamp" in found["metadata"]:
                    raise ClusterUnavailableError(f"is still deleting the former job {name}")
                if found["spec"]["request"].get("intent") != self._intent:
                    raise IdempotencyConflictError(name)
                return Submitted(found, created=False)
            if created := await self._create(name, {}, {}):
                return Submitted(created, created=True)
        raise ClusterUnavailableError("changed too often while this request was taken")

    async def _by_intent(self) -> Submitted:
        label = self._intent[:LABEL_LENGTH]
        if found := await self._by_first(label):
            return found
        for _ in range(MAX_TRIES):
            former = [
                splitjob
                for splitjob in await self._store.with_intent(label)
                if splitjob["spec"]["request"].get("intent") == self._intent
            ]
            serving = [splitjob for splitjob in former if _serves(splitjob)]
            if serving:
                return Submitted(max(serving, key=generation_of), created=False)
            number = 1 + max(map(generation_of, former), default=-1)
            if created := await self._create_generation(number):
                return Submitted(created, created=True)
        raise ClusterUnavailableError("changed too often while this request was taken")

    async def _by_first(self, label: str) -> Submitted | None:
        """Return what the first SplitJob of the intent tells, None where that is not enough.

        Where it is gone and the watch still shows it, a later one may not be shown yet either.
        """
        name = name_of(self._intent, 0)
        # Asked before: a watch that shows it no more has shown the later ones.
        unseen = self._absent(name)
        if self._retried(label):
            return None
        if unseen and self._refusal() is None and (created := await self._create_generation(0)):
            return Submitted(created, created=True)
        first = await self._store.get(name)
        if first is not None and _serves(first):
            return Submitted(first, created=False)
        if first is None and unseen and (refusal := self._refusal()):
            raise refusal
        return None

    async def _create_generation(self, number: int) -> SplitJobObject | None:
        return await self._create(
            name_of(self._intent, number),
            {resource.LABEL_INTENT: self._intent[:LABEL_LENGTH]},
            {resource.ANNOTATION_GENERATION: str(number)},
        )

    async def _create(
        self, name: str, labels: dict[str, str], annotations: dict[str, str]
    ) -> SplitJobObject | None:
        if refusal := self._refusal():
            raise refusal
        submission_id = new_submission_id(datetime.now(UTC))
        own = {"secret_name": await self._write_secret(name), "submission_id": submission_id}
        request = self._request.model_copy(update=own)
        spec: dict[str, Any] = {
            "request": request.model_dump(mode="json", by_alias=True, exclude_none=True),
            "priority": self._priority,
        }
        return await self._store.create(
            {
                "apiVersion": resource.API_VERSION,
                "kind": resource.KIND,
                "metadata": {
                    "name": name,
                    "labels": {**MANAGED_BY, **labels},
                    "annotations": annotations | trace_annotations(),
                },
                "spec": spec,
            }
        )

    async def _write_secret(self, name: str) -> str | None:
        if self._secrets and self._secret_name is None:
            secret_name = secret_name_of(name, secrets.token_hex(8))
            await self._store.create_secret(secret_name, self._secrets, MANAGED_BY)
            self._secret_name = secret_name
        return self._secret_name


def _serves(splitjob: SplitJobObject) -> bool:
    """Return whether a SplitJob still stands for its intent: unfinished, or completed and kept."""
    if "deletionTimestamp" in splitjob["metadata"] or splitjob["spec"].get("erase"):
        return False
    return not lifecycle_of(splitjob).unsuccessful
