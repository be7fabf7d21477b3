"""`reconcile`, one situation at a time: how attempts end, and what follows."""

from dataclasses import replace

import pytest
from tests.support.operator_samples import (
    NAME,
    SERVABLE,
    UID,
    after,
    completed_pod,
    completed_report,
    ended_pod,
    failed_pod,
    job,
    raw_pod,
    seen,
    settings,
    splitjob,
    stamp,
    written,
)
from tests.support.reconcile_situations import (
    CLAIMED,
    UNREACHABLE,
    canceled,
    failed,
    plan_of,
    reason,
    request,
    running,
    started,
)

from splitjob.conditions import ConditionType
from splitjob.errors import ErrorCode
from splitjob.result import EXIT_TERMINATED, Manifest
from splitjob.status import Usage
from splitjob.usage import usage_of
from splitjob_operator.core.lookups import (
    ClaimTombstone,
    LastProgress,
    LookupResults,
    ManifestLookup,
    ManifestState,
    ReadManifest,
)
from splitjob_operator.core.observed import KubePod
from splitjob_operator.core.plan import (
    CreateJob,
)


def test_a_lost_job_is_tried_again_once() -> None:
    """Acceptance 46."""
    view = running()
    plan = plan_of(seen(view), 5)  # the Job is gone
    assert plan.status
    assert plan.status.attempts[0].reason == "WorkerLost"
    assert reason(plan, ConditionType.ADMITTED) == ("False", "Retrying")
    view = written(view, plan)
    plan = plan_of(seen(view), 6)
    assert plan.status
    assert [a.number for a in plan.status.attempts] == [1, 2]
    view = written(view, plan)
    two = replace(job(2), uid="two", created_at=after(7))
    view = written(view, plan_of(seen(view, jobs=(two,)), 7))
    claim = plan_of(seen(view), 8).lookup
    assert isinstance(claim, ClaimTombstone)
    assert (claim.status, claim.code) == ("failed", ErrorCode.WORKER_LOST)
    plan = plan_of(seen(view, lookups=CLAIMED), 8)
    assert reason(plan, ConditionType.SUCCEEDED) == ("False", "WorkerLost")


def test_the_manifest_is_looked_at_before_a_retry() -> None:
    observed = seen(running(), lookups=LookupResults())
    assert plan_of(observed, 5).lookup == ReadManifest()


def test_out_of_memory_gets_more_once() -> None:
    """Acceptance 36."""
    view = running()
    silent = replace(SERVABLE, last_progress=LastProgress(None))
    killed = (ended_pod(137, reason="OOMKilled"),)
    plan = plan_of(seen(view, jobs=(job(),), pods=killed, lookups=silent), 5)
    view = written(view, plan)
    plan = plan_of(seen(view), 600)
    assert plan.status
    assert plan.status.attempts[1].memory_bytes == 12 * 2**30


def test_a_failure_of_its_own_waits_longer_each_time() -> None:
    view = running()
    pods = (failed_pod("source_unavailable", retryable=True),)
    view = written(view, plan_of(seen(view, jobs=(job(),), pods=pods), 5))
    plan = plan_of(seen(view), 14)
    assert plan.after == ()
    assert plan.requeue_at == after(15)
    assert isinstance(plan_of(seen(view), 15).after[-1], CreateJob)


def test_what_cannot_help_is_not_tried_again() -> None:
    view = failed()
    assert view.status.failure
    assert view.status.failure.code == "source_not_found"
    assert len(view.status.attempts) == 1


@pytest.mark.parametrize(("retryable", "attempts"), [(True, 3), (False, 1)])
def test_upload_failed_follows_the_storages_answer(retryable: bool, attempts: int) -> None:
    """Acceptance 49."""
    view, at = splitjob(), 0.0
    while view.status.finished_at is None:
        view = written(view, plan_of(seen(view), at))
        number = len(view.status.attempts)
        pods = (failed_pod("upload_failed", number, retryable=retryable),)
        found = seen(view, jobs=(job(number),), pods=pods, lookups=CLAIMED)
        view = written(view, plan_of(found, at + 1))
        at += 1000
    assert len(view.status.attempts) == attempts


