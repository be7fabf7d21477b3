"""What either client sends again, how often, and what not."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.support.client_caller import QUICK, SONG, Caller
from tests.support.fake_service import (
    JOB_ID,
    FakeService,
    gives,
    hangs_up,
    problem,
)

from splitjob_client import (
    BusyError,
    InvalidRequestError,
    UnavailableError,
)


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_what_may_pass_is_tried_again(caller: Caller, service: FakeService, status: int) -> None:
    passing = problem(status, "busy", retry_after=0)
    service.on("POST /split", passing, hangs_up, gives({"jobId": JOB_ID}, 202))
    assert caller.ask(service.url, "submit", **SONG).job_id == JOB_ID
    assert len(service.heard) == 3
    assert len({body for _, _, body in service.heard}) == 1


def test_it_is_tried_so_often_and_no_more(caller: Caller, service: FakeService) -> None:
    service.on("GET /models", problem(503, "not_ready", retry_after=0))
    with pytest.raises(UnavailableError):
        caller.ask(service.url, "models")
    assert len(service.heard) == QUICK.attempts


def test_a_wait_that_is_too_long_is_told_instead(caller: Caller, service: FakeService) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    date = f"{later:%a, %d %b %Y %H:%M:%S GMT}"
    service.on("GET /models", problem(429, "queue_full", retry_after=date))
    with pytest.raises(BusyError) as raised:
        caller.ask(service.url, "models")
    assert raised.value.retry_after_seconds == pytest.approx(3600, abs=30)
    assert len(service.heard) == 1


def test_an_error_that_stays_is_not_tried_again(caller: Caller, service: FakeService) -> None:
    service.on("GET /models", problem(422, "request_invalid"))
    with pytest.raises(InvalidRequestError):
        caller.ask(service.url, "models")
    assert len(service.heard) == 1
