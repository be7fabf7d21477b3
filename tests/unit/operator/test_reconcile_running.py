"""`reconcile`, one situation at a time: with an attempt under way."""

from dataclasses import replace
from typing import Any

import pytest
from tests.support.operator_samples import (
    JOB_UID,
    NAME,
    NOW,
    SERVABLE,
    UID,
    after,
    completed_pod,
    completed_report,
    ended_pod,
    job,
    raw_pod,
    running_pod,
    seen,
    settings,
    splitjob,
    stamp,
    written,
)
from tests.support.reconcile_situations import (
    CLAIMED,
    canceled,
    plan_of,
    reason,
    request,
    running,
    started,
)

from splitjob import workload
from splitjob.conditions import ConditionType
from splitjob.errors import ErrorCode
from splitjob.resource import KIND, LABEL_ATTEMPT
from splitjob.result import Manifest, ProgressLine
from splitjob.status import Queue
from splitjob_operator.core.lookups import (
    ClaimTombstone,
    LastProgress,
    ManifestLookup,
    ManifestState,
    PodEvent,
    ReadAutoscalerEvents,
    ReadJobWarning,
    ReadLastProgress,
    ReadPodEvents,
)
from splitjob_operator.core.observed import JobCreationError, KubeJob, KubePod, QueueDecision
from splitjob_operator.core.plan import (
    CreateJob,
    DeleteJob,
    DeletePod,
    Deliver,
    Plan,
)


def test_running_is_written_down() -> None:
    plan = plan_of(seen(started(), jobs=(job(),), pods=(running_pod(),)), 3)
    assert plan.status
    assert plan.status.phase == "Running"
    assert plan.status.started_at == NOW
    assert plan.status.attempts[0].node_name == "node-1"
    assert plan.requeue_at == after(settings().run_deadline_seconds)


def test_a_pod_made_by_hand_with_copied_labels_changes_nothing() -> None:
    raw = raw_pod(running={"startedAt": stamp(NOW)})
    raw["metadata"]["labels"][LABEL_ATTEMPT] = "debug"
    raw["metadata"]["ownerReferences"] = []
    plan = plan_of(seen(started(), jobs=(job(),), pods=(KubePod.of(raw), running_pod())), 3)
    assert plan.status
    assert plan.status.phase == "Running"


def test_progress_never_falls() -> None:
    view, around = running(), {"jobs": (job(),), "pods": (running_pod(),)}
    line = ProgressLine(stage="separate", percent=40)
    plan = plan_of(seen(view, progress=line, **around))
    assert plan.status
    assert plan.status.progress
    assert plan.status.progress.percent == 40
    again = seen(written(view, plan), progress=ProgressLine(stage="encode", percent=20), **around)
    plan = plan_of(again, 5)
    assert plan.status
    assert plan.status.progress
    assert (plan.status.progress.stage, plan.status.progress.percent) == ("encode", 40)


def test_how_far_a_worker_was_is_noted_where_it_died_without_a_word() -> None:
    """Acceptance 80: what the next death is compared with."""
    line, killed = ProgressLine(stage="separate", percent=40), ended_pod(137, reason="Error")
    around: dict[str, Any] = {"jobs": (job(),), "pods": (killed,)}
    plan = plan_of(seen(running(), progress=line, **around), 60)
    assert plan.status
    [attempt] = plan.status.attempts
    assert attempt.progress
    assert (attempt.progress.stage, attempt.progress.percent) == ("separate", 40)
    assert not attempt.job_deleted
    deleted = plan_of(seen(running(), progress=line), 60).status
    assert deleted
    assert deleted.attempts[0].job_deleted


@pytest.mark.parametrize("ended", [False, True])
def test_a_pod_that_was_left_behind_by_its_job_is_deleted(*, ended: bool) -> None:
    """Acceptance 80: `kubectl delete job --cascade=orphan` takes the pod's owner away."""
    raw = raw_pod(terminated={"exitCode": 10}) if ended else raw_pod(running={})
    raw["status"]["phase"] = "Failed" if ended else "Running"
    raw["metadata"]["labels"]["batch.kubernetes.io/controller-uid"] = f"{JOB_UID}-1"
    del raw["metadata"]["ownerReferences"]
    pod = KubePod.of(raw)
    plan = plan_of(seen(running(), pods=(pod,)), 60)
    assert DeletePod(pod.name, pod.uid, force=False) in plan.after
    assert plan.status
    assert bool(plan.status.attempts[0].finished_at) is ended


