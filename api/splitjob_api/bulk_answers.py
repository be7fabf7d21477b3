"""The answers about many jobs, made in a thread where they would hold up the event loop."""

from collections.abc import Iterable, Sequence

from fastapi.concurrency import run_in_threadpool

from splitjob_api.cached_job import CachedJob, Deletion


async def make_answers(jobs: Iterable[CachedJob | Deletion]) -> None:
    """Make the answers of jobs that have none yet, outside the event loop.

    Args:
        jobs: each takes a millisecond or two.
    """
    missing = [job for job in jobs if isinstance(job, CachedJob) and not job.answered]
    if missing:
        await run_in_threadpool(_make, missing)


def _make(jobs: Sequence[CachedJob]) -> None:
    for job in jobs:
        job.answer()
