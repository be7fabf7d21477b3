"""`reconcile`, one situation at a time; the machine of all of them is in another file."""

from dataclasses import replace
from typing import Any

import pytest
from tests.operator_samples import (
    NAME,
    NOW,
    SERVABLE,
    UID,
    after,
    completed_pod,
    completed_report,
    ended_pod,
    failed_pod,
    job,
    running_pod,
    seen,
    settings,
    splitjob,
    written,
)

from splitjob import conditions
from splitjob.conditions import ConditionType
from splitjob.errors import ErrorCode
from splitjob.resource import KIND
from splitjob.result import Manifest, ProgressLine
from splitjob_operator.answers import (
    Answers,
    CheckRequest,
    ClaimTombstone,
    LookAtManifest,
    ManifestAnswer,
    ManifestState,
    Problem,
    ReadJobWarning,
)
from splitjob_operator.finished import DELIVERY_RETRY_SECONDS
from splitjob_operator.observed import JobView, Observed, PodView, SplitJobView, Turn
from splitjob_operator.plan import (
    CreateJob,
    DeleteJob,
    DeletePod,
    DeleteSplitJob,
    DeleteTombstone,
    Deliver,
    OwnSecret,
    Plan,
)
from splitjob_operator.reconcile import reconcile

CLAIMED = replace(SERVABLE, claim=ManifestAnswer(ManifestState.OUR_TOMBSTONE))
UNREACHABLE = ManifestAnswer(ManifestState.UNREACHABLE, message="cannot read s3://stems/x")


def plan_of(observed: Observed, at: float = 0, **changed: Any) -> Plan:
    return reconcile(observed, settings(**changed), after(at))


def started(**arguments: Any) -> SplitJobView:
    """A SplitJob whose first attempt has been decided."""
    view = splitjob(**arguments)
    return written(view, plan_of(seen(view)))


def running(**arguments: Any) -> SplitJobView:
    view = started(**arguments)
    plan = plan_of(seen(view, jobs=(job(),), pods=(running_pod(),)))
    return written(view, plan)


def canceled(view: SplitJobView) -> SplitJobView:
    return replace(view, spec=splitjob(spec={"canceled": True}).spec)


def failed(code: str = "source_not_found") -> SplitJobView:
    view = running()
    found = seen(view, jobs=(job(),), pods=(failed_pod(code),), answers=CLAIMED)
    return written(view, plan_of(found, 5))


def reason(plan: Plan, kind: ConditionType) -> tuple[str, str]:
    assert plan.status is not None
    condition = conditions.find(plan.status.conditions, kind)
    assert condition is not None
    return condition.status, condition.reason


