"""Progress for the operator and for people: one JSON line on standard output per step.

Each stage has its share of the whole; a line is written when a stage begins and for every two per
cent within it, and the figure never falls.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from splitjob.result import ProgressLine

STEP = 2
# The per cent at which each stage begins.
STARTS = {"fetch": 0, "decode": 4, "separate": 8, "encode": 88, "upload": 92, "notify": 99}


class Progress:
    """Counts the work done and says so; safe to use from several threads.

    Args:
        out: where the lines go.
        listener: hears stage and per cent of each line as well.
    """

    def __init__(
        self,
        out: TextIO | None = None,
        listener: Callable[[str, int], None] = lambda _stage, _percent: None,
    ) -> None:
        self._out = out or sys.stdout
        self._listener = listener
        self._lock = threading.Lock()
        self._stage = ""
        self._percent = -STEP
        self.timings: dict[str, int] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[float], None]]:
        """Run a stage: its beginning is said, its time is taken.

        Yields:
            A function that takes the share of the stage that is done, 0 to 1.
        """
        began = time.monotonic()
        self._say(name, STARTS[name], begins=True)
        try:
            yield lambda share: self._say(name, self._position(name, share), begins=False)
        finally:
            self.timings[name] = round((time.monotonic() - began) * 1000)

    @staticmethod
    def _position(name: str, share: float) -> int:
        start = STARTS[name]
        end = min((one for one in (*STARTS.values(), 100) if one > start), default=100)
        return int(start + (end - start) * min(max(share, 0.0), 1.0))

    def _say(self, stage: str, percent: int, *, begins: bool) -> None:
        with self._lock:
            if not begins and percent < self._percent + STEP:
                return
            self._stage, self._percent = stage, max(percent, self._percent, 0)
            line = ProgressLine(stage=stage, percent=self._percent).encode()
            self._out.write(line + "\n")
            self._out.flush()
        self._listener(stage, self._percent)