def test_completed_by_the_workers_report() -> None:
    view = running()
    plan = plan_of(seen(view, jobs=(job(),), pods=(completed_pod(),)), 9)
    assert plan.status
    assert plan.status.result
    assert [stem.type for stem in plan.status.result.stems] == ["drums", "vocals"]
    assert plan.status.result.manifest_url == f"s3://stems/v1/{NAME}/manifest.json"
    assert plan.after == (Deliver(), DeleteJob(f"{NAME}-1", job().uid, "Background"))
    assert plan.status.phase == "Completed"


def test_a_webhook_the_worker_delivered_is_not_sent_again() -> None:
    pods = (completed_pod(delivered=True),)
    plan = plan_of(seen(running(), jobs=(job(),), pods=pods), 9)
    assert plan.status
    assert plan.status.webhook
    assert plan.status.webhook.delivered_by == "worker"
    assert Deliver() not in plan.after
    assert reason(plan, ConditionType.NOTIFIED) == ("True", "Delivered")


def test_an_event_nobody_wants_is_on_record() -> None:
    view = running(webhook={"url": "https://hooks.example.com/x", "events": ["failed"]})
    plan = plan_of(seen(view, jobs=(job(),), pods=(completed_pod(),)), 9)
    assert plan.status
    assert plan.status.webhook
    assert plan.status.webhook.state == "NotWanted"


def test_unschedulable_says_why() -> None:
    """Acceptance 41."""
    pod = KubePod(name="p", uid="u", job_uid=job().uid, unschedulable="0/3 nodes: no GPU")
    view = started(queueDeadlineSeconds=60)
    around: dict[str, Any] = {"jobs": (job(),), "pods": (pod,)}
    assert plan_of(seen(view, **around), 5).lookup == ReadAutoscalerEvents("p")
    around["lookups"] = replace(SERVABLE, autoscaler_events=())
    plan = plan_of(seen(view, **around), 5)
    assert reason(plan, ConditionType.ADMITTED) == ("False", "Unschedulable")
    assert plan.status
    assert plan.status.queue
    assert plan.status.queue.message == "0/3 nodes: no GPU"
    view = written(view, plan)
    plan = plan_of(seen(view, **around), 61)
    assert plan.after == (DeleteJob(f"{NAME}-1", job().uid, "Foreground"),)
    gone = seen(written(view, plan), lookups=CLAIMED)
    assert reason(plan_of(gone, 62), ConditionType.SUCCEEDED) == ("False", "NoCapacity")


def test_what_an_autoscaler_does_about_it_is_told_while_a_job_waits_and_when_it_ends() -> None:
    """Acceptance 41: in its own words, which are looked for again and again."""
    pod = KubePod(name="p", uid="u", job_uid=job().uid, unschedulable="0/3 nodes: no GPU.")
    told = (
        PodEvent("TriggeredScaleUp", "pod triggered scale-up", source="cluster-autoscaler"),
        PodEvent("NotTriggerScaleUp", "1 max node group size reached", source="cluster-autoscaler"),
        PodEvent("FailedScheduling", "0/3 nodes", warning=True, source="default-scheduler"),
    )
    lookups = replace(CLAIMED, autoscaler_events=told)
    found = seen(started(queueDeadlineSeconds=60), jobs=(job(),), pods=(pod,), lookups=lookups)
    plan = plan_of(found, 5)
    words = (
        "0/3 nodes: no GPU. cluster-autoscaler (NotTriggerScaleUp): 1 max node group size reached"
    )
    assert queue_of(plan).message == words
    assert plan.requeue_at == after(35)
    ended = plan_of(found, 61).status
    assert ended
    assert ended.attempts[0].message == f"No place was found within 60 s: {words}"


