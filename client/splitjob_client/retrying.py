"""When a call is made again: pure, so that both clients wait alike.

Every call of the service may be made twice. A song submitted twice is one job, a cancel or an
erasure is done once, and a webhook sent again keeps its id.
"""

import random
from dataclasses import dataclass

import httpx

from splitjob_client.errors import UnreachableError, retry_after_seconds

AGAIN = frozenset({408, 429, 502, 503, 504})
_LONGEST_PAUSE = 8.0


@dataclass(frozen=True)
class RetryPolicy:
    """How patient a client is.

    Attributes:
        attempts: of one call, the first one included; 1: no retries.
        first_pause_seconds: before the second attempt where the service does not say; then twice as
            long each time, up to 8 s.
        longest_wait_seconds: what `Retry-After` may ask for; more than that is an error at once.
    """

    attempts: int = 5
    first_pause_seconds: float = 0.5
    longest_wait_seconds: float = 60.0


class Retries:
    """The attempts at one call.

    Args:
        policy: how many, and how long to wait.
        whom: is called, for messages.
    """

    def __init__(self, policy: RetryPolicy, whom: str = "the service") -> None:
        self._policy = policy
        self._whom = whom
        self._made = 0

    def succeeded(self) -> None:
        """Begin to count anew: it is a stream, and it was opened."""
        self._made = 0

    def after_failure(self, error: httpx.TransportError) -> float:
        """Return for how long to wait, in seconds, where there was no answer.

        Raises:
            UnreachableError: it was tried often enough.
        """
        self._made += 1
        if self._made >= self._policy.attempts:
            raise UnreachableError(f"{self._whom} {_reason(error)}") from None
        return self._pause()

    def after_answer(self, response: httpx.Response) -> float | None:
        """Return for how long to wait, in seconds; None where this answer is to be used."""
        self._made += 1
        if response.status_code not in AGAIN or self._made >= self._policy.attempts:
            return None
        asked = retry_after_seconds(response)
        if asked is None:
            return self._pause()
        return asked if asked <= self._policy.longest_wait_seconds else None

    def _pause(self) -> float:
        """Twice as long each time; by chance shorter, so that callers do not come in step."""
        pause: float = self._policy.first_pause_seconds * 2 ** (self._made - 1)
        pause = min(_LONGEST_PAUSE, pause)
        return pause * random.uniform(0.5, 1)  # noqa: S311 - no secret


def _reason(error: httpx.TransportError) -> str:
    """Return why there was no answer; what httpx says names no URL, and may be empty."""
    if isinstance(error, httpx.TimeoutException):
        return "did not answer in time"
    said = str(error) or type(error).__name__
    return f"cannot be reached: {said}"
