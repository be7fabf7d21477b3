"""The events of Kubernetes that a change of status gives."""

from tests.support.operator_samples import (
    NOW,
    UID,
    seen,
    settings,
    splitjob,
    stamp,
)

from splitjob.status import SplitJobStatus
from splitjob_operator.core.events import event_manifest, events_between
from splitjob_operator.core.reconcile import reconcile


class TestEvents:
    def test_what_happened_is_told_once(self) -> None:
        view = splitjob()
        plan = reconcile(seen(view), settings(), NOW)
        assert plan.status
        told = events_between(view.status, plan.status)
        assert [item.reason for item in told] == ["AttemptStarted"]
        assert events_between(plan.status, plan.status) == []

    def test_that_the_whole_installation_is_paused_is_told_of_no_single_job(self) -> None:
        view = splitjob()
        plan = reconcile(seen(view), settings(paused=True), NOW)
        assert plan.status
        assert events_between(view.status, plan.status) == []

    def test_an_event_names_the_splitjob_it_is_about(self) -> None:
        plan = reconcile(seen(splitjob()), settings(), NOW)
        assert plan.status
        event = event_manifest(splitjob(), events_between(SplitJobStatus(), plan.status)[0], NOW)
        assert event["involvedObject"]["uid"] == UID
        assert event["firstTimestamp"] == stamp(NOW)
