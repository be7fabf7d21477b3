"""Is sending still cheaper than computing again? And what can still be sent in time?"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from splitjob_worker.checkpoints.cutting import CutRange

# So much may wait: two steps of the model, which are long on a GPU, within these bounds.
LEAST_BYTES = 64 << 20
MOST_BYTES = 256 << 20
_STEPS = 2


class Backlog:
    """The ranges that wait to be sent; used by the thread that makes them and the one that sends.

    A model that is slower than the bucket leaves hardly any waiting, a faster one more and more.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting = self._step = self._largest_step = 0
        self._sent, self._sending_seconds = 0, 0.0

    def add(self, cut: CutRange) -> None:
        """Count a range that waits from now on."""
        with self._lock:
            self._waiting += cut.size
            self._step += cut.size
            self._largest_step = max(self._largest_step, self._step)
            if cut.position is not None:
                self._step = 0

    @contextmanager
    def sending(self, cut: CutRange) -> Iterator[None]:
        """Time how long a range takes that is sent in this context."""
        began = time.monotonic()
        yield
        with self._lock:
            self._waiting -= cut.size
            self._sent += cut.size
            self._sending_seconds += time.monotonic() - began

    @property
    def too_long(self) -> bool:
        """Whether ranges are made faster than they are sent."""
        with self._lock:
            return self._waiting > min(MOST_BYTES, max(LEAST_BYTES, _STEPS * self._largest_step))

    def seconds_for(self, cut: CutRange) -> float:
        """Return how long a range will take, by the rate so far; 0: none was sent yet."""
        with self._lock:
            return self._sending_seconds * cut.size / self._sent if self._sent else 0.0
