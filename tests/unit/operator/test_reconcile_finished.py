"""`reconcile`, one situation at a time: after the verdict."""

from dataclasses import replace

import pytest
from tests.support.operator_samples import (
    NAME,
    SERVABLE,
    after,
    completed_pod,
    job,
    running_pod,
    seen,
    splitjob,
    written,
)
from tests.support.reconcile_situations import (
    CLAIMED,
    UNREACHABLE,
    canceled,
    failed,
    plan_of,
    reason,
    running,
)

from splitjob.conditions import ConditionType
from splitjob.errors import ErrorCode
from splitjob.status import Erasure, Usage
from splitjob.webhook import DeliveryOutcome
from splitjob_operator.core import inputs, outbox
from splitjob_operator.core.finished import ERASE_RETRY_SECONDS, SHARED_SECRET_SECONDS
from splitjob_operator.core.lookups import (
    ClaimTombstone,
    DeleteInput,
    EraseData,
    ErasureLookup,
    InputDeletion,
    LookupResults,
)
from splitjob_operator.core.notify import DELIVERY_RETRY_SECONDS
from splitjob_operator.core.observed import DeliveryReport, SplitJob
from splitjob_operator.core.plan import (
    DeleteJob,
    DeleteSplitJob,
    Deliver,
)


def test_a_verdict_stays_whatever_comes_later() -> None:
    view = failed()
    late = replace(view, spec=splitjob(spec={"canceled": True}).spec)
    plan = plan_of(seen(late, jobs=(job(),), pods=(completed_pod(),)), 60)
    assert reason(plan, ConditionType.SUCCEEDED) == ("False", "SourceNotFound")
    assert DeleteJob(f"{NAME}-1", job().uid, "Background") in plan.after


def test_a_crash_before_the_delivery_costs_nothing() -> None:
    """Acceptance 51, 52."""
    assert Deliver() in plan_of(seen(failed()), 3600).after


def test_a_delivery_that_left_no_mark_is_begun_again() -> None:
    """Acceptance 53: the API server was away when the outbox was to be read."""
    plan = plan_of(seen(failed()), 3600)
    assert plan.requeue_at == after(3600 + DELIVERY_RETRY_SECONDS)


def test_ttl_counts_from_the_delivery_and_the_count() -> None:
    """Acceptance 58."""
    view = failed()
    assert view.status.webhook
    far = plan_of(seen(view), 10**8)
    assert DeleteSplitJob() not in far.after, "its event is not delivered yet"
    view.status.webhook.state, view.status.webhook.next_attempt_at = "Delivered", None
    view.status.webhook.delivered_at = after(100)
    assert DeleteSplitJob() not in plan_of(seen(view), 10**8).after, "it is not counted yet"
    view.status.counted = True
    ttl = {"ttl_seconds_after_finished": 60}
    assert plan_of(seen(view), 159, **ttl).requeue_at == after(160)
    assert DeleteSplitJob() in plan_of(seen(view), 160, **ttl).after


def test_a_job_whose_retry_needs_its_secret_is_kept_beyond_its_time() -> None:
    """The Secret goes with its last owner, and the retry may not be one yet."""
    view = failed()
    assert view.status.webhook
    view.status.webhook.state, view.status.webhook.next_attempt_at = "GivenUp", None
    view.status.webhook.given_up_at, view.status.counted = after(9), True
    shared = replace(seen(view), secret_shared=True)
    plan = plan_of(shared, 10**8)
    assert DeleteSplitJob() not in plan.after
    assert plan.requeue_at == after(10**8 + SHARED_SECRET_SECONDS)
    assert DeleteSplitJob() in plan_of(seen(view), 10**8).after


def test_redelivery_by_hand_begins_a_new_schedule_with_the_same_id() -> None:
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


def to_erase(view: SplitJob, **request: object) -> SplitJob:
    return replace(view, spec=splitjob(spec={"erase": True}, **request).spec)


STORED = ["drums.wav", "manifest.json"]


def erased(files: list[str] | None, message: str = "") -> LookupResults:
    return LookupResults(erasure=ErasureLookup(files, message))


