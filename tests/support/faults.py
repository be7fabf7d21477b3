"""What can happen at any call that leaves a process: it is cut short, unanswered or overtaken.

`Fault`     one accident
`CallGate`  what every call of one process passes: it lets the accidents happen
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import TypeVar

Result = TypeVar("Result")
Call = tuple[str, int]  # which method, and whether its first or a later call of this look


class Fault(Enum):
    """One accident at one call."""

    CRASH_BEFORE = "the process is killed before the call"
    CRASH_AFTER = "the process is killed once the call took effect"
    REFUSED = "there is no answer, and the call has no effect"
    LOST_ANSWER = "there is no answer, although the call took effect"
    OVERTAKEN = "somebody else changes the SplitJob right before the call"
    STOPPED = "the process is stopped before the call, and goes on at some later time"


class Crash(BaseException):
    """The process is dead; no handler of its own may see this."""


class Violation(BaseException):
    """Something happened that never may; no handler of the operator may swallow this."""


@contextmanager
def asserted() -> Iterator[None]:
    """Turn a violation into what tests fail with, where no handler of the operator is left."""
    try:
        yield
    except Violation as violation:
        raise AssertionError(*violation.args) from violation


class CallGate:
    """What every call of one process passes.

    Args:
        overtake: changes the SplitJob, as others do.

    Attributes:
        stopped: whether the process stands still before a call.
        out_of_date: whether it has stood still since it wrote the status of this look: what it does
            then may have been overtaken, and no precondition can tell.
    """

    def __init__(self, overtake: Callable[[], None]) -> None:
        self._overtake = overtake
        self._faults: dict[Call, Fault] = {}
        self._calls: Counter[str] = Counter()
        self._dead = False
        self._resume = threading.Semaphore(0)
        self.stopped = False
        self.out_of_date = False
        self._written = False
        self.handed_back = threading.Semaphore(0)

    def arm(self, faults: dict[Call, Fault]) -> None:
        """Let accidents happen from now on, by the calls counted from here.

        Args:
            faults: each is taken out when it happens.
        """
        self._faults = faults
        self._calls.clear()
        self._written = self.out_of_date = False

    def call(
        self, name: str, take_effect: Callable[[], Result], unanswered: Callable[[str], Exception]
    ) -> Result:
        """Make a call, with its accident if there is one.

        Args:
            name: the method.
            take_effect: does what is asked for.
            unanswered: makes the error that the caller sees where no answer comes.
        """
        if self._dead:
            raise Crash
        fault = self._faults.pop((name, self._calls[name]), None)
        self._calls[name] += 1
        if fault is Fault.STOPPED:
            self._stand_still()
        if fault is Fault.OVERTAKEN:
            self._overtake()
        if fault is Fault.CRASH_BEFORE:
            self._die()
        if fault is Fault.REFUSED:
            raise unanswered(name)
        result = take_effect()
        if fault is Fault.CRASH_AFTER:
            self._die()
        if fault is Fault.LOST_ANSWER:
            raise unanswered(name)
        return result

    def status_written(self) -> None:
        """The process has just written a status, under the version that it had read."""
        self._written, self.out_of_date = True, False

    def resume(self) -> None:
        """Let a process that stands still go on, until it ends or stands still again."""
        self._resume.release()
        self.handed_back.acquire()

    def kill(self) -> None:
        """End the process; one that stands still ends there."""
        self._dead = True
        if self.stopped:
            self.resume()

    def _stand_still(self) -> None:
        self.stopped, self.out_of_date = True, self._written
        self.handed_back.release()
        self._resume.acquire()
        self.stopped = False
        if self._dead:
            raise Crash

    def _die(self) -> None:
        self._dead = True
        raise Crash
