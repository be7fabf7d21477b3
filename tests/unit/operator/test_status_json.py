"""The status as JSON, and back."""

from tests.support.operator_samples import (
    NOW,
    raw_splitjob,
    seen,
    settings,
    splitjob,
)

from splitjob_operator.core.observed import SplitJob
from splitjob_operator.core.reconcile import reconcile
from splitjob_operator.core.status_json import dump_status


def test_a_status_is_read_back_as_it_was_written() -> None:
    plan = reconcile(seen(splitjob()), settings(), NOW)
    assert plan.status
    again = SplitJob.of(raw_splitjob(status=dump_status(plan.status)))
    assert dump_status(again.status) == dump_status(plan.status)
    assert "null" not in str(dump_status(plan.status))
