"""What a job takes: how many Jobs were made for it, and how long their containers held resources.

The seconds are those of containers, from start to end, whatever they hold: a GPU, a slice of one,
or cores alone. What is not known counts zero, so that nobody is told of more than was seen.
"""

from collections.abc import Iterable, Sequence

from splitjob.result import decimal
from splitjob.status import Attempt, SplitJobStatus, Usage


def usage_of(status: SplitJobStatus) -> Usage:
    """Return what a job has taken: what was put on record at its end, else what its attempts say.

    Args:
        status: of a job that has ended, or has not; an attempt under way counts without its time.
    """
    return status.usage or usage_of_attempts(status.attempts)


def usage_of_attempts(attempts: Sequence[Attempt]) -> Usage:
    """Return what attempts have taken, by what their nodes and the operator saw of them."""
    return Usage(
        attempts=max((attempt.number for attempt in attempts), default=0),
        gpu_seconds=decimal(_held(attempts)),
    )


def usage_when_completed(number: int, earlier_seconds: float, processing_time_ms: int) -> Usage:
    """Return what a job has taken once its stems are made: the worker's own figures.

    The worker's process is the first of its container: its start stands for the container's.

    Args:
        number: of the attempt that made them.
        earlier_seconds: `earlier_seconds` of the attempts before it.
        processing_time_ms: from the start of the worker's process until its result was made.
    """
    seconds = earlier_seconds + processing_time_ms / 1000
    return Usage(attempts=number, gpu_seconds=decimal(seconds))


def earlier_seconds(attempts: Iterable[Attempt], number: int) -> float:
    """Return for how many seconds the containers of the attempts before one held resources.

    Args:
        attempts: of the job.
        number: of the attempt that is not counted any more.
    """
    return _held(attempt for attempt in attempts if attempt.number < number)


def _held(attempts: Iterable[Attempt]) -> float:
    return sum(map(_seconds, attempts), start=0.0)


def _seconds(attempt: Attempt) -> float:
    end = attempt.ended_at or attempt.finished_at
    if attempt.started_at is None or end is None:
        return attempt.evicted_seconds or 0
    last = max(0.0, (end - attempt.started_at).total_seconds())  # two clocks may differ
    return (attempt.evicted_seconds or 0) + last
