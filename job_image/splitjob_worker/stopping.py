"""Being told to stop: SIGTERM sets a flag, each piece of work looks at it between its steps.

Imported before all else of the worker, so with nothing that takes long to import.
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


class Stopped(BaseException):
    """The worker was told to stop. Not an `Exception`: nothing on the way may swallow it."""


class Superseded(Exception):  # noqa: N818 - reads as what happened
    """Somebody else has settled this job: another attempt, or the operator with a tombstone."""


class Stop:
    """The flag. `check` is what long work calls between its steps.

    No `threading.Event`: the handler of a signal runs in a thread that may hold the event's lock,
    because it is just about to wait, and would then wait for itself.
    """

    def __init__(self) -> None:
        self._told = False

    def listen(self) -> None:
        """Let SIGTERM and SIGINT set the flag (main thread only)."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def set(self) -> None:
        """Ask all work to stop."""
        self._told = True

    def is_set(self) -> bool:
        """Return whether the worker was told to stop."""
        return self._told

    def check(self) -> None:
        """Raise `Stopped` where the worker was told to stop."""
        if self._told:
            raise Stopped

    def wait(self, seconds: float) -> None:
        """Sleep, but no longer than until told to stop.

        Raises:
            Stopped: the worker was told to stop.
        """
        end = time.monotonic() + seconds
        while not self._told and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, _POLL_SECONDS))
        self.check()

    def during(self, work: Callable[[], T]) -> T:
        """Do work that may block, in a thread of its own, and return what it returns.

        Raises:
            Stopped: the worker was told to stop; the thread is left behind, and ends with the
                process.
        """
        return awaited(in_thread(work), self.check)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._told = True


def in_thread(work: Callable[[], T]) -> Future[T]:
    """Start work in a thread of its own that does not outlive the process."""
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            done.set_exception(error)

    threading.Thread(target=run, name="work", daemon=True).start()
    return done


def awaited(done: Future[T], check: Callable[[], None]) -> T:
    """Wait for work in another thread, and return what it returns.

    Args:
        done: the work.
        check: called again and again; raises to wait no longer.
    """
    while True:
        try:
            return done.result(timeout=_POLL_SECONDS)
        except TimeoutError:
            if done.done():
                return done.result()  # it ended just now, or raised a TimeoutError of its own
            check()
