"""The totals as a ConfigMap holds them: read, added to, and told with what is not counted yet."""

import pytest

from splitjob.lifecycle import LifecycleState
from splitjob.totals import Totals, TotalsError


def test_what_is_not_there_counts_as_nothing() -> None:
    assert Totals.parse({}) == Totals()


def test_what_was_written_is_read() -> None:
    totals = Totals(1, 2, 3, ("a", "b"), {"demo/cpu": 2.5})
    assert Totals.parse(totals.data()) == totals


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("completed", "many"),
        ("failed", ""),
        ("canceled", "1.5"),
        ("batch", "not json"),
        ("batch", "5"),
    ],
)
def test_what_cannot_be_read_is_named(name: str, text: str) -> None:
    with pytest.raises(TotalsError, match=name):
        Totals.parse({name: text})


@pytest.mark.parametrize("text", ["", "not json", "[]", '{"demo/cpu": "soon"}', "null"])
def test_run_times_that_cannot_be_read_are_learnt_anew(text: str) -> None:
    """They are an estimate: no count is lost with them."""
    found = Totals.parse({"completed": "4", "run_seconds": text})
    assert (found.completed, dict(found.run_seconds)) == (4, {})


def test_no_finished_job_is_counted_twice() -> None:
    """The batch the operator counted last may not be marked as counted yet."""
    completed, failed = LifecycleState.COMPLETED, LifecycleState.FAILED
    uncounted = {"a": completed, "b": completed, "c": failed}
    counted = {"completed": "10", "failed": "2", "canceled": "1", "batch": '["a"]'}
    told = Totals.parse(counted).with_uncounted(uncounted)
    assert told == Totals(completed=11, failed=3, canceled=1)
    assert Totals.parse({}).with_uncounted(uncounted) == Totals(completed=2, failed=1, canceled=0)