def test_a_verdict_waits_for_a_bucket_that_is_away_but_not_for_ever() -> None:
    view = running()
    away = replace(SERVABLE, claim=UNREACHABLE)
    around = {"jobs": (job(),), "pods": (failed_pod("source_not_found"),), "lookups": away}
    plan = plan_of(seen(view, **around), 5)
    assert reason(plan, ConditionType.SUCCEEDED) == ("Unknown", "NotFinished")
    view = written(view, plan)
    plan = plan_of(seen(view, **around), 5 + settings().storage_patience_seconds)
    assert reason(plan, ConditionType.SUCCEEDED) == ("False", "SourceNotFound")


def test_between_two_attempts_a_cancel_waits_for_the_storage_too() -> None:
    """A worker cut off from the cluster could still complete the job."""
    view = running()
    pods = (failed_pod("source_unavailable", retryable=True),)
    view = canceled(written(view, plan_of(seen(view, jobs=(job(),), pods=pods), 5)))
    away = seen(view, lookups=replace(SERVABLE, claim=UNREACHABLE))
    plan = plan_of(away, 6)
    assert reason(plan, ConditionType.SUCCEEDED) == ("Unknown", "NotFinished")
    away = replace(away, splitjob=written(view, plan))
    plan = plan_of(away, 6 + settings().storage_patience_seconds)
    assert reason(plan, ConditionType.SUCCEEDED) == ("False", "Canceled")


def test_preempted_again_and_again_it_is_given_up_after_five_more_attempts() -> None:
    """Acceptance 39."""
    view, at = splitjob(), 0.0
    while view.status.finished_at is None:
        view = written(view, plan_of(seen(view), at))
        number = len(view.status.attempts)
        pods = (ended_pod(137, number=number, disruption="PreemptionByScheduler"),)
        found = seen(view, jobs=(job(number),), pods=pods, lookups=CLAIMED)
        view = written(view, plan_of(found, at + 1))
        at += 1000
    assert len(view.status.attempts) == 6
    assert view.status.failure
    assert view.status.failure.code == "worker_disrupted"


def test_a_retry_says_when_it_comes() -> None:
    view = running()
    pods = (failed_pod("source_unavailable", retryable=True),)
    view = written(view, plan_of(seen(view, jobs=(job(),), pods=pods), 5))
    for at in (5, 6):
        queue = view.status.queue
        assert queue
        assert (queue.reason, queue.retry_at, queue.position) == ("Retrying", after(15), None)
        assert f"may start at {after(15):%Y-%m-%dT%H:%M:%SZ}" in queue.message
        assert queue.eta_seconds is None
        view = written(view, plan_of(seen(view, jobs=(job(),), pods=pods), at + 1))
    plan = plan_of(seen(view), 15)
    assert plan.status
    assert plan.status.queue
    assert plan.status.queue.retry_at is None


def test_an_attempt_that_completed_the_job_is_not_to_be_tried_again() -> None:
    """Also where it was taken for lost, before its manifest was found."""
    view = running()
    view.status.attempts[0].retryable = True
    plan = plan_of(seen(view, jobs=(job(),), pods=(completed_pod(),)), 9)
    assert plan.status
    assert plan.status.phase == "Completed"
    assert not plan.status.attempts[0].retryable


def test_a_failed_job_took_the_time_of_all_its_containers() -> None:
    """As its nodes say: 5 s each, whatever the operator waited for in between."""
    view, at = splitjob(), 0.0
    while view.status.finished_at is None:
        view = written(view, plan_of(seen(view), at))
        number = len(view.status.attempts)
        pods = (failed_pod("upload_failed", number, retryable=True),)
        found = seen(view, jobs=(job(number),), pods=pods, lookups=CLAIMED)
        view = written(view, plan_of(found, at + 60))
        at += 1000
    assert view.status.usage == Usage(attempts=3, gpu_seconds="15")


def test_a_wait_for_the_storage_is_no_time_of_the_worker() -> None:
    view = running()
    away = replace(SERVABLE, claim=UNREACHABLE)
    around = {"jobs": (job(),), "pods": (failed_pod("source_not_found"),), "lookups": away}
    view = written(view, plan_of(seen(view, **around), 5))
    view = written(view, plan_of(seen(view, **around), 5 + settings().storage_patience_seconds))
    assert view.status.usage == Usage(attempts=1, gpu_seconds="5")


