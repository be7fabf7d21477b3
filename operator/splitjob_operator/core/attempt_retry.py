"""Whether, when and with how much memory a job is tried again: the rules of the codes, applied.

The rules themselves are with the codes, in `splitjob.errors.RETRY_RULES`.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from splitjob.errors import JOB_DELETED, REASONS, RetryRule, retry_rule
from splitjob.quantity import bytes_of
from splitjob.status import Attempt
from splitjob_operator.core.settings import Settings
from splitjob_operator.core.worker_resources import WorkerResources

__all__ = ["final_message", "may_retry", "memory_of_next_attempt", "retry_at", "retry_message"]

NEVER = RetryRule(0)
MAX_DELAY_SECONDS = 600
SAME_PLACE_PERCENT = 5
BEFORE_THE_SONG = "fetch"  # the stage in which nothing of the song is looked at yet


def may_retry(attempts: Sequence[Attempt]) -> bool:
    """Return whether the last attempt, which has failed, may be followed by another one.

    Each code has a bound of its own: five evictions leave the retries after a lost node untouched,
    and so do Jobs deleted by hand. A worker that died twice in the same place is not tried again.

    Args:
        attempts: all so far, the last one with its reason.
    """
    last = attempts[-1]
    same = sum(1 for past in attempts if _bound_of(past) == _bound_of(last))
    bound = same <= _rule_of(last).attempts
    return last.retryable and bound and _earlier_death_at_same_place(attempts) is None


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


def final_message(attempts: Sequence[Attempt]) -> str:
    """Return why a job is not tried again after its last attempt, for people."""
    last, before = attempts[-1], _earlier_death_at_same_place(attempts)
    if before is None or last.progress is None or before.progress is None:
        return last.message
    places = f"{before.progress.percent} % and {last.progress.percent} %"
    return (
        f"The worker died twice in the same place ({last.progress.stage}, {places}), so that the "
        f"song is not tried again. {last.message}"
    )[:1024]


def memory_of_next_attempt(attempts: Sequence[Attempt], resources: WorkerResources) -> int | None:
    """Return the memory limit of the next attempt in bytes; None: the usual one.

    Args:
        attempts: all so far.
        resources: of the model.
    """
    more = any(_rule_of(past).more_memory for past in attempts)
    return bytes_of(resources.memory_retry) if more else None


def _earlier_death_at_same_place(attempts: Sequence[Attempt]) -> Attempt | None:
    """Return an earlier attempt whose worker died where that of the last one did."""
    *earlier, last = attempts
    return next((past for past in earlier if _died_at_same_place(past, last)), None)


def _died_at_same_place(one: Attempt, other: Attempt) -> bool:
    """Whether two workers died, without anybody deleting their Jobs, in the same place of a song.

    Only of workers that died without a word is the progress noted.
    """
    if one.job_deleted or other.job_deleted or one.progress is None or other.progress is None:
        return False
    stage, percent = one.progress.stage, one.progress.percent
    near = abs(percent - other.progress.percent) <= SAME_PLACE_PERCENT
    return stage == other.progress.stage and stage != BEFORE_THE_SONG and near


def _bound_of(attempt: Attempt) -> tuple[str, bool]:
    """Return what the bound that an attempt counts against is known by."""
    return attempt.reason, attempt.job_deleted


def _rule_of(attempt: Attempt) -> RetryRule:
    if attempt.job_deleted:
        return JOB_DELETED
    code = REASONS.get(attempt.reason)
    return retry_rule(code) if code else NEVER