def test_a_worker_killed_for_memory_is_told_with_what_it_had_and_was_allowed() -> None:
    """Acceptance 36: where it could not say so itself."""
    raw = raw_pod(terminated={"exitCode": 137, "reason": "OOMKilled"})
    limits = {"limits": {"memory": "6Gi"}}
    raw["spec"]["containers"] = [{"name": workload.CONTAINER, "resources": limits}]
    around: dict[str, Any] = {"jobs": (job(),), "pods": (KubePod.of(raw),)}
    known = ProgressLine(stage="separate", percent=30, memory=4 << 30)
    found = seen(running(), progress=known, **around)
    assert plan_of(found, 60).lookup == ReadLastProgress(around["pods"][0].name)

    def message(read: ProgressLine | None) -> str:
        lookups = replace(CLAIMED, last_progress=LastProgress(read))
        status = plan_of(replace(found, lookups=lookups), 60).status
        assert status
        return status.attempts[0].message

    killed = "The worker needed more memory than its limit and was killed. 6.00 GiB allowed, "
    read = ProgressLine(stage="separate", percent=40, memory=5 << 30)
    assert message(read) == f"{killed}5.00 GiB used at its last word (separate, 40 %)."
    assert message(None) == f"{killed}4.00 GiB used at its last word (separate, 30 %)."
    found = replace(found, progress=None)
    assert message(None) == f"{killed}the worker had not said how much it used."


def test_an_image_that_never_came_is_told_with_its_name_and_what_the_registry_said() -> None:
    """Acceptance 40: a pod that waits to try again may not say it."""
    raw = raw_pod(waiting={"reason": "ImagePullBackOff", "message": 'Back-off pulling image "x:1"'})
    raw["spec"]["containers"] = [{"name": workload.CONTAINER, "image": "x:1"}]
    pod = KubePod.of(raw)
    found = seen(started(), jobs=(job(),), pods=(pod,))
    late = settings().waiting_grace_seconds
    assert plan_of(found, late).lookup == ReadPodEvents(pod.name)
    events = (
        PodEvent("Failed", 'Failed to pull image "x:1": 401 Unauthorized', warning=True),
        PodEvent("Failed", "Error: ImagePullBackOff", warning=True),
        PodEvent("BackOff", 'Back-off pulling image "x:1"'),
    )
    status = plan_of(replace(found, lookups=replace(CLAIMED, pod_events=events)), late).status
    assert status
    assert status.attempts[0].message == (
        "The worker's image x:1 could not be pulled (ImagePullBackOff): "
        'Back-off pulling image "x:1" (Failed to pull image "x:1": 401 Unauthorized)'
    )


@pytest.mark.parametrize(
    ("event", "reason_then", "words"),
    [
        (PodEvent("Pulling", 'Pulling image "x:1"'), "WorkerImage", "x:1 is still being pulled"),
        (PodEvent("FailedMount", "no such volume", warning=True), "WorkerConfig", "no such volume"),
    ],
)
def test_a_worker_that_did_not_start_in_time_is_told_with_what_its_node_said(
    event: PodEvent, reason_then: str, words: str
) -> None:
    raw = raw_pod(waiting={"reason": "ContainerCreating"})
    raw["spec"]["containers"] = [{"name": workload.CONTAINER, "image": "x:1"}]
    lookups = replace(CLAIMED, pod_events=(event,))
    found = seen(started(), jobs=(job(),), pods=(KubePod.of(raw),), lookups=lookups)
    status = plan_of(found, settings().start_deadline_seconds).status
    assert status
    [attempt] = status.attempts
    assert (attempt.reason, words in attempt.message) == (reason_then, True)


def starting(event: PodEvent | None = None, **pod: Any) -> Plan:
    """The plan of an attempt whose pod has been on its node for five seconds."""
    there = KubePod(name="p", uid="u", job_uid=job().uid, node="node-1", scheduled_at=NOW, **pod)
    lookups = replace(SERVABLE, pod_events=None if event is None else (event,))
    # Counted a moment ago, while it was first in the queue.
    decision = QueueDecision(position=1, eta_seconds=90)
    found = seen(started(), jobs=(job(),), pods=(there,), lookups=lookups, queue_decision=decision)
    return plan_of(found, 5)


