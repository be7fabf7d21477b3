"""Whether, when and with how much memory a job is tried again: the rules of the codes, applied.

The rules themselves are with the codes, in `splitjob.errors.RETRY_RULES`.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from splitjob.errors import REASONS, RetryRule, retry_rule
from splitjob.quantity import bytes_of
from splitjob.resource import Attempt
from splitjob_operator.core.settings import Settings

__all__ = ["may_retry", "memory_of_next_attempt", "retry_at", "retry_message"]

NEVER = RetryRule(0)
MAX_DELAY_SECONDS = 600


def may_retry(attempts: Sequence[Attempt]) -> bool:
    """Return whether the last attempt, which has failed, may be followed by another one.

    Each code has a bound of its own: five evictions leave the retry after a lost node untouched.

    Args:
        attempts: all so far, the last one with its reason.
    """
    last = attempts[-1]
    same = sum(1 for past in attempts if past.reason == last.reason)
    return last.retryable and same <= _rule_of(last).attempts


def retry_at(attempts: Sequence[Attempt], settings: Settings) -> datetime | None:
    """Return when the next attempt may start; None: at once.

    Args:
        attempts: all so far, ended.
        settings: with the delay before the second attempt, doubled for each further one.
    """
    last = attempts[-1] if attempts else None
    if last is None or last.finished_at is None or _rule_of(last).immediate:
        return None
    delay = settings.retry_delay_seconds * 2 ** (last.number - 1)
    return last.finished_at + timedelta(seconds=min(delay, MAX_DELAY_SECONDS))


def retry_message(attempts: Sequence[Attempt], settings: Settings) -> str:
    """Return why a job is tried again, and when, for people."""
    last = attempts[-1]
    when = retry_at(attempts, settings)
    then = f" The next attempt may start at {when:%Y-%m-%dT%H:%M:%SZ}." if when else ""
    return f"Attempt {last.number} ended: {last.message}"[: 1024 - len(then)] + then


def memory_of_next_attempt(attempts: Sequence[Attempt], settings: Settings) -> int | None:
    """Return the memory limit of the next attempt in bytes; None: the usual one."""
    more = any(_rule_of(past).more_memory for past in attempts)
    return bytes_of(settings.worker_memory_retry) if more else None


def _rule_of(attempt: Attempt) -> RetryRule:
    code = REASONS.get(attempt.reason)
    return retry_rule(code) if code else NEVER