def test_data_are_erased_once_and_the_status_says_when_and_what() -> None:
    view = to_erase(failed())
    assert plan_of(seen(view), 60).lookup == EraseData()
    plan = plan_of(seen(view, lookups=erased(STORED)), 60)
    assert plan.status
    assert plan.status.erased == Erasure(at=after(60), objects=2, files=STORED)
    assert Deliver() in plan.after, "its event goes out all the same"
    again = plan_of(seen(written(view, plan)), 61)
    assert again.lookup is None
    assert again.status
    assert again.status.erased == plan.status.erased


def test_of_more_files_than_a_status_takes_all_are_counted_and_the_first_are_named() -> None:
    names = [f"{number:03}" + "a" * 300 for number in range(1000)]
    plan = plan_of(seen(to_erase(failed()), lookups=erased(names)), 60)
    assert plan.status
    assert plan.status.erased
    assert plan.status.erased.objects == 1000
    assert plan.status.erased.files == [name[:255] for name in names[:64]]


def test_data_that_could_not_be_erased_are_tried_again_and_the_job_is_kept() -> None:
    view = to_erase(failed())
    assert view.status.webhook
    view.status.webhook.state, view.status.webhook.next_attempt_at = "GivenUp", None
    view.status.webhook.given_up_at, view.status.counted = after(9), True
    plan = plan_of(seen(view, lookups=erased(None, "cannot list s3://stems/x")), 10**8)
    assert plan.status
    assert plan.status.erased == Erasure(last_error="cannot list s3://stems/x")
    assert plan.requeue_at == after(10**8 + ERASE_RETRY_SECONDS)
    assert DeleteSplitJob() not in plan.after
    done = plan_of(seen(written(view, plan), lookups=erased(STORED)), 10**8)
    assert done.status
    assert done.status.erased
    assert done.status.erased.last_error == ""
    assert DeleteSplitJob() in done.after


def test_data_of_a_job_that_has_not_ended_are_not_erased() -> None:
    view = replace(running(), spec=splitjob(spec={"erase": True}).spec)
    plan = plan_of(seen(view, jobs=(job(),), pods=(running_pod(),)), 60)
    assert plan.lookup is None
    assert plan.status
    assert plan.status.erased is None


def test_stems_that_went_elsewhere_are_not_ours_to_erase() -> None:
    uploads = {"manifest": {"url": "https://put.example.com/m"}}
    plan = plan_of(seen(to_erase(failed(), uploads=uploads)), 60)
    assert plan.lookup is None
    assert plan.status
    assert plan.status.erased
    assert "uploads" in plan.status.erased.last_error


INPUT_KEY = f"_inputs/{'0' * 32}/song.wav"
SENT: dict[str, object] = {"source": {"url": f"s3://stems/{INPUT_KEY}"}}
GONE = LookupResults(input=InputDeletion(done=True))


def of_sent_file(view: SplitJob, **spec: object) -> SplitJob:
    """A job that has read a file from POST /uploads."""
    return replace(view, spec=splitjob(spec=spec, **SENT).spec)


def told(view: SplitJob) -> SplitJob:
    """The same once its receiver has its final event."""
    hook = view.status.webhook
    assert hook
    done = outbox.after_attempt(hook, DeliveryOutcome(delivered=True), after(50), 0)
    return replace(view, status=view.status.model_copy(update={"webhook": done}))


def test_the_file_that_a_job_read_is_deleted_once_however_it_ended() -> None:
    """Acceptance 28c."""
    view = told(of_sent_file(failed()))
    assert plan_of(seen(view), 60).lookup == DeleteInput(INPUT_KEY)
    plan = plan_of(seen(view, lookups=GONE), 60)
    assert plan.status
    assert plan.status.input_deleted_at == after(60)
    again = plan_of(seen(written(view, plan)), 61)
    assert again.lookup is None
    assert again.status
    assert again.status.input_deleted_at == after(60)


