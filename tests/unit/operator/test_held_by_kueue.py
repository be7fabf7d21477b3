"""`reconcile` of an attempt whose Job Kueue holds back, or has running in another cluster."""

from dataclasses import replace
from typing import Any

from tests.support.operator_samples import (
    JOB_UID,
    NOW,
    SERVABLE,
    after,
    ended_pod,
    job,
    manifest_job,
    raw_pod,
    running_pod,
    seen,
    splitjob,
    written,
)
from tests.support.reconcile_situations import (
    CLAIMED,
    canceled,
    plan_of,
    reason,
    running,
    started,
)

from splitjob.conditions import ConditionType
from splitjob.result import Manifest
from splitjob.usage import usage_of_attempts
from splitjob_operator.core.cached_splitjob import CachedSplitJob
from splitjob_operator.core.kueue import PRIORITY_LABEL, QUEUE_LABEL, Workload
from splitjob_operator.core.lookups import (
    ClaimTombstone,
    ManifestLookup,
    ManifestState,
    ReadManifest,
    ReadWorkload,
)
from splitjob_operator.core.observed import KubeJob, KubePod, SplitJob
from splitjob_operator.core.plan import (
    CreateJob,
    DeleteJob,
    DeletePod,
    Plan,
    SetWorkloadActive,
)
from splitjob_operator.core.status_json import dump_status

HELD = job(queue_name="audio", suspended=True)
ADMITTED = job(queue_name="audio")
WORKLOAD = f"{JOB_UID}-1"


def condition(kind: str, reason: str, message: str, status: str = "True") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": message}


PENDING = {
    "spec": {"active": True},
    "status": {
        "conditions": [
            condition("QuotaReserved", "Pending", "insufficient unused quota for gpu", "False")
        ]
    },
}
PREEMPTED = {
    "spec": {"active": True},
    "status": {
        "conditions": [
            condition("QuotaReserved", "Pending", "waiting", "False"),
            condition("Evicted", "Preempted", "Preempted to accommodate a higher priority"),
        ]
    },
}