def queue_of(plan: Plan) -> Queue:
    assert plan.status
    assert plan.status.queue
    return plan.status.queue


def test_an_image_that_is_pulled_is_said_to_be() -> None:
    assert starting(waiting_reason="ContainerCreating").lookup == ReadPodEvents("p")
    plan = starting(PodEvent("Pulling", 'Pulling image "worker:1"'))
    assert reason(plan, ConditionType.STARTED) == ("False", "PullingImage")
    assert reason(plan, ConditionType.ADMITTED) == ("True", "Admitted")
    queue = queue_of(plan)
    assert (queue.reason, queue.message) == ("PullingImage", 'Pulling image "worker:1"')
    assert queue.eta_seconds is None
    assert plan.status
    assert plan.status.phase == "Starting"


def test_an_image_that_cannot_be_pulled_is_said_in_the_kubelets_words() -> None:
    plan = starting(waiting_reason="ImagePullBackOff", waiting_message="Back-off pulling image")
    queue = queue_of(plan)
    assert (queue.reason, queue.message) == ("PullingImage", "Back-off pulling image")


def test_a_slow_start_gives_the_pods_last_warning() -> None:
    plan = starting(PodEvent("FailedMount", "MountVolume.SetUp failed", warning=True))
    queue = queue_of(plan)
    assert queue.reason == "Starting"
    assert queue.message == f"Job {NAME}-1 is starting on node-1 (MountVolume.SetUp failed)."
    assert queue.eta_seconds == 90


def test_who_starts_has_no_place_in_the_queue_any_more() -> None:
    assert queue_of(starting(PodEvent())).position is None


def test_quota_says_why() -> None:
    """Acceptance 42."""
    view = started()
    assert plan_of(seen(view, jobs=(job(),)), 5).lookup == ReadJobWarning(f"{NAME}-1")
    warning = "pods is forbidden: exceeded quota: gpus"
    answers = replace(SERVABLE, job_warning=warning)
    plan = plan_of(seen(view, jobs=(job(),), lookups=answers), 5)
    assert reason(plan, ConditionType.ADMITTED) == ("False", "QuotaExceeded")


def test_a_job_that_is_refused_waits_says_why_and_ends_at_the_queue_deadline() -> None:
    """Acceptance 42: a quota on Jobs, or a policy that does not admit them."""
    view = started(queueDeadlineSeconds=60)
    refused = "cannot create Job split-abc-1: 403 denied by the policy images"
    plan = plan_of(seen(view, job_creation_error=JobCreationError(refused)), 5)
    assert plan.after == ()
    assert plan.requeue_at == after(15)
    assert reason(plan, ConditionType.ADMITTED) == ("False", "JobRefused")
    view = written(view, plan)
    plan = plan_of(seen(view), 15)
    assert [type(action) for action in plan.after] == [CreateJob]
    plan = plan_of(seen(view, lookups=CLAIMED), 60)
    assert reason(plan, ConditionType.SUCCEEDED) == ("False", "NoCapacity")
    assert plan.status
    assert plan.status.failure
    assert plan.status.failure.message == f"No place was found within 60 s: {refused}"
    assert plan.status.attempts[0].finished_at


def test_a_job_that_meets_a_quota_says_so() -> None:
    """Acceptance 42."""
    refused = "cannot create Job split-abc-1: 403 jobs.batch is forbidden: exceeded quota: x"
    plan = plan_of(seen(started(), job_creation_error=JobCreationError(refused)), 5)
    assert reason(plan, ConditionType.ADMITTED) == ("False", "QuotaExceeded")


