"""How often one caller may ask, in one process: what comes faster is told to wait."""

import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from splitjob_api.caller import Caller, caller_of
from splitjob_api.problems import retry_later

REMEMBERED = 4096  # callers; one that is forgotten begins anew


class RateLimiter:
    """A token bucket for each caller; for use on the event loop alone.

    What is kept of a bucket is when it will be full again (the generic cell rate algorithm).
    Source: https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm

    Args:
        per_second: how many requests a second come back into a bucket.
        burst: how many there are in a full one.
        clock: of any beginning, in seconds.
    """

    def __init__(
        self, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._interval = 1 / per_second
        self._tolerance = (burst - 1) / per_second
        self._clock = clock
        self._full_at: OrderedDict[Caller, float] = OrderedDict()

    def __len__(self) -> int:
        """Return how many callers are remembered."""
        return len(self._full_at)

    def take(self, caller: Caller) -> float:
        """Take a request out of a caller's bucket.

        Returns:
            0; or, where there is none left, the seconds until there is one: then nothing is taken.
        """
        now = self._clock()
        full_at = max(now, self._full_at.get(caller, now))
        wait = full_at - now - self._tolerance
        if wait > 0:
            return wait
        self._full_at[caller] = full_at + self._interval
        self._full_at.move_to_end(caller)
        if len(self._full_at) > REMEMBERED:
            self._full_at.popitem(last=False)
        return 0.0


class RateLimitMiddleware:
    """Answers 429 to callers who ask too often; whoever is not known as a caller is let through.

    Args:
        app: what is behind it.
        limiter: counts.
    """

    def __init__(self, app: ASGIApp, limiter: RateLimiter) -> None:
        self._app = app
        self._limiter = limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        caller = caller_of(scope) if scope["type"] == "http" else None
        wait = 0.0 if caller is None else self._limiter.take(caller)
        if wait:
            refusal = retry_later(429, "rate_limited", f"{caller} asks too often", seconds=wait)
            await refusal.response()(scope, receive, send)
            return
        await self._app(scope, receive, send)