def test_a_bucket_that_hangs_holds_up_no_event() -> None:
    """The file is looked at once the event was sent, and what came of that was noted."""
    view = of_sent_file(failed())
    first = plan_of(seen(view), 60)
    assert first.lookup is None
    assert Deliver() in first.after
    assert view.status.webhook
    report = DeliveryReport(view.uid, 0, 0, DeliveryOutcome(delivered=False, status=500), 0)
    noted = plan_of(replace(seen(view), delivery=report), 61)
    assert noted.lookup is None
    assert noted.status
    assert noted.status.webhook
    assert noted.status.webhook.attempts == 1
    assert noted.requeue_at == after(61), "the file is next"
    assert plan_of(seen(written(view, noted)), 61).lookup == DeleteInput(INPUT_KEY)
    anew = replace(told(view), spec=splitjob(spec={"redeliveries": 1}, **SENT).spec)
    assert Deliver() in plan_of(seen(anew), 62).after


def test_a_job_that_is_not_to_be_kept_takes_its_file_along() -> None:
    view = of_sent_file(failed(), ttlSecondsAfterFinished=0)
    view = replace(view, status=view.status.model_copy(update={"counted": True}))
    report = DeliveryReport(view.uid, 0, 0, DeliveryOutcome(delivered=True, status=200), 0)
    noted = plan_of(replace(seen(view), delivery=report), 60)
    assert DeleteSplitJob() not in noted.after
    now = written(view, noted)
    assert plan_of(seen(now), 60).lookup == DeleteInput(INPUT_KEY)
    assert DeleteSplitJob() in plan_of(seen(now, lookups=GONE), 60).after


def test_a_file_that_another_job_reads_stays_until_that_has_ended() -> None:
    view = told(of_sent_file(failed()))
    shared = plan_of(replace(seen(view), input_shared=True), 10**8)
    assert shared.lookup is None
    assert shared.status
    assert shared.status.input_deleted_at is None
    assert shared.requeue_at
    assert shared.requeue_at <= after(10**8 + inputs.RETRY_SECONDS)
    assert plan_of(seen(view), 10**8).lookup == DeleteInput(INPUT_KEY)


@pytest.mark.parametrize(
    ("seconds", "again"), [(30, 60), (600, 600), (10**6, inputs.LAST_RETRY_SECONDS)]
)
def test_a_file_that_could_not_be_deleted_is_tried_again_ever_more_seldom(
    seconds: int, again: int
) -> None:
    away = LookupResults(input=InputDeletion(done=False, message="no answer"))
    view = told(of_sent_file(failed()))
    assert view.status.finished_at
    now = round((view.status.finished_at - after(0)).total_seconds()) + seconds
    plan = plan_of(seen(view, lookups=away), now)
    assert plan.status
    assert plan.status.input_deleted_at is None
    assert plan.requeue_at == after(now + again)


def test_a_file_is_not_deleted_while_its_job_has_not_ended() -> None:
    view = replace(running(), spec=splitjob(**SENT).spec)
    plan = plan_of(seen(view, jobs=(job(),), pods=(running_pod(),)), 60)
    assert plan.lookup is None


def test_no_other_object_is_deleted_for_an_input() -> None:
    """A SplitJob written by hand may name anything; it failed, and nothing goes with it."""
    for key in ("v1/another-job/drums.wav", f"_inputs/{'0' * 32}/", "_inputs/x/song.wav"):
        view = failed()
        other = splitjob(source={"url": f"s3://stems/{key}"}).spec
        assert plan_of(seen(replace(view, spec=other)), 60).lookup is None


def test_erasing_takes_the_file_along_and_waits_for_the_job_that_needs_it() -> None:
    view = of_sent_file(failed(), erase=True)
    assert plan_of(seen(view), 60).lookup == EraseData(INPUT_KEY)
    needed = replace(seen(view), input_shared=True)
    assert plan_of(needed, 60).lookup == EraseData(INPUT_KEY, keep_input=True)
    kept = plan_of(replace(needed, lookups=erased(STORED)), 60)
    assert kept.status
    assert kept.status.erased == Erasure(last_error=inputs.IN_USE)
    assert kept.status.input_deleted_at is None
    both = LookupResults(erasure=ErasureLookup(STORED), input=InputDeletion(done=True))
    done = plan_of(seen(written(view, kept), lookups=both), 120)
    assert done.status
    assert done.status.erased == Erasure(at=after(120), objects=2, files=STORED)
    assert done.status.input_deleted_at == after(120)


