"""Whether, when and with how much memory a job is tried again, by the rules of the codes."""

from datetime import timedelta

import pytest
from tests.support.operator_samples import NOW, settings

from splitjob.errors import ErrorCode, reason_of, retry_rule
from splitjob.status import Attempt, Progress
from splitjob_operator.core.attempt_retry import (
    final_message,
    may_retry,
    memory_of_next_attempt,
    retry_at,
)


def failed(*codes: ErrorCode, retryable: bool = True) -> list[Attempt]:
    """Attempts that ended with these codes, one after the other."""
    return [
        Attempt(
            number=number,
            job_name=f"x-{number}",
            reason=reason_of(code),
            retryable=retryable,
            finished_at=NOW,
        )
        for number, code in enumerate(codes, start=1)
    ]


@pytest.mark.parametrize("code", list(ErrorCode))
def test_each_code_is_tried_again_as_often_as_its_rule_says(code: ErrorCode) -> None:
    bound = retry_rule(code).attempts
    assert bound == 0 or may_retry(failed(*[code] * bound))
    assert not may_retry(failed(*[code] * (bound + 1)))


def test_retries_of_other_codes_do_not_count() -> None:
    evictions = [ErrorCode.WORKER_DISRUPTED] * 5
    assert may_retry(failed(*evictions, ErrorCode.WORKER_LOST))
    oom = ErrorCode.WORKER_OOM
    assert not may_retry(failed(oom, *evictions, oom))


def test_a_job_deleted_by_hand_twice_ends_and_lost_workers_do_not_count_for_it() -> None:
    attempts = failed(*[ErrorCode.WORKER_LOST] * 5)
    attempts[-1].job_deleted = True
    assert may_retry(attempts)
    attempts[0].job_deleted = True
    assert not may_retry(attempts)


def died(*places: tuple[str, int] | None) -> list[Attempt]:
    """Attempts whose workers died without a word, where they were heard of last."""
    attempts = failed(*[ErrorCode.WORKER_LOST] * len(places))
    for attempt, place in zip(attempts, places, strict=True):
        attempt.message = "The worker was killed."
        attempt.progress = place and Progress(stage=place[0], percent=place[1])
    return attempts


def test_a_worker_killed_from_outside_five_times_is_tried_each_time() -> None:
    """Acceptance 80."""
    places = [("separate", 20), ("separate", 26), ("encode", 80), None, None]
    assert [may_retry(died(*places[:count])) for count in range(1, 6)] == [True] * 5
    assert not may_retry(died(*places, ("separate", 90)))


def test_a_song_that_kills_its_worker_twice_in_the_same_place_ends_and_says_so() -> None:
    """Acceptance 80."""
    attempts = died(("separate", 40), ("separate", 12), ("separate", 45))
    assert not may_retry(attempts)
    assert final_message(attempts) == (
        "The worker died twice in the same place (separate, 40 % and 45 %), so that the song is "
        "not tried again. The worker was killed."
    )
    attempts[0].job_deleted = True
    assert may_retry(attempts), "whoever deletes a Job does not do so because of the song"
    assert final_message(attempts) == "The worker was killed."


def test_workers_that_died_before_they_had_the_song_did_not_die_of_it() -> None:
    assert may_retry(died(("fetch", 0), ("fetch", 0)))


def test_what_its_worker_called_hopeless_is_not_tried_again() -> None:
    assert not may_retry(failed(ErrorCode.UPLOAD_FAILED, retryable=False))


def test_a_failure_that_was_not_the_jobs_own_need_not_wait() -> None:
    for code in (ErrorCode.WORKER_DISRUPTED, ErrorCode.WORKER_LOST):
        assert retry_at(failed(code), settings()) is None
    assert retry_at([], settings()) is None


def test_each_further_attempt_waits_twice_as_long_up_to_ten_minutes() -> None:
    options = settings(retry_delay_seconds=10)
    waits = [
        retry_at(failed(*[ErrorCode.SOURCE_TIMEOUT] * count), options) for count in (1, 2, 3, 9)
    ]
    assert waits == [NOW + timedelta(seconds=seconds) for seconds in (10, 20, 40, 600)]


def test_once_it_ran_out_of_memory_all_later_attempts_get_more() -> None:
    resources = settings(worker_memory="1Gi", worker_memory_retry="2Gi").resources_of("htdemucs")
    assert memory_of_next_attempt([], resources) is None
    assert memory_of_next_attempt(failed(ErrorCode.SOURCE_TIMEOUT), resources) is None
    assert memory_of_next_attempt(failed(ErrorCode.WORKER_OOM), resources) == 2 * 2**30
    later = failed(ErrorCode.WORKER_OOM, ErrorCode.WORKER_LOST)
    assert memory_of_next_attempt(later, resources) == 2 * 2**30


@pytest.mark.parametrize(
    ("given", "gibibytes"),
    [
        ({"memory": "9Gi"}, 18),
        ({"memory": "9Gi", "memoryRetry": "10Gi"}, 10),
        ({"memoryRetry": "7Gi"}, 7),
        ({"cpu": "1"}, 12),
    ],
)
def test_a_model_that_ran_out_of_memory_gets_more_than_its_own(
    given: dict[str, str], gibibytes: int
) -> None:
    resources = settings(model_resources={"htdemucs": given}).resources_of("htdemucs")
    more = memory_of_next_attempt(failed(ErrorCode.WORKER_OOM), resources)
    assert more == gibibytes * 2**30


def test_an_attempt_whose_reason_is_no_code_of_ours_is_not_tried_again() -> None:
    attempts = failed(ErrorCode.WORKER_LOST)
    attempts[0].reason = "Invented"
    assert not may_retry(attempts)
