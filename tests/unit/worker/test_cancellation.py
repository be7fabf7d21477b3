"""Stopping a worker: a signal is seen between steps, and during any wait."""

import os
import signal
import sys
from concurrent.futures import Future
from contextlib import suppress
from types import FrameType
from typing import Any

import pytest
from tests.support.waiting import patience

from splitjob_worker.cancellation import Cancelled, CancelToken, run_in_thread


def test_sigterm_is_seen_between_steps() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    cancel = CancelToken()
    try:
        cancel.listen_for_signals()
        cancel.check()
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Cancelled):
            cancel.sleep(5)
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGINT, before[1])


def test_a_signal_may_come_at_any_moment_of_a_wait() -> None:
    """Its handler runs in the very thread that waits, between any two steps of that."""

    def signalled_at(moment: int) -> bool:
        """Return whether the wait came that far."""
        cancel, steps = CancelToken(), 0

        def step(_frame: FrameType, _event: str, _argument: object) -> Any:
            nonlocal steps
            steps += 1
            if steps == moment:
                cancel.cancel()
            return step

        sys.settrace(step)
        try:
            with suppress(Cancelled):
                cancel.sleep(0.001)
        finally:
            sys.settrace(None)
        return steps >= moment

    def all_moments() -> int:
        return next(moment for moment in range(1, 1000) if not signalled_at(moment))

    assert run_in_thread(all_moments).result(timeout=patience(60)) > 5


def test_work_that_ends_while_it_is_asked_for_is_no_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class JustDone(Future[str]):
        """Ends right after the time to wait for it is over."""

        def result(self, timeout: float | None = None) -> str:
            found = super().result(5)
            if timeout is not None:
                raise TimeoutError
            return found

    monkeypatch.setattr("splitjob_worker.cancellation.Future", JustDone)
    assert CancelToken().run(lambda: "done") == "done"
