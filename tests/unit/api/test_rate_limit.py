"""How often a caller may ask, and what a caller who asks more often is told."""

import pytest
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from splitjob_api.caller import Caller, remember_caller
from splitjob_api.middleware.rate_limit import REMEMBERED, RateLimiter, RateLimitMiddleware

FIRST, SECOND = Caller("token", "token-1"), Caller("token", "token-2")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_is_let_through_and_then_the_rate() -> None:
    clock = Clock()
    limiter = RateLimiter(2, 3, clock)
    assert [limiter.take(FIRST) for _ in range(4)] == [0, 0, 0, pytest.approx(0.5)]
    clock.now += 0.25
    assert limiter.take(FIRST) == pytest.approx(0.25)
    clock.now += 0.25
    assert [limiter.take(FIRST) for _ in range(2)] == [0, pytest.approx(0.5)]


def test_no_more_than_the_rate_comes_through_in_the_long_run() -> None:
    clock = Clock()
    limiter = RateLimiter(5, 10, clock)
    let_through = 0
    for _ in range(1000):
        let_through += limiter.take(FIRST) == 0
        clock.now += 0.01
    assert let_through == pytest.approx(10 + 5 * 10, abs=1)


def test_callers_do_not_share_a_bucket() -> None:
    """Acceptance 18a."""
    limiter = RateLimiter(1, 1, Clock())
    assert limiter.take(FIRST) == 0
    assert limiter.take(SECOND) == 0
    assert limiter.take(Caller("kubernetes", "token-1")) == 0
    assert limiter.take(FIRST) > 0


def test_a_bounded_number_of_callers_is_remembered() -> None:
    limiter = RateLimiter(1, 1, Clock())
    for number in range(REMEMBERED + 10):
        limiter.take(Caller("kubernetes", f"user-{number}"))
    assert len(limiter) == REMEMBERED


@pytest.mark.parametrize(("caller", "status"), [(FIRST, 429), (None, 200)])
def test_who_is_no_caller_is_not_counted(caller: Caller | None, status: int) -> None:
    """Probes, and whatever else needs no signature."""

    async def ok(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    limited = RateLimitMiddleware(ok, RateLimiter(0.1, 1, Clock()))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if caller is not None:
            remember_caller(scope, caller)
        await limited(scope, receive, send)

    client = TestClient(app)
    assert client.get("/jobs").status_code == 200
    answer = client.get("/jobs")
    assert answer.status_code == status
    if status == 429:
        assert answer.json()["code"] == "rate_limited"
        assert answer.headers["Retry-After"] == "10"
