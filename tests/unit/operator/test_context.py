"""What a call of `reconcile` works on."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.support.operator_samples import (
    SERVABLE,
    completed_pod,
    failed_pod,
    job,
    running_pod,
    seen,
    splitjob,
)
from tests.support.reconcile_situations import (
    CLAIMED,
    canceled,
    failed,
    plan_of,
    running,
    started,
)

from splitjob.webhook import DeliveryOutcome
from splitjob_operator.core.observed import DeliveryReport, Observed
from splitjob_operator.core.status_json import dump_status


def redelivered() -> Observed:
    view = failed()
    hook = view.status.webhook
    assert hook
    told = DeliveryOutcome(delivered=True, status=200)
    report = DeliveryReport(view.uid, hook.attempts, hook.redeliveries, told, jitter=0)
    return seen(replace(view, spec=splitjob(spec={"redeliveries": 1}).spec), delivery=report)


SITUATIONS: dict[str, Callable[[], Observed]] = {
    "new": lambda: seen(splitjob(), lookups=SERVABLE),
    "started": lambda: seen(started(), jobs=(job(),), pods=(running_pod(),)),
    "completed": lambda: seen(running(), jobs=(job(),), pods=(completed_pod(),)),
    "tried again": lambda: seen(
        running(), jobs=(job(),), pods=(failed_pod("source_timeout", retryable=True),)
    ),
    "failed": lambda: seen(
        running(), jobs=(job(),), pods=(failed_pod("source_not_found"),), lookups=CLAIMED
    ),
    "canceled": lambda: seen(canceled(running()), jobs=(job(),), pods=(running_pod(),)),
    "delivered, and to be sent again": redelivered,
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_what_was_observed_stays_as_it_was(situation: str) -> None:
    """What has changed is told, and what stands in the way of a write, by comparing with it."""
    observed = SITUATIONS[situation]()
    before = dump_status(observed.splitjob.status)
    plan = plan_of(observed, 5)
    assert plan.status is not None
    assert dump_status(plan.status) != before
    assert dump_status(observed.splitjob.status) == before
