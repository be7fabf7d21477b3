"""Progress for the operator and for people: lines of JSON on standard output.

Each stage has its share of the whole. A line is written when a stage begins and for every two per
cent within it, and the figure never falls. Each says how much memory is used: of a worker that the
kernel kills, the last one is all that is known.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from splitjob.result import ProgressLine
from splitjob_worker.cgroups import memory_use
from splitjob_worker.reporting.tracing import RunTrace

STEP_PERCENT = 2
# The per cent at which each stage begins.
STARTS = {"fetch": 0, "decode": 4, "separate": 8, "encode": 88, "upload": 92, "notify": 99}


class Progress:
    """Writes progress lines and times the stages; safe to use from several threads.

    Args:
        out: where the lines go; standard output by default.
        listener: called with stage and per cent of each line.
        trace: has a span of each stage.

    Attributes:
        timings: milliseconds that each finished stage took.
    """

    def __init__(
        self,
        out: TextIO | None = None,
        listener: Callable[[str, int], None] = lambda _stage, _percent: None,
        trace: RunTrace | None = None,
    ) -> None:
        self._out = out or sys.stdout
        self._listener = listener
        self._trace = trace or RunTrace({})
        self._lock = threading.Lock()
        self._percent = -STEP_PERCENT
        self.timings: dict[str, int] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[float], None]]:
        """Run a stage: a line is written at its beginning, and its time is taken.

        Yields:
            A function that takes the share of the stage that is done, 0 to 1.
        """
        began = time.monotonic()
        self._report(name, STARTS[name], begins=True)
        try:
            with self._trace.span(name):
                yield lambda share: self._report(name, _percent_at(name, share), begins=False)
        finally:
            self.timings[name] = round((time.monotonic() - began) * 1000)

    def _report(self, stage: str, percent: int, *, begins: bool) -> None:
        with self._lock:
            if not begins and percent < self._percent + STEP_PERCENT:
                return
            self._percent = shown = max(percent, self._percent, 0)
            memory = memory_use()
            line = ProgressLine(stage=stage, percent=shown, memory=memory and memory.used)
            self._out.write(line.encode() + "\n")
            self._out.flush()
        self._listener(stage, shown)


def _percent_at(stage: str, share: float) -> int:
    """Return the per cent of the whole job at a share of a stage; shares outside 0 to 1 are cut."""
    start = STARTS[stage]
    end = min((other for other in (*STARTS.values(), 100) if other > start), default=100)
    return int(start + (end - start) * min(max(share, 0.0), 1.0))