def test_run_deadline_stops_the_worker_then_fails() -> None:
    """Acceptance 45."""
    view = running(runDeadlineSeconds=30)
    around = {"jobs": (job(),), "pods": (running_pod(),)}
    plan = plan_of(seen(view, **around), 30)
    assert plan.after == (DeleteJob(f"{NAME}-1", job().uid, "Foreground"),)
    assert plan.status
    assert plan.status.phase == "Finishing"
    view = written(view, plan)
    assert plan_of(seen(view, jobs=(job(deleting=True),), pods=(running_pod(),)), 31).lookup is None
    gone = seen(view, lookups=SERVABLE)
    claim = plan_of(gone, 33).lookup
    assert isinstance(claim, ClaimTombstone)
    assert (claim.status, claim.code) == ("failed", ErrorCode.DEADLINE_EXCEEDED)
    plan = plan_of(seen(view, lookups=CLAIMED), 33)
    assert reason(plan, ConditionType.SUCCEEDED) == ("False", "DeadlineExceeded")


def test_cancel_is_final_only_when_the_pods_are_gone() -> None:
    view = canceled(running())
    around = {"jobs": (job(),), "pods": (running_pod(),)}
    plan = plan_of(seen(view, **around), 1)
    assert plan.after == (DeleteJob(f"{NAME}-1", job().uid, "Foreground"),)
    assert reason(plan, ConditionType.SUCCEEDED) == ("Unknown", "NotFinished")
    plan = plan_of(seen(written(view, plan), lookups=CLAIMED), 9)
    assert reason(plan, ConditionType.SUCCEEDED) == ("False", "Canceled")


def test_cancel_and_completion_at_once_is_what_the_manifest_says() -> None:
    """Acceptance 46a."""
    result = completed_report().result(request(), "stems", "v1/x")
    manifest = Manifest(
        job_id=NAME, job_uid=UID, version_id="v1", status="completed", result=result
    )
    claim = ManifestLookup(ManifestState.COMPLETED, manifest)
    view = canceled(running())
    plan = plan_of(seen(view, lookups=replace(SERVABLE, claim=claim)), 9)
    assert reason(plan, ConditionType.SUCCEEDED) == ("True", "Completed")


def test_a_pod_on_a_lost_node_is_deleted_by_force() -> None:
    """Acceptance 44."""
    view, lost = running(), {"node-1": after(10)}
    around: dict[str, Any] = {"jobs": (job(),), "pods": (running_pod(),), "lost_nodes": lost}
    assert plan_of(seen(view, **around), 60).after == ()
    plan = plan_of(seen(view, **around), 10 + settings().node_lost_seconds)
    assert DeletePod(running_pod().name, running_pod().uid, force=True) in plan.after
    assert plan.status
    assert plan.status.attempts[0].reason == "WorkerLost"


def test_a_job_of_a_former_splitjob_is_waited_for() -> None:
    other = KubeJob(f"{NAME}-1", "other", owner_kind=KIND, owner_uid="former")
    plan = plan_of(seen(started(), jobs=(other,)))
    assert plan.after == ()
    assert reason(plan, ConditionType.ADMITTED) == ("False", "NameTaken")


def test_a_name_that_stays_taken_keeps_no_job_from_its_end() -> None:
    """As of a former SplitJob whose pod is on a node that is away."""
    other = KubeJob(f"{NAME}-1", "other", owner_kind=KIND, owner_uid="former", deleting=True)
    around: dict[str, Any] = {"jobs": (other,), "lookups": CLAIMED}
    plan = plan_of(seen(canceled(started()), **around), 10)
    assert reason(plan, ConditionType.SUCCEEDED) == ("False", "Canceled")
    assert plan.after == (Deliver(),)
    late = plan_of(seen(started(), **around), settings().queue_deadline_seconds)
    assert reason(late, ConditionType.SUCCEEDED) == ("False", "NoCapacity")
    assert late.after == (Deliver(),)


def pod_of_missed_job(**changed: Any) -> KubePod:
    """A pod whose Job is gone, before anybody noted that Job's uid."""
    return replace(running_pod(), job_uid="missed", **changed)


