"""What a job took: Jobs, and the seconds for which their containers held resources."""

from datetime import UTC, datetime, timedelta

import pytest

from splitjob.status import Attempt, SplitJobStatus, Usage
from splitjob.usage import earlier_seconds, usage_of, usage_of_attempts, usage_when_completed

BEGIN = datetime(2026, 11, 30, 3, 0, tzinfo=UTC)


def attempt(
    number: int = 1,
    started: float | None = None,
    ended: float | None = None,
    finished: float | None = None,
) -> Attempt:
    """An attempt by its times, in seconds from `BEGIN`; None: it has no such time."""

    def at(seconds: float | None) -> datetime | None:
        return None if seconds is None else BEGIN + timedelta(seconds=seconds)

    return Attempt(
        number=number,
        job_name=f"x-{number}",
        started_at=at(started),
        ended_at=at(ended),
        finished_at=at(finished),
    )


@pytest.mark.parametrize(
    ("one", "seconds"),
    [
        (attempt(started=10, ended=70, finished=400), "60"),  # it waited for the bucket then
        (attempt(started=10, finished=75), "65"),  # of a version that knew no other end
        (attempt(started=10), "0"),  # under way
        (attempt(ended=70, finished=75), "0"),  # never started, or nobody saw it start
        (attempt(finished=75), "0"),
        (attempt(started=10, ended=9), "0"),  # by two clocks
    ],
)
def test_an_attempt_counts_from_its_containers_start_to_its_end(one: Attempt, seconds: str) -> None:
    assert usage_of_attempts([one]) == Usage(attempts=1, gpu_seconds=seconds)


def test_a_job_that_never_started_took_nothing() -> None:
    assert usage_of(SplitJobStatus()) == Usage(attempts=0, gpu_seconds="0")


def test_all_attempts_count() -> None:
    made = [attempt(1, 0, 60), attempt(2), attempt(3, 100, 130.5)]
    assert usage_of_attempts(made) == Usage(attempts=3, gpu_seconds="90.5")


def test_only_what_came_before_an_attempt_is_earlier() -> None:
    made = [attempt(1, 0, 60), attempt(2, 100, 107), attempt(3, 200, 230)]
    assert [earlier_seconds(made, number) for number in (1, 2, 3, 4)] == [0, 60, 67, 97]


def test_a_completed_job_took_its_workers_time_and_that_of_earlier_attempts() -> None:
    assert usage_when_completed(2, 60, 45_123) == Usage(attempts=2, gpu_seconds="105.123")


def test_what_is_on_record_stands() -> None:
    on_record = Usage(attempts=2, gpu_seconds="105.123")
    status = SplitJobStatus(usage=on_record, attempts=[attempt(1, 0, 60)])
    assert usage_of(status) == on_record