def test_an_attempt_that_vanished_counts_until_it_is_seen_gone() -> None:
    view = canceled(running())
    view = written(view, plan_of(seen(view, lookups=CLAIMED), 33))
    assert view.status.phase == "Canceled"
    assert view.status.usage == Usage(attempts=1, gpu_seconds="33")


def test_a_container_that_could_not_be_started_took_no_time() -> None:
    """Of such a one, a node says that it started in 1970."""
    raw = raw_pod(
        terminated={
            "exitCode": 128,
            "reason": "StartError",
            "startedAt": "1970-01-01T00:00:00Z",
            "finishedAt": stamp(after(4)),
        }
    )
    view, around = started(), {"jobs": (job(),), "pods": (KubePod.of(raw),)}
    plan = plan_of(seen(view, **around), 5)
    assert plan.status
    assert plan.status.attempts[0].reason == "WorkerConfig"
    assert (plan.status.started_at, plan.status.attempts[0].started_at) == (None, None)
    assert usage_of(plan.status) == Usage(attempts=1, gpu_seconds="0")


def test_a_completed_job_took_what_its_worker_says_and_the_attempts_before() -> None:
    view = running()
    lost = (failed_pod("source_unavailable", retryable=True),)
    view = written(view, plan_of(seen(view, jobs=(job(),), pods=lost), 5))
    view = written(view, plan_of(seen(view), 100))
    plan = plan_of(seen(view, jobs=(job(2),), pods=(completed_pod(2),)), 200)
    assert plan.status
    assert plan.status.phase == "Completed"
    assert plan.status.usage == Usage(attempts=2, gpu_seconds="9")


def stored(attempt: int, gpu_seconds: str | None) -> ManifestLookup:
    manifest = Manifest(
        job_id=NAME,
        job_uid=UID,
        version_id="v1",
        attempt=attempt,
        gpu_seconds=gpu_seconds,
        status="completed",
        result=completed_report().result(request(), "stems", "v1/x"),
    )
    return ManifestLookup(ManifestState.COMPLETED, manifest)


@pytest.mark.parametrize(
    ("manifest", "usage"),
    [
        (stored(2, "7.25"), Usage(attempts=2, gpu_seconds="7.25")),
        (stored(2, None), Usage(attempts=2, gpu_seconds="10")),  # of an older worker
        (stored(1, "2.25"), Usage(attempts=2, gpu_seconds="10")),  # of one that was cut off
    ],
)
def test_the_manifest_says_what_a_job_took_unless_more_attempts_came_after_it(
    manifest: ManifestLookup, usage: Usage
) -> None:
    view = running()
    lost = (failed_pod("source_unavailable", retryable=True),)
    view = written(view, plan_of(seen(view, jobs=(job(),), pods=lost), 5))
    view = written(view, plan_of(seen(view), 100))
    pods = (ended_pod(EXIT_TERMINATED, number=2),)
    around = {"jobs": (job(2),), "pods": pods, "lookups": replace(SERVABLE, manifest=manifest)}
    plan = plan_of(seen(view, **around), 200)
    assert plan.status
    assert plan.status.phase == "Completed"
    assert plan.status.usage == usage


def test_a_job_ends_as_the_tombstone_says_that_was_there_first() -> None:
    """Another operator has failed it, and died before it could write the status."""
    stone = Manifest(
        job_id=NAME,
        job_uid=UID,
        version_id="v1",
        attempt=1,
        gpu_seconds="5",
        status="failed",
        error_code=ErrorCode.WORKER_LOST,
        message="Its node is gone.",
    )
    first = replace(SERVABLE, claim=ManifestLookup(ManifestState.OUR_TOMBSTONE, stone))
    plan = plan_of(seen(canceled(running()), lookups=first), 33)
    assert plan.status
    assert plan.status.failure
    assert (plan.status.phase, plan.status.failure.code) == ("Failed", "worker_lost")
