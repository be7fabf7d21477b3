"""The status as JSON, and back."""

from tests.support.operator_samples import (
    NOW,
    raw_splitjob,
    seen,
    settings,
    splitjob,
)

from splitjob.status import Attempt
from splitjob_operator.core.observed import SplitJob
from splitjob_operator.core.reconcile import reconcile
from splitjob_operator.core.status_json import dump_status, keep_unknown


def test_a_status_is_read_back_as_it_was_written() -> None:
    plan = reconcile(seen(splitjob()), settings(), NOW)
    assert plan.status
    again = SplitJob.of(raw_splitjob(status=dump_status(plan.status)))
    assert dump_status(again.status) == dump_status(plan.status)
    assert "null" not in str(dump_status(plan.status))


def test_what_a_newer_version_has_added_stays_and_what_is_known_does_not() -> None:
    first = {"number": 1, "jobName": "a-1", "podName": "a-1-x", "shard": 3}
    before = {"attempts": [first], "jobName": "a-1", "zone": {"name": "b"}}
    status = SplitJob.of(raw_splitjob(status=before)).status
    status.attempts[0].pod_name = status.job_name = None
    status.attempts.append(Attempt(number=2, job_name="a-2"))
    written = keep_unknown(dump_status(status), before)
    assert written["zone"] == {"name": "b"}
    assert "jobName" not in written
    assert [one.get("shard") for one in written["attempts"]] == [3, None]
    assert "podName" not in written["attempts"][0]