class TestWaiting:
    def test_first_sight_looks_at_the_bucket_then_checks_the_request(self) -> None:
        view = splitjob()
        assert plan_of(seen(view, answers=Answers())).ask == LookAtManifest()
        absent = Answers(manifest=ManifestAnswer(ManifestState.ABSENT))
        assert plan_of(seen(view, answers=absent)).ask == CheckRequest()

    def test_a_restored_job_that_was_canceled_too_late_stays_completed(self) -> None:
        result = completed_report().result(_request(), "stems", "v1/x")
        manifest = Manifest(
            job_id=NAME, job_uid="another", version_id="v1", status="completed", result=result
        )
        answers = Answers(manifest=ManifestAnswer(ManifestState.COMPLETED, manifest))
        plan = plan_of(seen(splitjob(spec={"canceled": True}), answers=answers))
        assert reason(plan, ConditionType.SUCCEEDED) == ("True", "Completed")

    def test_the_number_stands_in_the_status_before_the_job_is_created(self) -> None:
        plan = plan_of(seen(splitjob()))
        assert plan.status is not None
        assert [a.number for a in plan.status.attempts] == [1]
        assert plan.status.job_name == f"{NAME}-1"
        assert [type(action) for action in plan.after] == [CreateJob]
        assert len(plan.status.conditions) == 4

    def test_a_crash_between_status_and_job_creates_it_afterwards(self) -> None:
        """Acceptance 51."""
        plan = plan_of(seen(started()))
        assert isinstance(plan.after[0], CreateJob)
        assert plan.status is not None
        assert len(plan.status.attempts) == 1

    def test_a_bad_request_fails_without_an_attempt(self) -> None:
        problem = Problem(ErrorCode.REQUEST_INVALID, "model: there is no model x")
        plan = plan_of(seen(splitjob(), answers=replace(SERVABLE, problem=problem)))
        assert plan.status is not None
        assert reason(plan, ConditionType.SUCCEEDED) == ("False", "RequestInvalid")
        assert plan.status.attempts == []
        assert plan.after == (Deliver(),)
        assert plan.status.webhook
        assert plan.status.webhook.event == "failed"

    def test_a_spec_that_cannot_be_understood_fails_and_nobody_can_be_told(self) -> None:
        view = splitjob(model=7)
        plan = plan_of(seen(view))
        assert plan.status is not None
        assert plan.status.webhook
        assert plan.status.webhook.state == "NotWanted"
        assert "model" in plan.status.failure.message if plan.status.failure else False

    def test_its_secret_gets_owned(self) -> None:
        view = splitjob(secretName="urls")
        assert plan_of(seen(view)).before == (OwnSecret("urls"),)

    def test_a_manifest_at_first_sight_means_completed(self) -> None:
        """A restored backup runs nothing again."""
        result = completed_report().result(_request(), "stems", "v1/x")
        manifest = Manifest(
            job_id=NAME, job_uid="another", version_id="v1", status="completed", result=result
        )
        answer = ManifestAnswer(ManifestState.COMPLETED, manifest)
        plan = plan_of(seen(splitjob(), answers=replace(SERVABLE, manifest=answer)))
        assert reason(plan, ConditionType.SUCCEEDED) == ("True", "Completed")
        assert plan.status
        assert plan.status.attempts == []

    def test_a_tombstone_of_a_former_job_is_cleared_before_the_attempt(self) -> None:
        answer = ManifestAnswer(ManifestState.FOREIGN)
        plan = plan_of(seen(splitjob(), answers=replace(SERVABLE, manifest=answer)))
        assert plan.before == (DeleteTombstone(),)
        assert isinstance(plan.after[-1], CreateJob)

    def test_our_own_tombstone_is_a_verdict(self) -> None:
        stone = Manifest(
            job_id=NAME,
            job_uid=UID,
            version_id="v1",
            status="failed",
            error_code=ErrorCode.WORKER_LOST,
        )
        answer = ManifestAnswer(ManifestState.OUR_TOMBSTONE, stone)
        plan = plan_of(seen(splitjob(), answers=replace(SERVABLE, manifest=answer)))
        assert reason(plan, ConditionType.SUCCEEDED) == ("False", "WorkerLost")

    def test_it_waits_for_a_storage_that_is_away(self) -> None:
        """Acceptance 49."""
        observed = seen(splitjob(), answers=replace(SERVABLE, manifest=UNREACHABLE))
        plan = plan_of(observed)
        assert reason(plan, ConditionType.ADMITTED) == ("False", "StorageUnavailable")
        assert plan.after == ()
        assert plan.again_at is not None

    def test_a_storage_that_refuses_fails_the_job(self) -> None:
        """Acceptance 49."""
        refused = ManifestAnswer(ManifestState.REFUSED, message="403 AccessDenied")
        plan = plan_of(seen(splitjob(), answers=replace(SERVABLE, manifest=refused)))
        assert reason(plan, ConditionType.SUCCEEDED) == ("False", "UploadFailed")

    def test_uploads_need_no_look_at_the_bucket(self) -> None:
        view = splitjob(uploads={"drums": {"url": "https://put.example.com/d"}})
        plan = plan_of(seen(view, answers=Answers(checked=True)))
        assert isinstance(plan.after[-1], CreateJob)

    def test_suspend_holds_it_back_and_its_time_does_not_run(self) -> None:
        view = splitjob(spec={"suspend": True}, queueDeadlineSeconds=10)
        view = written(view, plan_of(seen(view)))
        plan = plan_of(seen(view), 3600)
        assert plan.status
        assert plan.status.phase == "Suspended"
        resumed = replace(view, spec=splitjob(queueDeadlineSeconds=10).spec)
        assert isinstance(plan_of(seen(resumed), 3600).after[-1], CreateJob)

    def test_a_paused_installation_starts_nothing(self) -> None:
        plan = plan_of(seen(splitjob()), paused=True)
        assert reason(plan, ConditionType.ADMITTED) == ("False", "InstallationPaused")
        assert plan.after == ()

    def test_it_waits_for_its_turn_and_says_where_it_stands(self) -> None:
        turn = Turn(may_start=False, position=3, eta_seconds=90)
        plan = plan_of(seen(splitjob(), turn=turn))
        assert plan.status
        assert plan.status.queue
        assert (plan.status.queue.position, plan.status.queue.eta_seconds) == (3, 90)
        assert plan.status.phase == "Queued"

    def test_no_capacity_at_the_queue_deadline(self) -> None:
        """Acceptance 41."""
        turn = Turn(may_start=False, position=3)
        view = splitjob(queueDeadlineSeconds=60)
        view = written(view, plan_of(seen(view, turn=turn)))
        plan = plan_of(seen(view, turn=turn), 59)
        assert plan.again_at == after(60)
        plan = plan_of(seen(view, turn=turn), 60)
        assert reason(plan, ConditionType.SUCCEEDED) == ("False", "NoCapacity")

    def test_a_queued_job_is_canceled_at_once(self) -> None:
        plan = plan_of(seen(splitjob(spec={"canceled": True})))
        assert reason(plan, ConditionType.SUCCEEDED) == ("False", "Canceled")
        assert plan.status
        assert plan.status.phase == "Canceled"
        assert plan.after == (Deliver(),)

    def test_a_deleted_splitjob_is_left_alone(self) -> None:
        """Acceptance 55."""
        assert plan_of(seen(replace(splitjob(), deleting=True))) == Plan()