def told(raw: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    return {"lookups": replace(SERVABLE, workload=Workload.of(raw), **more)}


def suspended(view: SplitJob, *, wish: bool = True) -> SplitJob:
    return replace(view, spec=splitjob(spec={"suspend": wish}).spec)


def evicted(at: float = 60) -> SplitJob:
    """One whose worker ran since `NOW`, and whose pod went with an eviction."""
    view = running()
    dying = replace(running_pod(), deleting_since=after(at + 30))
    plan = plan_of(seen(view, jobs=(HELD,), pods=(dying,), **told(PREEMPTED)), at)
    return written(view, plan)


class TestJob:
    CHANGED = {  # noqa: RUF012 - read only
        "kueue_local_queue": "audio",
        "kueue_priority_classes": [{"at_least": 50, "name": "high"}, {"name": "normal"}],
    }

    def test_is_made_suspended_with_the_labels_of_its_queue_and_priority(self) -> None:
        for priority, name in ((60, "high"), (0, "normal")):
            made = manifest_job(self.CHANGED, spec={"priority": priority})
            labels = made["metadata"]["labels"]
            assert (labels[QUEUE_LABEL], labels[PRIORITY_LABEL]) == ("audio", name)
            assert made["spec"]["suspend"] is True
            assert QUEUE_LABEL not in made["spec"]["template"]["metadata"]["labels"]

    def test_does_not_fail_by_a_worker_that_is_told_to_stop(self) -> None:
        rules = manifest_job(self.CHANGED)["spec"]["podFailurePolicy"]["rules"]
        assert [rule["action"] for rule in rules] == ["FailJob", "Ignore", "FailJob"]
        assert rules[1]["onExitCodes"]["values"] == [12, 143]

    def test_is_as_ever_without_a_queue(self) -> None:
        made = manifest_job()
        assert "suspend" not in made["spec"]
        assert QUEUE_LABEL not in made["metadata"]["labels"]


def test_it_is_not_admitted_until_kueue_says_so() -> None:
    plan = plan_of(seen(splitjob()), kueue_local_queue="audio")
    assert any(isinstance(action, CreateJob) for action in plan.after)
    assert reason(plan, ConditionType.ADMITTED) == ("False", "KueuePending")
    assert plan.status
    assert plan.status.phase == "Queued"


def test_it_waits_with_kueues_reason() -> None:
    view = started()
    asked = plan_of(seen(view, jobs=(HELD,)), 5)
    assert asked.lookup == ReadWorkload(WORKLOAD)
    plan = plan_of(seen(view, jobs=(HELD,), **told(PENDING)), 5)
    assert reason(plan, ConditionType.ADMITTED) == ("False", "KueuePending")
    assert plan.status
    assert plan.status.queue
    assert "insufficient unused quota for gpu" in plan.status.queue.message
    assert plan.status.queue.position is None


def test_without_a_workload_it_says_what_may_be_missing() -> None:
    plan = plan_of(seen(started(), jobs=(HELD,), **told(None)), 5)
    assert reason(plan, ConditionType.ADMITTED) == ("False", "KueueNoWorkload")
    assert plan.status
    assert plan.status.queue
    assert "LocalQueue audio" in plan.status.queue.message


def test_who_waits_for_kueue_has_no_place_in_our_queue() -> None:
    view = started()
    waiting = written(view, plan_of(seen(view, jobs=(HELD,), **told(PENDING)), 5))
    raw = {
        "metadata": {"name": "x", "uid": "1", "resourceVersion": "1", "creationTimestamp": "2026"},
        "spec": {},
        "status": dump_status(waiting.status),
    }
    raw["metadata"]["creationTimestamp"] = NOW.isoformat()
    entry = CachedSplitJob.of(raw)
    assert entry.active, "its Job counts for the bounds"
    assert not entry.has_place


def test_admitted_it_starts_and_runs_as_any_other() -> None:
    view = written(started(), plan_of(seen(started(), jobs=(HELD,), **told(PENDING)), 5))
    plan = plan_of(seen(view, jobs=(ADMITTED,), pods=(running_pod(since=after(9)),)), 10)
    assert reason(plan, ConditionType.ADMITTED) == ("True", "Admitted")
    assert reason(plan, ConditionType.STARTED) == ("True", "Running")


def test_an_evicted_worker_fails_nothing_and_is_told_as_kueue_tells_it() -> None:
    status = evicted().status
    assert [attempt.reason for attempt in status.attempts] == [""]
    again = plan_of(seen(evicted(), jobs=(HELD,), **told(PREEMPTED)), 61)
    assert reason(again, ConditionType.ADMITTED) == ("False", "KueuePreempted")
    assert reason(again, ConditionType.STARTED) == ("False", "NotStarted")
    assert again.status
    assert again.status.phase == "Queued"
    assert again.status.progress is None
    assert again.status.queue
    assert "Preempted to accommodate" in again.status.queue.message


def test_a_pod_on_its_way_out_is_no_failure_where_it_is_admitted_meanwhile() -> None:
    dying = replace(running_pod(), deleting_since=after(90))
    admitted = replace(ADMITTED, started_at=after(61))
    plan = plan_of(seen(evicted(), jobs=(admitted,), pods=(dying,)), 62)
    assert plan.status
    assert plan.status.attempts[0].reason == ""
    assert reason(plan, ConditionType.ADMITTED) == ("True", "Admitted")


def test_an_evicted_pod_on_a_lost_node_is_deleted_by_force() -> None:
    """Until it is gone the Job gets no other, and holds the quota that it was admitted with."""
    dying = replace(running_pod(), deleting_since=after(60))
    around: dict[str, Any] = {"pods": (dying,), "lost_nodes": {"node-1": after(50)}}
    around |= told(PREEMPTED, job_warning="")
    force = DeletePod(dying.name, dying.uid, force=True)
    for one in (HELD, ADMITTED):
        soon = plan_of(seen(evicted(), jobs=(one,), **around), 169)
        assert force not in soon.after
        plan = plan_of(seen(evicted(), jobs=(one,), **around), 170)
        assert plan.after == (force,)
        assert plan.status
        assert plan.status.attempts[0].reason == ""


def test_a_pod_that_waits_for_a_node_after_an_eviction_waits_since_then() -> None:
    """Seen late, as by an operator that was away: no place was missing while the first one ran."""
    raw = raw_pod()
    raw["metadata"] |= {"name": "again", "uid": "again"}
    no_node = {"type": "PodScheduled", "status": "False", "message": "0/3 nodes"}
    raw |= {"spec": {}, "status": {"phase": "Pending", "conditions": [no_node]}}
    view, pods = running(queueDeadlineSeconds=60), (KubePod.of(raw),)
    lookups = replace(SERVABLE, autoscaler_events=())
    plan = plan_of(seen(view, jobs=(ADMITTED,), pods=pods, lookups=lookups), 3600)
    assert plan.status
    assert plan.status.attempts[0].reason == ""
    assert reason(plan, ConditionType.ADMITTED) == ("False", "Unschedulable")
    late = plan_of(seen(written(view, plan), jobs=(ADMITTED,), pods=pods, lookups=lookups), 3661)
    assert late.status
    assert late.status.attempts[0].reason == "NoCapacity"


def test_a_pod_that_came_since_its_job_was_read_is_no_evicted_one() -> None:
    """Kueue admits the Job between the one look and the other; else it would never be seen."""
    gone = plan_of(seen(evicted(), jobs=(HELD,), **told(PREEMPTED)), 61)
    for view in (started(), written(evicted(), gone)):
        pods = (replace(running_pod(since=after(70)), name="anew", uid="anew"),)
        between = plan_of(seen(view, jobs=(HELD,), pods=pods, **told(PENDING)), 70)
        plan = plan_of(seen(written(view, between), jobs=(ADMITTED,), pods=pods), 71)
        assert reason(plan, ConditionType.STARTED) == ("True", "Running")
        assert plan.status
        assert plan.status.attempts[0].pod_name == "anew"
        assert plan.status.attempts[0].evicted_seconds == view.status.attempts[0].evicted_seconds


def test_deadlines_count_the_time_that_it_runs_and_waits_and_no_other() -> None:
    waiting = evicted(3000)
    gone = plan_of(seen(waiting, jobs=(HELD,), **told(PREEMPTED)), 3000, queue_deadline_seconds=900)
    assert gone.status
    assert gone.status.attempts[0].reason == "", "it waits since the eviction, not since creation"
    assert gone.requeue_at == after(3900)
    late = plan_of(seen(waiting, jobs=(HELD,), **told(PREEMPTED)), 3900, queue_deadline_seconds=900)
    assert late.status
    assert late.status.attempts[0].reason == "NoCapacity"
    assert "Preempted" in late.status.attempts[0].message
    anew = replace(running_pod(since=after(9000)), name="again", uid="again")
    ran = plan_of(seen(waiting, jobs=(ADMITTED,), pods=(anew,)), 9100, run_deadline_seconds=3600)
    assert reason(ran, ConditionType.STARTED) == ("True", "Running")
    assert ran.requeue_at == after(9000 + 3600)


def test_how_long_an_evicted_worker_ran_is_kept_once() -> None:
    view = evicted(60)
    killed = ended_pod(12, deleting_since=after(90))  # it ended at 5 s, as its node says
    view = written(view, plan_of(seen(view, jobs=(HELD,), pods=(killed,), **told(PREEMPTED)), 61))
    view = written(view, plan_of(seen(view, jobs=(HELD,), **told(PREEMPTED)), 62))
    assert view.status.attempts[0].evicted_seconds == 5
    anew = replace(running_pod(since=after(100)), name="again", uid="again")
    plan = plan_of(seen(view, jobs=(ADMITTED,), pods=(anew, killed)), 110)
    assert plan.status
    attempt = plan.status.attempts[0]
    assert (attempt.pod_name, attempt.evicted_seconds) == ("again", 5)
    attempt.finished_at = after(120)
    assert usage_of_attempts([attempt]).gpu_seconds == "25"


def test_a_song_that_was_done_when_it_was_evicted_is_completed() -> None:
    view = evicted()
    asked = plan_of(seen(view, jobs=(HELD,), lookups=replace(SERVABLE, manifest=None)), 61)
    assert asked.lookup == ReadManifest()
    manifest = Manifest.model_validate(
        {
            "jobId": "split-abc",
            "jobUid": "u",
            "versionId": "v1",
            "attempt": 1,
            "status": "completed",
            "result": {"model": "demo"},
        }
    )
    found = told(PREEMPTED, manifest=ManifestLookup(ManifestState.COMPLETED, manifest))
    plan = plan_of(seen(view, jobs=(HELD,), **found), 61)
    assert plan.status
    assert plan.status.phase == "Completed"
    assert any(isinstance(action, DeleteJob) for action in plan.after)


class TestSuspending:
    def held(self, view: SplitJob, at: float, workload: dict[str, Any]) -> Plan:
        return plan_of(seen(view, jobs=(HELD,), **told(workload)), at)

    def test_goes_through_the_workload(self) -> None:
        view = suspended(started())
        plan = self.held(view, 5, PENDING)
        assert SetWorkloadActive(WORKLOAD, active=False) in plan.after
        assert reason(plan, ConditionType.ADMITTED) == ("False", "Suspended")
        inactive = {**PENDING, "spec": {"active": False}}
        later = self.held(written(view, plan), 10**6, inactive)
        assert not later.after, "done once, and no deadline counts meanwhile"

    def test_is_taken_back_before_anything_else_is_told(self) -> None:
        view = suspended(started())
        view = suspended(written(view, self.held(view, 5, PENDING)), wish=False)
        inactive = {**PENDING, "spec": {"active": False}}
        plan = self.held(view, 5000, inactive)
        assert plan.before == (SetWorkloadActive(WORKLOAD, active=True),)
        assert plan.status
        assert plan.status.queue
        assert plan.status.queue.since == after(5000)

    def test_what_somebody_else_made_inactive_stays_so(self) -> None:
        plan = self.held(started(), 5, {**PENDING, "spec": {"active": False}})
        assert not plan.before
        assert plan.status
        assert plan.status.queue
        assert "made inactive" in plan.status.queue.message

    def test_leaves_a_running_worker_alone(self) -> None:
        view = suspended(running())
        plan = plan_of(seen(view, jobs=(ADMITTED,), pods=(running_pod(),)), 5)
        assert not plan.after
        assert reason(plan, ConditionType.STARTED) == ("True", "Running")


def test_canceled_while_it_waits_its_job_goes() -> None:
    view = replace(started(), spec=splitjob(spec={"canceled": True}).spec)
    plan = plan_of(seen(view, jobs=(HELD,)), 5)
    assert DeleteJob(HELD.name, HELD.uid, "Foreground") in plan.after


class TestInAnotherCluster:
    """MultiKueue: the Job's status is all there is here; there are no pods."""

    THERE: dict[str, Any] = {"queue_name": "audio", "managed_elsewhere": True}  # noqa: RUF012

    def test_a_job_that_runs_is_running_however_long_no_pod_is_seen(self) -> None:
        there = job(**self.THERE, started_at=after(10))
        plan = plan_of(seen(started(), jobs=(there,)), 6000)
        assert plan.lookup is None
        assert reason(plan, ConditionType.STARTED) == ("True", "Running")
        assert plan.status
        assert plan.status.attempts[0].reason == ""

    def test_its_deadline_is_kept_here(self) -> None:
        """There its pod, stopped by the node at its own deadline, is replaced again and again."""
        there = job(**self.THERE, started_at=after(10))
        limits = {"start_deadline_seconds": 100, "run_deadline_seconds": 600}
        plan = plan_of(seen(started(), jobs=(there,)), 709, **limits)
        assert plan.requeue_at == after(710)
        plan = plan_of(seen(started(), jobs=(there,)), 710, **limits)
        assert plan.status
        assert plan.status.attempts[0].reason == "DeadlineExceeded"
        assert DeleteJob(there.name, there.uid, "Foreground") in plan.after

    def test_a_job_that_ran_until_its_own_deadline_found_a_place(self) -> None:
        there = job(**self.THERE, started_at=after(10))
        view = written(started(), plan_of(seen(started(), jobs=(there,)), 20))
        over = replace(there, failed_reason="DeadlineExceeded")
        plan = plan_of(seen(view, jobs=(over,), lookups=CLAIMED), 95_000)
        assert plan.status
        assert plan.status.attempts[0].reason == "DeadlineExceeded"

    def test_its_wait_after_an_eviction_is_no_time_of_a_gpu(self) -> None:
        there = job(**self.THERE, started_at=after(0))
        view = written(started(), plan_of(seen(started(), jobs=(there,)), 20))
        held = job(**self.THERE, suspended=True)
        lookups = told(PREEMPTED, manifest=ManifestLookup(ManifestState.ABSENT))
        view = written(view, plan_of(seen(view, jobs=(held,), **lookups), 60))
        gone = replace(held, deleting=True)
        plan = plan_of(seen(canceled(view), jobs=(gone,), lookups=CLAIMED), 10_800)
        assert plan.status
        assert plan.status.usage
        assert plan.status.usage.gpu_seconds == "60"

    def test_a_job_that_is_done_is_judged_by_its_manifest(self) -> None:
        there = job(**self.THERE, started_at=after(10), complete=True)
        view = written(started(), plan_of(seen(started(), jobs=(there,)), 20))
        lookups = replace(SERVABLE, manifest=None)
        plan = plan_of(seen(view, jobs=(there,), lookups=lookups), 20)
        assert plan.lookup == ReadManifest()

    def test_upload_urls_need_a_cluster_in_which_the_report_can_be_read(self) -> None:
        uploads = {"drums": "https://u.example.com/d"}
        view = started(uploads={name: {"url": url} for name, url in uploads.items()})
        there = job(**self.THERE, started_at=after(10), complete=True)
        plan = plan_of(seen(view, jobs=(there,)), 20)
        assert plan.status
        assert plan.status.failure
        assert plan.status.failure.code == "worker_config"


def test_the_watch_tells_of_a_job_that_kueue_takes_back() -> None:
    raw = {
        "metadata": {"name": "x", "uid": "1", "labels": {QUEUE_LABEL: "audio"}},
        "spec": {"suspend": True, "managedBy": "kueue.x-k8s.io/multikueue"},
        "status": {"startTime": NOW.isoformat()},
    }
    read = KubeJob.of(raw)
    assert read.held_by_kueue
    assert read.managed_elsewhere
    assert read.started_at == NOW
    assert read != KubeJob.of({**raw, "spec": {"suspend": False}})


def test_no_capacity_claims_the_jobs_place_only_once_its_job_is_gone() -> None:
    view = started()
    late = {"queue_deadline_seconds": 900}
    failing = written(view, plan_of(seen(view, jobs=(HELD,), **told(PENDING)), 900, **late))
    assert failing.status.attempts[0].reason == "NoCapacity"
    plan = plan_of(seen(failing, lookups=replace(SERVABLE, claim=None)), 901, **late)
    assert isinstance(plan.lookup, ClaimTombstone)