def test_erasing_waits_for_a_job_that_was_found_to_need_the_file_only_then() -> None:
    view = of_sent_file(failed(), erase=True)
    stays = InputDeletion(done=False, message=inputs.IN_USE)
    found = LookupResults(erasure=ErasureLookup(STORED), input=stays)
    plan = plan_of(seen(view, lookups=found), 60)
    assert plan.status
    assert plan.status.erased == Erasure(last_error=inputs.IN_USE)
    assert plan.status.input_deleted_at is None
    assert plan.requeue_at


def without_outbox(view: SplitJob, **changed: object) -> SplitJob:
    """As an older CustomResourceDefinition leaves it: what it does not know is dropped."""
    return replace(view, status=view.status.model_copy(update={"webhook": None, **changed}))


def test_an_outbox_that_was_dropped_is_put_back_under_its_id() -> None:
    before = failed().status.webhook
    plan = plan_of(seen(without_outbox(failed())), 60)
    assert before
    assert plan.status
    assert plan.status.webhook
    assert plan.status.webhook.event_id == before.event_id
    assert plan.status.webhook.event == "failed"
    assert Deliver() in plan.after


def test_an_event_that_was_delivered_is_not_sent_again_for_a_dropped_outbox() -> None:
    told = [
        one.model_copy(update={"status": "True", "reason": "Delivered"})
        if one.type == ConditionType.NOTIFIED
        else one
        for one in failed().status.conditions
    ]
    plan = plan_of(seen(without_outbox(failed(), conditions=told)), 60)
    assert plan.status
    assert plan.status.webhook
    assert plan.status.webhook.state == "Delivered"
    assert Deliver() not in plan.after


def test_an_outbox_without_a_time_is_due() -> None:
    view = failed()
    assert view.status.webhook
    hook = view.status.webhook.model_copy(update={"next_attempt_at": None})
    late = replace(view, status=view.status.model_copy(update={"webhook": hook}))
    assert Deliver() in plan_of(seen(late), 60).after


def ended_without_bucket() -> SplitJob:
    """A job that was canceled while it waited and the bucket was away."""
    away = replace(SERVABLE, claim=UNREACHABLE)
    view = canceled(splitjob())
    return written(view, plan_of(seen(view, lookups=away), 5))


def test_a_tombstone_is_written_later_where_the_bucket_was_away() -> None:
    """Acceptance 72: else a restore without status would run a job that was canceled."""
    view = ended_without_bucket()
    assert view.status.tombstone_due
    assert plan_of(seen(view), 5).lookup is None, "its event goes first"
    view = delivered(view)
    usage = Usage(attempts=0, gpu_seconds="0")
    due = ClaimTombstone("canceled", ErrorCode.CANCELED, "The job was canceled.", usage)
    assert plan_of(seen(view), 65).lookup == due
    later = plan_of(seen(view, lookups=replace(SERVABLE, claim=UNREACHABLE)), 65)
    assert later.status
    assert (later.status.tombstone_due, later.requeue_at) == (True, after(125))
    done = plan_of(seen(view, lookups=CLAIMED), 65).status
    assert done
    assert done.tombstone_due is None
    assert done.finished_at == view.status.finished_at


def test_a_tombstone_is_written_later_for_a_code_of_a_newer_operator_too() -> None:
    view = delivered(ended_without_bucket())
    assert view.status.failure
    newer = view.status.failure.model_copy(update={"code": "worker_throttled"})
    view = replace(view, status=view.status.model_copy(update={"failure": newer}))
    due = plan_of(seen(view), 65).lookup
    assert isinstance(due, ClaimTombstone)
    assert (due.status, due.code) == ("failed", ErrorCode.INTERNAL_ERROR)


def delivered(view: SplitJob) -> SplitJob:
    """The job once its event was delivered."""
    assert view.status.webhook
    told = {"state": "Delivered", "next_attempt_at": None, "delivered_at": after(6)}
    hook = view.status.webhook.model_copy(update=told)
    return replace(view, status=view.status.model_copy(update={"webhook": hook}))