class TestRunning:
    def test_running_is_written_down(self) -> None:
        plan = plan_of(seen(started(), jobs=(job(),), pods=(running_pod(),)), 3)
        assert plan.status
        assert plan.status.phase == "Running"
        assert plan.status.started_at == NOW
        assert plan.status.attempts[0].node_name == "node-1"
        assert plan.again_at == after(settings().run_deadline_seconds)

    def test_progress_never_falls(self) -> None:
        view, around = running(), {"jobs": (job(),), "pods": (running_pod(),)}
        line = ProgressLine(stage="separate", percent=40)
        plan = plan_of(seen(view, progress=line, **around))
        assert plan.status
        assert plan.status.progress
        assert plan.status.progress.percent == 40
        again = seen(
            written(view, plan), progress=ProgressLine(stage="encode", percent=20), **around
        )
        plan = plan_of(again, 5)
        assert plan.status
        assert plan.status.progress
        assert (plan.status.progress.stage, plan.status.progress.percent) == ("encode", 40)

    def test_completed_by_the_workers_report(self) -> None:
        view = running()
        plan = plan_of(seen(view, jobs=(job(),), pods=(completed_pod(),)), 9)
        assert plan.status
        assert plan.status.result
        assert [stem.type for stem in plan.status.result.stems] == ["drums", "vocals"]
        assert plan.status.result.manifest_url == f"s3://stems/v1/{NAME}/manifest.json"
        assert plan.after == (Deliver(), DeleteJob(f"{NAME}-1", job().uid, "Background"))
        assert plan.status.phase == "Completed"

    def test_a_webhook_the_worker_delivered_is_not_sent_again(self) -> None:
        pods = (completed_pod(delivered=True),)
        plan = plan_of(seen(running(), jobs=(job(),), pods=pods), 9)
        assert plan.status
        assert plan.status.webhook
        assert plan.status.webhook.delivered_by == "worker"
        assert Deliver() not in plan.after
        assert reason(plan, ConditionType.NOTIFIED) == ("True", "Delivered")

    def test_an_event_nobody_wants_is_on_record(self) -> None:
        view = running(webhook={"url": "https://hooks.example.com/x", "events": ["failed"]})
        plan = plan_of(seen(view, jobs=(job(),), pods=(completed_pod(),)), 9)
        assert plan.status
        assert plan.status.webhook
        assert plan.status.webhook.state == "NotWanted"

    def test_unschedulable_says_why(self) -> None:
        """Acceptance 41."""
        pod = PodView(
            name="p", uid="u", attempt=1, job_uid=job().uid, unschedulable="0/3 nodes: no GPU"
        )
        view = started(queueDeadlineSeconds=60)
        plan = plan_of(seen(view, jobs=(job(),), pods=(pod,)), 5)
        assert reason(plan, ConditionType.ADMITTED) == ("False", "Unschedulable")
        assert plan.status
        assert plan.status.queue
        assert plan.status.queue.message == "0/3 nodes: no GPU"
        view = written(view, plan)
        plan = plan_of(seen(view, jobs=(job(),), pods=(pod,)), 61)
        assert plan.after == (DeleteJob(f"{NAME}-1", job().uid, "Foreground"),)
        gone = seen(written(view, plan), answers=CLAIMED)
        assert reason(plan_of(gone, 62), ConditionType.SUCCEEDED) == ("False", "NoCapacity")

    def test_quota_says_why(self) -> None:
        """Acceptance 42."""
        view = started()
        assert plan_of(seen(view, jobs=(job(),)), 5).ask == ReadJobWarning(f"{NAME}-1")
        warning = "pods is forbidden: exceeded quota: gpus"
        answers = replace(SERVABLE, job_warning=warning)
        plan = plan_of(seen(view, jobs=(job(),), answers=answers), 5)
        assert reason(plan, ConditionType.ADMITTED) == ("False", "QuotaExceeded")

    def test_a_job_that_is_refused_waits_says_why_and_ends_at_the_queue_deadline(self) -> None:
        """Acceptance 42: a quota on Jobs, or a policy that does not admit them."""
        view = started(queueDeadlineSeconds=60)
        refused = "cannot create Job split-abc-1: 403 denied by the policy images"
        plan = plan_of(seen(view, answers=replace(SERVABLE, job_refused=refused)), 5)
        assert plan.after == ()
        assert plan.again_at == after(15)
        assert reason(plan, ConditionType.ADMITTED) == ("False", "JobRefused")
        view = written(view, plan)
        plan = plan_of(seen(view), 15)
        assert [type(action) for action in plan.after] == [CreateJob]
        plan = plan_of(seen(view, answers=CLAIMED), 60)
        assert reason(plan, ConditionType.SUCCEEDED) == ("False", "NoCapacity")
        assert plan.status
        assert plan.status.failure
        assert plan.status.failure.message == f"No place was found within 60 s: {refused}"
        assert plan.status.attempts[0].finished_at

    def test_a_job_that_meets_a_quota_says_so(self) -> None:
        """Acceptance 42."""
        refused = "cannot create Job split-abc-1: 403 jobs.batch is forbidden: exceeded quota: x"
        plan = plan_of(seen(started(), answers=replace(SERVABLE, job_refused=refused)), 5)
        assert reason(plan, ConditionType.ADMITTED) == ("False", "QuotaExceeded")

    def test_run_deadline_stops_the_worker_then_fails(self) -> None:
        """Acceptance 45."""
        view = running(runDeadlineSeconds=30)
        around = {"jobs": (job(),), "pods": (running_pod(),)}
        plan = plan_of(seen(view, **around), 30)
        assert plan.after == (DeleteJob(f"{NAME}-1", job().uid, "Foreground"),)
        assert plan.status
        assert plan.status.phase == "Finishing"
        view = written(view, plan)
        assert (
            plan_of(seen(view, jobs=(job(deleting=True),), pods=(running_pod(),)), 31).ask is None
        )
        gone = seen(view, answers=SERVABLE)
        assert plan_of(gone, 33).ask == ClaimTombstone("failed", ErrorCode.DEADLINE_EXCEEDED)
        plan = plan_of(seen(view, answers=CLAIMED), 33)
        assert reason(plan, ConditionType.SUCCEEDED) == ("False", "DeadlineExceeded")

    def test_cancel_is_final_only_when_the_pods_are_gone(self) -> None:
        view = canceled(running())
        around = {"jobs": (job(),), "pods": (running_pod(),)}
        plan = plan_of(seen(view, **around), 1)
        assert plan.after == (DeleteJob(f"{NAME}-1", job().uid, "Foreground"),)
        assert reason(plan, ConditionType.SUCCEEDED) == ("Unknown", "NotFinished")
        plan = plan_of(seen(written(view, plan), answers=CLAIMED), 9)
        assert reason(plan, ConditionType.SUCCEEDED) == ("False", "Canceled")

    def test_cancel_and_completion_at_once_is_what_the_manifest_says(self) -> None:
        """Acceptance 46a."""
        result = completed_report().result(_request(), "stems", "v1/x")
        manifest = Manifest(
            job_id=NAME, job_uid=UID, version_id="v1", status="completed", result=result
        )
        claim = ManifestAnswer(ManifestState.COMPLETED, manifest)
        view = canceled(running())
        plan = plan_of(seen(view, answers=replace(SERVABLE, claim=claim)), 9)
        assert reason(plan, ConditionType.SUCCEEDED) == ("True", "Completed")

    def test_a_pod_on_a_lost_node_is_deleted_by_force(self) -> None:
        """Acceptance 44."""
        view, lost = running(), {"node-1": after(10)}
        around: dict[str, Any] = {"jobs": (job(),), "pods": (running_pod(),), "lost_nodes": lost}
        assert plan_of(seen(view, **around), 60).after == ()
        plan = plan_of(seen(view, **around), 10 + settings().node_lost_seconds)
        assert DeletePod(running_pod().name, running_pod().uid, force=True) in plan.after
        assert plan.status
        assert plan.status.attempts[0].reason == "WorkerLost"

    def test_a_job_of_a_former_splitjob_is_waited_for(self) -> None:
        other = JobView(f"{NAME}-1", "other", owner_kind=KIND, owner_uid="former")
        plan = plan_of(seen(started(), jobs=(other,)))
        assert plan.after == ()
        assert reason(plan, ConditionType.ADMITTED) == ("False", "NameTaken")

    def test_a_strangers_job_is_a_clear_failure(self) -> None:
        plan = plan_of(seen(started(), jobs=(JobView(f"{NAME}-1", "x"),), answers=CLAIMED))
        assert reason(plan, ConditionType.SUCCEEDED) == ("False", "WorkerConfig")
        assert plan.after == (Deliver(),), "a stranger's Job is never deleted"