def test_of_a_job_that_went_before_it_was_noted_no_second_one_runs_beside_its_pod() -> None:
    """Acceptance 46: deleted with and without its pod, within its first seconds."""
    view = started()
    assert view.status.attempts[0].job_uid is None
    orphan = pod_of_missed_job(orphaned=True)
    plan = plan_of(seen(view, pods=(orphan,)), 10)
    assert plan.after == (DeletePod(orphan.name, orphan.uid, force=False),)
    assert plan.status
    (attempt,) = plan.status.attempts
    assert (attempt.reason, attempt.job_deleted) == ("WorkerLost", True)

    going = pod_of_missed_job(deleting_since=after(40))
    assert plan_of(seen(view, pods=(going,)), 10).after == ()
    stopped = plan_of(seen(canceled(view), pods=(orphan,), lookups=CLAIMED), 10)
    assert stopped.after == (DeletePod(orphan.name, orphan.uid, force=False),)
    assert stopped.status
    assert stopped.status.finished_at is None


def test_pods_of_a_former_splitjob_hold_up_no_job() -> None:
    created: list[Any] = [
        {"created_at": after(-10)},
        {"attempt": 2},
        {"job_uid": ""},
    ]
    for former in created:
        pod = replace(pod_of_missed_job(), **former)
        plan = plan_of(seen(started(), pods=(pod,)), 10)
        assert [type(action) for action in plan.after] == [CreateJob]


def test_a_job_that_was_not_made_yet_is_not_while_its_splitjob_is_suspended() -> None:
    """Acceptance 42: its quota is used up, or the operator died before it."""
    refused = JobCreationError("exceeded quota: gpu")
    view = written(started(), plan_of(seen(started(), job_creation_error=refused), 5))
    view = replace(view, spec=splitjob(spec={"suspend": True}).spec)
    plan = plan_of(seen(view), 20)
    assert plan.after == ()
    assert reason(plan, ConditionType.ADMITTED) == ("False", "Suspended")
    view = written(view, plan)
    assert plan_of(seen(view), 10 * settings().queue_deadline_seconds).after == ()
    resumed = replace(view, spec=splitjob().spec)
    plan = plan_of(seen(resumed), 10 * settings().queue_deadline_seconds)
    assert [type(action) for action in plan.after] == [CreateJob], "its waiting begins anew"


def test_a_pod_that_vanished_after_it_ran_is_no_lack_of_capacity() -> None:
    """Its Job's controller has not said so yet; the queue deadline is long over."""
    view = running(queueDeadlineSeconds=60)
    lookups = replace(SERVABLE, job_warning="")
    plan = plan_of(seen(view, jobs=(job(),), lookups=lookups), 600)
    assert plan.status
    assert plan.status.attempts[0].reason == ""
    judged = job(failed_reason="BackoffLimitExceeded")
    plan = plan_of(seen(written(view, plan), jobs=(judged,), lookups=CLAIMED), 601)
    assert plan.status
    assert plan.status.attempts[0].reason == "WorkerLost"


def test_a_reason_that_only_a_newer_operator_knows_ends_the_job() -> None:
    """It began to stop the pod; then this one leads, as after an upgrade that was taken back."""
    view = running()
    (attempt,) = view.status.attempts
    attempt = attempt.model_copy(update={"reason": "WorkerThrottled", "message": "It was slow."})
    view = replace(view, status=view.status.model_copy(update={"attempts": [attempt]}))
    gone = replace(job(), deleting=True)
    plan = plan_of(seen(view, jobs=(gone,), lookups=CLAIMED), 60)
    assert plan.status
    assert plan.status.failure
    assert (plan.status.failure.code, plan.status.failure.message) == (
        "internal_error",
        "It was slow.",
    )


def test_a_strangers_job_is_a_clear_failure() -> None:
    plan = plan_of(seen(started(), jobs=(KubeJob(f"{NAME}-1", "x"),), lookups=CLAIMED))
    assert reason(plan, ConditionType.SUCCEEDED) == ("False", "WorkerConfig")
    assert plan.after == (Deliver(),), "a stranger's Job is never deleted"


def test_a_spec_that_cannot_be_understood_any_more_fails_before_its_job_is_made() -> None:
    view = replace(started(), spec=None, spec_error="request.model: no string")
    plan = plan_of(seen(view))
    assert reason(plan, ConditionType.SUCCEEDED) == ("False", "RequestInvalid")
