"""Carries plans out: looks up what a plan asks, writes the status, then does what follows."""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

from splitjob.resource import SplitJobStatus
from splitjob_kube.errors import AlreadyExistsError, KubernetesError, NotFoundError
from splitjob_operator.adapters.kubernetes import Cluster
from splitjob_operator.adapters.manifest_store import ManifestStore
from splitjob_operator.core.events import event_manifest, events_between
from splitjob_operator.core.lookups import (
    CheckRequest,
    ClaimTombstone,
    Lookup,
    LookupResults,
    ManifestLookup,
    ManifestState,
    ReadJobWarning,
    ReadManifest,
)
from splitjob_operator.core.observed import KubeJob, Observed, SplitJob
from splitjob_operator.core.plan import (
    Action,
    CreateJob,
    DeleteForeignManifest,
    DeleteJob,
    DeletePod,
    DeleteSplitJob,
    Deliver,
    OwnSecret,
    Plan,
)
from splitjob_operator.core.request_check import Rules, judge
from splitjob_operator.core.settings import Settings
from splitjob_operator.core.status_json import dump
from splitjob_operator.core.worker_job import build, network_policy, owner_reference
from splitjob_operator.runtime import metrics

__all__ = ["Executor", "Obstacle"]

log = logging.getLogger(__name__)

NO_BUCKET = ManifestLookup(
    ManifestState.REFUSED,
    message="No bucket is configured for this installation: set S3_BUCKET, or give uploads.",
)


REFUSED = {400, 403, 422}  # a quota, a policy, or settings that make no valid Job


class Obstacle(Exception):  # noqa: N818 - says what is found, no defect
    """An attempt's Job cannot be created; `reconcile` decides what comes of it.

    Attributes:
        shown_in: adds it to what was seen.
    """

    def __init__(self, message: str, shown_in: Callable[[Observed], Observed]) -> None:
        super().__init__(message)
        self.shown_in = shown_in


def _name_taken(job: KubeJob) -> Obstacle:
    """A Job of the wanted name is there and is not ours."""
    return Obstacle(
        f"Job {job.name} is not ours", lambda seen: replace(seen, jobs=(*seen.jobs, job))
    )


def _job_refused(message: str) -> Obstacle:
    """The API server does not take the Job."""
    return Obstacle(
        message,
        lambda seen: replace(seen, lookups=replace(seen.lookups, job_refused=message)),
    )