class TestRetry:
    def test_a_lost_job_is_tried_again_once(self) -> None:
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
        assert plan_of(seen(view), 8).ask == ClaimTombstone("failed", ErrorCode.WORKER_LOST)
        plan = plan_of(seen(view, answers=CLAIMED), 8)
        assert reason(plan, ConditionType.SUCCEEDED) == ("False", "WorkerLost")

    def test_the_manifest_is_looked_at_before_a_retry(self) -> None:
        observed = seen(running(), answers=Answers())
        assert plan_of(observed, 5).ask == LookAtManifest()

    def test_out_of_memory_gets_more_once(self) -> None:
        """Acceptance 36."""
        view = running()
        plan = plan_of(seen(view, jobs=(job(),), pods=(ended_pod(137, reason="OOMKilled"),)), 5)
        view = written(view, plan)
        plan = plan_of(seen(view), 600)
        assert plan.status
        assert plan.status.attempts[1].memory_bytes == 12 * 2**30

    def test_a_failure_of_its_own_waits_longer_each_time(self) -> None:
        view = running()
        pods = (failed_pod("source_unavailable", retryable=True),)
        view = written(view, plan_of(seen(view, jobs=(job(),), pods=pods), 5))
        plan = plan_of(seen(view), 14)
        assert plan.after == ()
        assert plan.again_at == after(15)
        assert isinstance(plan_of(seen(view), 15).after[-1], CreateJob)

    def test_what_cannot_help_is_not_tried_again(self) -> None:
        view = failed()
        assert view.status.failure
        assert view.status.failure.code == "source_not_found"
        assert len(view.status.attempts) == 1

    @pytest.mark.parametrize(("retryable", "attempts"), [(True, 3), (False, 1)])
    def test_upload_failed_follows_the_storages_answer(
        self, retryable: bool, attempts: int
    ) -> None:
        """Acceptance 49."""
        view, at = splitjob(), 0.0
        while view.status.finished_at is None:
            view = written(view, plan_of(seen(view), at))
            number = len(view.status.attempts)
            pods = (failed_pod("upload_failed", number, retryable=retryable),)
            found = seen(view, jobs=(job(number),), pods=pods, answers=CLAIMED)
            view = written(view, plan_of(found, at + 1))
            at += 1000
        assert len(view.status.attempts) == attempts

    def test_a_verdict_waits_for_the_storage_but_not_for_ever(self) -> None:
        view = running()
        away = replace(SERVABLE, claim=UNREACHABLE)
        around = {"jobs": (job(),), "pods": (failed_pod("source_not_found"),), "answers": away}
        plan = plan_of(seen(view, **around), 5)
        assert reason(plan, ConditionType.SUCCEEDED) == ("Unknown", "NotFinished")
        view = written(view, plan)
        plan = plan_of(seen(view, **around), 5 + settings().storage_patience_seconds)
        assert reason(plan, ConditionType.SUCCEEDED) == ("False", "SourceNotFound")


