"""`reconcile`, one situation at a time: what becomes of the Jobs of attempts that have ended."""

from dataclasses import replace

from tests.support.operator_samples import (
    NAME,
    after,
    completed_pod,
    failed_pod,
    job,
    running_pod,
    seen,
    settings,
    written,
)
from tests.support.reconcile_situations import canceled, failed, plan_of, running

from splitjob_operator.core.context import ReconcileContext
from splitjob_operator.core.ended_jobs import delete_ended_jobs
from splitjob_operator.core.plan import CreateJob, DeleteJob, DeletePod, DeleteSplitJob

KEPT = {"keep_finished_jobs_seconds": 60}
DELETED = DeleteJob(f"{NAME}-1", job().uid, "Background")


def test_the_job_stays_as_long_as_is_wanted_after_the_verdict() -> None:
    ended = seen(running(), jobs=(job(),), pods=(completed_pod(),))
    verdict = plan_of(ended, 5, **KEPT)
    assert DELETED not in verdict.after
    view = written(ended.splitjob, verdict)
    later = seen(view, jobs=(job(complete=True),), pods=(completed_pod(),))
    assert DELETED not in plan_of(later, 64, **KEPT).after
    assert DELETED in plan_of(later, 65, **KEPT).after


def test_a_kept_job_is_looked_at_again_when_its_time_is_over() -> None:
    view = failed()
    assert view.status.webhook
    view.status.webhook.state, view.status.webhook.next_attempt_at = "Delivered", None
    view.status.webhook.delivered_at = after(6)
    plan = plan_of(seen(view, jobs=(job(failed_reason="PodFailurePolicy"),)), 7, **KEPT)
    assert plan.requeue_at == after(65)


def test_a_pod_that_is_over_is_enough_before_the_job_says_so() -> None:
    kept = plan_of(seen(failed(), jobs=(job(),), pods=(failed_pod("gpu_error"),)), 7, **KEPT)
    assert DELETED not in kept.after


def test_a_job_that_may_yet_run_something_goes_at_once() -> None:
    for pods in ((), (running_pod(),)):
        assert DELETED in plan_of(seen(failed(), jobs=(job(),), pods=pods), 7, **KEPT).after


def test_the_next_attempt_does_not_wait_for_it() -> None:
    lost = failed_pod("source_unavailable", retryable=True)
    ended = seen(running(), jobs=(job(),), pods=(lost,))
    retried = plan_of(ended, 5, retry_delay_seconds=0, **KEPT)
    assert DELETED not in retried.after
    kept = job(failed_reason="PodFailurePolicy")
    waiting = seen(written(ended.splitjob, retried), jobs=(kept,), pods=(lost,))
    again = plan_of(waiting, 6, retry_delay_seconds=0, **KEPT)
    assert [a.attempt.job_name for a in again.after if isinstance(a, CreateJob)] == [f"{NAME}-2"]
    assert DELETED not in again.after
    view = written(waiting.splitjob, again)
    beside = seen(view, jobs=(kept, job(2)), pods=(lost, running_pod(2)))
    assert DELETED not in plan_of(beside, 64, **KEPT).after
    assert DELETED in plan_of(beside, 65, **KEPT).after


def test_a_cancelled_job_is_stopped_whatever_is_kept() -> None:
    view = canceled(running())
    plan = plan_of(seen(view, jobs=(job(),), pods=(running_pod(),)), 5, **KEPT)
    assert DeleteJob(f"{NAME}-1", job().uid, "Foreground") in plan.after


def test_its_splitjob_may_go_first() -> None:
    view = failed()
    assert view.status.webhook
    view.status.webhook.state, view.status.webhook.next_attempt_at = "Delivered", None
    view.status.webhook.delivered_at, view.status.counted = after(6), True
    kept = seen(view, jobs=(job(failed_reason="PodFailurePolicy"),))
    plan = plan_of(kept, 100, ttl_seconds_after_finished=60, keep_finished_jobs_seconds=600)
    assert DeleteSplitJob() in plan.after


def test_each_ended_job_is_deleted_once() -> None:
    ctx = ReconcileContext(
        seen(failed(), jobs=(job(), job(2, deleting=True))), settings(), after(9)
    )
    delete_ended_jobs(ctx)
    delete_ended_jobs(ctx)
    assert ctx.after == [DELETED]


def test_only_its_own_are_deleted() -> None:
    others = replace(job(), owner_uid="another")
    ctx = ReconcileContext(seen(failed(), jobs=(others,)), settings(), after(9))
    delete_ended_jobs(ctx)
    assert ctx.after == []


def test_a_pod_that_the_job_of_an_earlier_attempt_left_behind_is_deleted() -> None:
    """Acceptance 46: `kubectl delete job --cascade=orphan`; not one that goes with its Job."""
    pods = (failed_pod("source_unavailable", retryable=True),)
    view = running()
    ended = written(view, plan_of(seen(view, jobs=(job(),), pods=pods), 5))
    left = replace(pods[0], orphaned=True)
    delete = DeletePod(left.name, left.uid, force=False)
    assert delete in plan_of(seen(ended, pods=(left,)), 6).after
    assert delete not in plan_of(seen(ended, pods=pods), 6).after
    again = written(ended, plan_of(seen(ended), 600))
    assert again.status.attempts[1].finished_at is None
    both = (left, running_pod(2))
    assert delete in plan_of(seen(again, jobs=(job(2),), pods=both), 601).after
