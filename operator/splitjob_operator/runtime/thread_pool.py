"""Blocking calls, away from the event loop."""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

__all__ = ["ThreadPool"]

Given = ParamSpec("Given")
Back = TypeVar("Back")


class ThreadPool:
    """A pool of threads for one kind of blocking call, so that no kind can starve another.

    Args:
        count: how many run at once; more wait.
        name: of the threads.
    """

    def __init__(self, count: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix=name)

    async def run(
        self, call: Callable[Given, Back], *args: Given.args, **kwargs: Given.kwargs
    ) -> Back:
        """Make a blocking call in a thread, with the caller's log context."""
        context = contextvars.copy_context()
        work = partial(context.run, call, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def close(self) -> None:
        """Take no more calls; those under way are left to end."""
        self._pool.shutdown(wait=False, cancel_futures=True)