class TestFinished:
    def test_it_stays_as_it_is(self) -> None:
        view = failed()
        late = replace(view, spec=splitjob(spec={"canceled": True}).spec)
        plan = plan_of(seen(late, jobs=(job(),), pods=(completed_pod(),)), 60)
        assert reason(plan, ConditionType.SUCCEEDED) == ("False", "SourceNotFound")
        assert DeleteJob(f"{NAME}-1", job().uid, "Background") in plan.after

    def test_a_crash_before_the_delivery_costs_nothing(self) -> None:
        """Acceptance 51, 52."""
        assert Deliver() in plan_of(seen(failed()), 3600).after

    def test_a_delivery_that_left_no_mark_is_begun_again(self) -> None:
        """Acceptance 53: the API server was away when the outbox was to be read."""
        plan = plan_of(seen(failed()), 3600)
        assert plan.again_at == after(3600 + DELIVERY_RETRY_SECONDS)

    def test_ttl_counts_from_the_delivery_and_the_count(self) -> None:
        """Acceptance 58."""
        view = failed()
        assert view.status.webhook
        far = plan_of(seen(view), 10**8)
        assert DeleteSplitJob() not in far.after, "its event is not delivered yet"
        view.status.webhook.state, view.status.webhook.next_attempt_at = "Delivered", None
        view.status.webhook.delivered_at = after(100)
        assert DeleteSplitJob() not in plan_of(seen(view), 10**8).after, "it is not counted yet"
        view.status.counted = True
        ttl = {"ttl_seconds_after_finished": 50}
        assert plan_of(seen(view), 149, **ttl).again_at == after(150)
        assert DeleteSplitJob() in plan_of(seen(view), 150, **ttl).after

    def test_redelivery_by_hand_begins_a_new_schedule_with_the_same_id(self) -> None:
        """Acceptance 60."""
        view = failed()
        assert view.status.webhook
        old = view.status.webhook.event_id
        view.status.webhook.state, view.status.webhook.next_attempt_at = "GivenUp", None
        view.status.webhook.given_up_at = after(9)
        asked = replace(view, spec=splitjob(spec={"redeliveries": 1}).spec)
        plan = plan_of(seen(asked), 99)
        assert plan.status
        assert plan.status.webhook
        assert (plan.status.webhook.event_id, plan.status.webhook.attempts) == (old, 0)
        assert Deliver() in plan.after
        again = plan_of(seen(written(asked, plan)), 100)
        assert again.status
        assert again.status.webhook == plan.status.webhook


def _request() -> Any:
    spec = splitjob().spec
    assert spec
    return spec.request
