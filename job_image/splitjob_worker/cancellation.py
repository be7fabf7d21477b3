"""Cancelling a job: SIGTERM sets a flag, and long work checks it between its steps.

The first module of the worker to be imported, so it imports nothing that takes long.
"""

import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from types import FrameType
from typing import TypeVar

T = TypeVar("T")
_POLL_SECONDS = 0.1


class Cancelled(BaseException):
    """The worker was told to stop. Not an `Exception`, so that no handler swallows it."""


class SupersededError(Exception):
    """The outcome of this job is recorded already, by another attempt or by the operator."""


class CancelToken:
    """Tells long work whether to stop; the work calls `check` between its steps.

    A plain flag and no `threading.Event`: a signal handler may interrupt the very thread that
    holds the event's lock because it is about to wait, and would deadlock with it.
    """

    def __init__(self) -> None:
        self._cancelled = False
        self._since = 0.0  # by `time.monotonic()`

    def listen_for_signals(self) -> None:
        """Let SIGTERM and SIGINT cancel (main thread only)."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def cancel(self) -> None:
        """Ask all work to stop."""
        if not self._cancelled:
            self._since = time.monotonic()
        self._cancelled = True

    @property
    def cancelled(self) -> bool:
        """Whether the work was asked to stop."""
        return self._cancelled

    @property
    def seconds_since(self) -> float:
        """How long ago the work was asked to stop; 0 where it was not."""
        return time.monotonic() - self._since if self._cancelled else 0.0

    def check(self) -> None:
        """Do nothing, unless the work was asked to stop.

        Raises:
            Cancelled: it was.
        """
        if self._cancelled:
            raise Cancelled

    def sleep(self, seconds: float) -> None:
        """Sleep, but stop sleeping when cancelled.

        Raises:
            Cancelled: the work was asked to stop.
        """
        end = time.monotonic() + seconds
        while not self._cancelled and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _POLL_SECONDS))
        self.check()

    def run(self, work: Callable[[], T]) -> T:
        """Run work that may block in a thread of its own, and return its result.

        Raises:
            Cancelled: the work was asked to stop; its thread is left to end with the process.
        """
        return wait_for(run_in_thread(work), self.check)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.cancel()


def run_in_thread(work: Callable[[], T]) -> Future[T]:
    """Start work in a daemon thread, which does not outlive the process."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            future.set_exception(error)

    threading.Thread(target=run, name="work", daemon=True).start()
    return future


def wait_for(future: Future[T], check: Callable[[], None]) -> T:
    """Wait for work in another thread, and return its result.

    Args:
        future: the work's.
        check: called every tenth of a second; raises to stop waiting.
    """
    while True:
        try:
            return future.result(timeout=_POLL_SECONDS)
        except TimeoutError:
            if future.done():  # just after the wait ended, or by a TimeoutError of its own
                return future.result()
            check()
