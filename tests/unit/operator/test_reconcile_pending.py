"""`reconcile`, one situation at a time: without an attempt under way."""

from dataclasses import replace

import pytest
from tests.support.operator_samples import (
    NAME,
    NOW,
    SERVABLE,
    UID,
    after,
    completed_report,
    seen,
    splitjob,
    written,
)
from tests.support.reconcile_situations import (
    CLAIMED,
    UNREACHABLE,
    plan_of,
    reason,
    request,
    started,
)

from splitjob.conditions import ConditionType
from splitjob.errors import ErrorCode
from splitjob.result import Manifest
from splitjob.status import Usage
from splitjob.submission_id import new_submission_id
from splitjob_operator.core.cached_splitjob import BlockedReason
from splitjob_operator.core.lookups import (
    CheckRequest,
    ClaimTombstone,
    LookupResults,
    ManifestLookup,
    ManifestState,
    Problem,
    ReadManifest,
)
from splitjob_operator.core.manifest import classify
from splitjob_operator.core.observed import QueueDecision
from splitjob_operator.core.plan import (
    CreateJob,
    Deliver,
    OwnSecret,
    Plan,
    ReplaceForeignManifest,
)


def test_the_first_reconcile_reads_the_bucket_then_checks_the_request() -> None:
    view = splitjob()
    assert plan_of(seen(view, lookups=LookupResults())).lookup == ReadManifest()
    absent = LookupResults(manifest=ManifestLookup(ManifestState.ABSENT))
    assert plan_of(seen(view, lookups=absent)).lookup == CheckRequest()


def test_the_bucket_is_read_of_one_just_submitted_only_once_it_is_its_turn() -> None:
    view = splitjob(submissionId=new_submission_id(NOW))
    waits = QueueDecision(may_start=False)
    checked = LookupResults(checked=True)
    plan = plan_of(seen(view, lookups=LookupResults(), queue_decision=waits))
    assert plan.lookup == CheckRequest()
    plan = plan_of(seen(view, lookups=checked, queue_decision=waits))
    assert plan.lookup is None
    assert reason(plan, ConditionType.ADMITTED) == ("False", "Queued")
    assert plan_of(seen(view, lookups=checked)).lookup == ReadManifest()


def test_the_bucket_is_read_at_first_sight_of_one_submitted_long_before() -> None:
    view = splitjob(submissionId=new_submission_id(after(-3600)))
    waits = QueueDecision(may_start=False)
    plan = plan_of(seen(view, lookups=LookupResults(), queue_decision=waits))
    assert plan.lookup == ReadManifest()


def test_a_restored_job_that_was_canceled_too_late_stays_completed() -> None:
    result = completed_report().result(request(), "stems", "v1/x")
    manifest = Manifest(
        job_id=NAME, job_uid="another", version_id="v1", status="completed", result=result
    )
    answers = LookupResults(manifest=ManifestLookup(ManifestState.COMPLETED, manifest))
    plan = plan_of(seen(splitjob(spec={"canceled": True}), lookups=answers))
    assert reason(plan, ConditionType.SUCCEEDED) == ("True", "Completed")


def test_the_number_stands_in_the_status_before_the_job_is_created() -> None:
    plan = plan_of(seen(splitjob()))
    assert plan.status is not None
    assert [a.number for a in plan.status.attempts] == [1]
    assert plan.status.job_name == f"{NAME}-1"
    assert [type(action) for action in plan.after] == [CreateJob]
    assert len(plan.status.conditions) == 4


def test_a_crash_between_status_and_job_creates_it_afterwards() -> None:
    """Acceptance 51."""
    plan = plan_of(seen(started()))
    assert isinstance(plan.after[0], CreateJob)
    assert plan.status is not None
    assert len(plan.status.attempts) == 1


def test_a_bad_request_fails_without_an_attempt() -> None:
    problem = Problem(ErrorCode.REQUEST_INVALID, "model: there is no model x")
    plan = plan_of(seen(splitjob(), lookups=replace(CLAIMED, problem=problem)))
    assert plan.status is not None
    assert reason(plan, ConditionType.SUCCEEDED) == ("False", "RequestInvalid")
    assert plan.status.attempts == []
    assert plan.after == (Deliver(),)
    assert plan.status.webhook
    assert plan.status.webhook.event == "failed"


def missing() -> LookupResults:
    problem = Problem(ErrorCode.WORKER_CONFIG, "The Secret urls is not there.", missing="urls")
    return replace(CLAIMED, problem=problem)


def test_a_secret_written_after_its_splitjob_is_waited_for() -> None:
    view = splitjob(secretName="urls")
    plan = plan_of(seen(view, lookups=missing()), waiting_grace_seconds=60)
    assert reason(plan, ConditionType.ADMITTED) == ("False", "SecretMissing")
    assert plan.status
    assert plan.status.queue
    assert plan.status.queue.message == (
        "The Secret urls is not there. It is waited for until 2026-11-22T20:01:00Z."
    )
    assert plan.requeue_at == after(2)
    assert plan.blocked is BlockedReason.JOB
    view = written(view, plan)
    lookup = plan_of(
        seen(view, lookups=LookupResults(), queue_decision=QueueDecision(may_start=False)), 2
    ).lookup
    assert lookup == ReadManifest(), "it is looked for although others come first"
    plan = plan_of(seen(view), 2, waiting_grace_seconds=60)
    assert plan.before == (OwnSecret("urls"),)
    assert isinstance(plan.after[-1], CreateJob)