class Executor:
    """Does, in a thread, what plans say. Every call blocks.

    Args:
        cluster: the cluster.
        bucket: the manifests; None where no bucket is configured.
        rules: what this installation allows a request.
        settings: the installation's.
        deliver: starts the delivery of a SplitJob's final event.
    """

    def __init__(
        self,
        cluster: Cluster,
        bucket: ManifestStore | None,
        rules: Rules,
        settings: Settings,
        deliver: Callable[[str], object],
    ) -> None:
        self._cluster = cluster
        self._bucket = bucket
        self._rules = rules
        self._settings = settings
        self._deliver = deliver

    def answer(
        self, question: Lookup, splitjob: SplitJob, so_far: LookupResults, now: datetime
    ) -> LookupResults:
        """Return the answers with one more."""
        match question:
            case CheckRequest():
                return self._check(splitjob, so_far, now)
            case ReadManifest():
                return replace(so_far, manifest=self._manifest(splitjob))
            case ClaimTombstone():
                return replace(so_far, claim=self._claim(splitjob, question))
            case ReadJobWarning():
                return replace(so_far, job_warning=self._warning(question.job_name))

    def carry_out(
        self, raw: dict[str, Any], splitjob: SplitJob, plan: Plan, now: datetime
    ) -> dict[str, Any]:
        """Do what a plan says, in its order.

        Returns:
            The SplitJob as it is now.

        Raises:
            ConflictError: the SplitJob has changed since it was read; nothing after that was done.
            Obstacle: the attempt's Job cannot be created.
            KubernetesError: the API server could not be reached, or refused.
        """
        for action in plan.before:
            self._do(action, splitjob)
        if plan.status is not None:
            raw = self._write(raw, splitjob, plan.status, now, always=plan.creates_job)
        for action in plan.after:
            self._do(action, splitjob)
        return raw

    def _write(
        self,
        raw: dict[str, Any],
        splitjob: SplitJob,
        status: SplitJobStatus,
        now: datetime,
        *,
        always: bool,
    ) -> dict[str, Any]:
        wanted = dump(status)
        if wanted == dump(splitjob.status) and raw.get("status") and not always:
            return raw
        raw = self._cluster.write_status(raw, wanted)
        log.info("Status: %s", _summary(status))
        self._tell(splitjob, status, now)
        return raw

    def _tell(self, splitjob: SplitJob, status: SplitJobStatus, now: datetime) -> None:
        """Post events and count, after the write: neither may ever hold anything up."""
        _count(splitjob, status)
        for item in events_between(splitjob.status, status):
            try:
                self._cluster.create_event(event_manifest(splitjob, item, now))
            except KubernetesError as error:
                log.warning("An event could not be posted: %s", error)

    def _do(self, action: Action, splitjob: SplitJob) -> None:
        match action:
            case OwnSecret(name):
                self._own_secret(splitjob, name)
            case DeleteForeignManifest():
                if self._bucket and splitjob.spec:
                    self._bucket.clear(splitjob, splitjob.spec.request)
            case CreateJob():
                self._create_job(splitjob, action)
            case DeleteJob(name, uid, propagation):
                self._cluster.delete_job(name, uid, propagation)
            case DeletePod(name, uid, force):
                self._cluster.delete_pod(name, uid, force=force)
            case Deliver():
                self._deliver(splitjob.name)
            case DeleteSplitJob():
                log.info("Its time to live is over")
                self._cluster.delete_splitjob(splitjob.name, splitjob.uid)

    def _own_secret(self, splitjob: SplitJob, name: str) -> None:
        secret = self._cluster.secret(name)
        owners = secret["metadata"].get("ownerReferences", [])
        if all(owner.get("uid") != splitjob.uid for owner in owners):
            self._cluster.own_secret(secret, owner_reference(splitjob, controller=False))

    def _create_job(self, splitjob: SplitJob, action: CreateJob) -> None:
        try:
            raw = self._cluster.create_job(build(splitjob, action.attempt, self._settings))
        except AlreadyExistsError:
            raw = self._cluster.job(action.attempt.job_name)
            job = KubeJob.of(raw)
            if not job.belongs_to(splitjob):
                raise _name_taken(job) from None
        except KubernetesError as error:
            if error.status in REFUSED:
                raise _job_refused(str(error)) from None
            raise
        self._close_network(raw)

    def _close_network(self, job: dict[str, Any]) -> None:
        """Give a Job a NetworkPolicy of its own, beside the chart's: it outlives the chart's."""
        spec = self._settings.worker_network_policy
        if spec is None:
            return
        try:
            with suppress(AlreadyExistsError):
                self._cluster.create_network_policy(network_policy(job, spec))
        except KubernetesError as error:
            log.warning("A Job has no NetworkPolicy but the chart's: %s", error)

    def _check(self, splitjob: SplitJob, so_far: LookupResults, now: datetime) -> LookupResults:
        if splitjob.spec is None:
            return replace(so_far, checked=True)
        request = splitjob.spec.request
        secret = None
        if request.secret_name:
            with suppress(NotFoundError):
                secret = self._cluster.secret(request.secret_name)
        return replace(so_far, checked=True, problem=judge(request, secret, self._rules, now))

    def _manifest(self, splitjob: SplitJob) -> ManifestLookup:
        if self._bucket is None or splitjob.spec is None:
            return NO_BUCKET
        return self._bucket.look(splitjob, splitjob.spec.request)

    def _claim(self, splitjob: SplitJob, wanted: ClaimTombstone) -> ManifestLookup:
        if self._bucket is None or splitjob.spec is None:
            return NO_BUCKET
        return self._bucket.claim(splitjob, splitjob.spec.request, wanted)

    def _warning(self, job_name: str) -> str:
        warnings = self._cluster.warnings("Job", job_name)
        latest = max(warnings, key=lambda e: e.get("lastTimestamp") or "", default={})
        return str(latest.get("message", ""))


def _summary(status: SplitJobStatus) -> str:
    if status.finished_at:
        return f"{status.phase} ({status.failure.code})" if status.failure else str(status.phase)
    return f"{status.phase}, attempt {len(status.attempts)}"


def _count(splitjob: SplitJob, status: SplitJobStatus) -> None:
    before = splitjob.status
    if len(status.attempts) > len(before.attempts):
        metrics.ATTEMPTS.inc()
    if status.started_at and not before.started_at:
        waited = (status.started_at - splitjob.created_at).total_seconds()
        metrics.WAIT_SECONDS.observe(max(0, waited))
    if status.finished_at and not before.finished_at and status.webhook:
        code = status.failure.code if status.failure else ""
        metrics.FINISHED.labels(status.webhook.event, code).inc()
        if status.started_at and splitjob.spec:
            ran = (status.finished_at - status.started_at).total_seconds()
            metrics.RUN_SECONDS.labels(splitjob.spec.request.model).observe(max(0, ran))