def test_a_secret_that_does_not_come_fails_the_job() -> None:
    view = splitjob(secretName="urls", queueDeadlineSeconds=30)
    view = written(view, plan_of(seen(view, lookups=missing())))
    plan = plan_of(seen(view, lookups=missing()), 29)
    assert reason(plan, ConditionType.SUCCEEDED) == ("Unknown", "NotFinished")
    plan = plan_of(seen(view, lookups=missing()), 30)
    assert reason(plan, ConditionType.SUCCEEDED) == ("False", "WorkerConfig")
    plan = plan_of(seen(splitjob(secretName="urls"), lookups=missing()), 120)
    assert reason(plan, ConditionType.SUCCEEDED) == ("False", "WorkerConfig")


def test_a_spec_that_cannot_be_understood_fails_and_nobody_can_be_told() -> None:
    view = splitjob(model=7)
    plan = plan_of(seen(view))
    assert plan.status is not None
    assert plan.status.webhook
    assert plan.status.webhook.state == "NotWanted"
    assert "model" in plan.status.failure.message if plan.status.failure else False


def test_its_secret_gets_owned() -> None:
    view = splitjob(secretName="urls")
    assert plan_of(seen(view)).before == (OwnSecret("urls"),)


def test_a_manifest_at_the_first_reconcile_means_completed() -> None:
    """A restored backup runs nothing again."""
    result = completed_report().result(request(), "stems", "v1/x")
    manifest = Manifest(
        job_id=NAME,
        job_uid="another",
        version_id="v1",
        attempt=2,
        gpu_seconds="105.123",
        status="completed",
        result=result,
    )
    answer = ManifestLookup(ManifestState.COMPLETED, manifest)
    plan = plan_of(seen(splitjob(), lookups=replace(SERVABLE, manifest=answer)))
    assert reason(plan, ConditionType.SUCCEEDED) == ("True", "Completed")
    assert plan.status
    assert plan.status.attempts == []
    assert plan.status.usage == Usage(attempts=2, gpu_seconds="105.123")


def test_a_tombstone_of_a_former_job_is_cleared_before_the_attempt() -> None:
    answer = ManifestLookup(ManifestState.FOREIGN)
    plan = plan_of(seen(splitjob(), lookups=replace(SERVABLE, manifest=answer)))
    assert plan.before == (ReplaceForeignManifest(),)
    assert isinstance(plan.after[-1], CreateJob)


def test_our_own_tombstone_is_a_verdict() -> None:
    stone = Manifest(
        job_id=NAME,
        job_uid=UID,
        version_id="v1",
        status="failed",
        error_code=ErrorCode.WORKER_LOST,
    )
    answer = ManifestLookup(ManifestState.OUR_TOMBSTONE, stone)
    plan = plan_of(seen(splitjob(), lookups=replace(SERVABLE, manifest=answer)))
    assert reason(plan, ConditionType.SUCCEEDED) == ("False", "WorkerLost")


def test_a_job_waits_for_a_storage_that_is_away() -> None:
    """Acceptance 49."""
    observed = seen(splitjob(), lookups=replace(SERVABLE, manifest=UNREACHABLE))
    plan = plan_of(observed)
    assert reason(plan, ConditionType.ADMITTED) == ("False", "StorageUnavailable")
    assert plan.after == ()
    assert plan.requeue_at is not None


def test_a_storage_that_refuses_fails_the_job() -> None:
    """Acceptance 49."""
    refused = ManifestLookup(ManifestState.REFUSED, message="403 AccessDenied")
    plan = plan_of(seen(splitjob(), lookups=replace(SERVABLE, manifest=refused, claim=refused)))
    assert reason(plan, ConditionType.SUCCEEDED) == ("False", "UploadFailed")


def test_uploads_need_no_look_at_the_bucket() -> None:
    view = splitjob(uploads={"drums": {"url": "https://put.example.com/d"}})
    plan = plan_of(seen(view, lookups=LookupResults(checked=True)))
    assert isinstance(plan.after[-1], CreateJob)


def test_suspend_holds_it_back_and_its_time_does_not_run() -> None:
    view = splitjob(spec={"suspend": True}, queueDeadlineSeconds=10)
    view = written(view, plan_of(seen(view)))
    plan = plan_of(seen(view), 3600)
    assert plan.status
    assert plan.status.phase == "Suspended"
    resumed = replace(view, spec=splitjob(queueDeadlineSeconds=10).spec)
    assert isinstance(plan_of(seen(resumed), 3600).after[-1], CreateJob)


def test_a_paused_installation_starts_nothing() -> None:
    plan = plan_of(seen(splitjob()), paused=True)
    assert reason(plan, ConditionType.ADMITTED) == ("False", "InstallationPaused")
    assert plan.after == ()
    assert plan.status
    assert plan.status.queue
    assert plan.status.queue.reason == "InstallationPaused"


def test_a_job_waits_for_its_turn_and_says_where_it_stands() -> None:
    turn = QueueDecision(may_start=False, position=3, eta_seconds=90)
    plan = plan_of(seen(splitjob(), queue_decision=turn))
    assert plan.status
    assert plan.status.queue
    assert (plan.status.queue.position, plan.status.queue.eta_seconds) == (3, 90)
    assert plan.status.phase == "Queued"


@pytest.mark.parametrize(
    ("metadata", "whose"),
    [
        ({"metadata": {"customer": "acme"}}, "whose 'customer' is 'acme'"),
        ({"metadata": {"song": "x"}}, "without 'customer'"),
        ({}, "without 'customer'"),
    ],
)
def test_a_job_whose_group_has_as_many_as_it_may_says_so(
    metadata: dict[str, dict[str, str]], whose: str
) -> None:
    turn = QueueDecision(may_start=False, group_full=True)
    observed = seen(splitjob(**metadata), queue_decision=turn)
    plan = plan_of(observed, queue_group_by="customer", max_active_jobs_per_group=2)
    assert plan.status
    assert plan.status.queue
    assert plan.status.queue.reason == "Queued"
    assert plan.status.queue.message == (
        f"Waiting for its turn: of the jobs {whose}, at most 2 are active at once."
    )


def test_who_starts_has_left_the_queue() -> None:
    turn = QueueDecision(position=1, eta_seconds=90)
    plan = plan_of(seen(splitjob(), queue_decision=turn))
    assert plan.status
    assert plan.status.queue
    queue = plan.status.queue
    assert (queue.position, queue.reason, queue.eta_seconds) == (None, "Starting", 90)


def test_no_capacity_at_the_queue_deadline() -> None:
    """Acceptance 41."""
    turn = QueueDecision(may_start=False, position=3)
    view = splitjob(queueDeadlineSeconds=60)
    view = written(view, plan_of(seen(view, queue_decision=turn)))
    plan = plan_of(seen(view, queue_decision=turn), 59)
    assert plan.requeue_at == after(60)
    plan = plan_of(seen(view, queue_decision=turn, lookups=CLAIMED), 60)
    assert reason(plan, ConditionType.SUCCEEDED) == ("False", "NoCapacity")


def test_a_job_that_never_ran_does_not_wait_for_a_bucket_that_is_away_to_be_canceled() -> None:
    away = replace(SERVABLE, claim=UNREACHABLE)
    plan = plan_of(seen(splitjob(spec={"canceled": True}), lookups=away))
    assert reason(plan, ConditionType.SUCCEEDED) == ("False", "Canceled")


def test_a_restored_job_ends_as_its_tombstone_says_under_the_same_event_id() -> None:
    stone = Manifest(
        job_id=NAME,
        job_uid="before the restore",
        submission_id="5" * 32,
        version_id="v1",
        attempt=2,
        gpu_seconds="7.5",
        status="failed",
        error_code=ErrorCode.WORKER_OOM,
        message="It had 8 GiB.",
    )
    view = splitjob(submissionId="5" * 32)
    lookups = replace(SERVABLE, manifest=classify(stone, UID, request(submissionId="5" * 32)))
    plan = plan_of(seen(view, lookups=lookups))
    assert reason(plan, ConditionType.SUCCEEDED) == ("False", "WorkerOom")
    assert plan.status
    assert plan.status.usage == Usage(attempts=2, gpu_seconds="7.5")
    assert plan.status.failure
    assert plan.status.failure.message == "It had 8 GiB."
    assert plan.status.webhook
    assert plan.status.webhook.event_id == f"evt-{NAME}-{'5' * 32}-failed"


def test_a_queued_job_is_canceled_at_once() -> None:
    view = splitjob(spec={"canceled": True})
    claim = plan_of(seen(view)).lookup
    assert isinstance(claim, ClaimTombstone)
    assert (claim.status, claim.usage.attempts) == ("canceled", 0)
    plan = plan_of(seen(view, lookups=CLAIMED))
    assert plan.status
    assert plan.status.usage == Usage(attempts=0, gpu_seconds="0")
    assert reason(plan, ConditionType.SUCCEEDED) == ("False", "Canceled")
    assert plan.status
    assert plan.status.phase == "Canceled"
    assert plan.after == (Deliver(),)


def test_a_job_that_ends_before_it_was_checked_takes_its_secret_along_when_it_goes() -> None:
    """Acceptance 55: also one that was canceled while the operator was away."""
    view = splitjob(secretName="urls", spec={"canceled": True})
    plan = plan_of(seen(view, lookups=CLAIMED))
    assert plan.before == (OwnSecret("urls", if_there=True),)


def test_a_deleted_splitjob_is_left_alone() -> None:
    """Acceptance 55."""
    assert plan_of(seen(replace(splitjob(), deleting=True))) == Plan()
