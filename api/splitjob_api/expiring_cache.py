"""Answers that are good for a few seconds, in a memory that is bounded."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, NamedTuple, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class _Answer(NamedTuple, Generic[V]):
    value: V
    good_until: float


class ExpiringCache(Generic[K, V]):
    """Remembers answers for a while; may be used from any thread.

    Args:
        seconds: for how long an answer is good.
        size: how many are kept; the oldest go first.
        clock: of any beginning, in seconds.
    """

    def __init__(
        self, seconds: float, size: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds = seconds
        self._size = size
        self._clock = clock
        self._lock = threading.Lock()
        self._answers: OrderedDict[K, _Answer[V]] = OrderedDict()

    def __len__(self) -> int:
        """Return how many answers are kept."""
        return len(self._answers)

    def get(self, key: K, ask: Callable[[], V]) -> V:
        """Return the answer to a key, asked for where none is remembered that is still good.

        Nothing is remembered where asking fails. Two who ask at once may both ask.
        """
        with self._lock:
            found = self._answers.get(key)
        if found is not None and found.good_until > self._clock():
            return found.value
        answer = _Answer(ask(), self._clock() + self._seconds)
        with self._lock:
            self._answers[key] = answer
            self._answers.move_to_end(key)
            while len(self._answers) > self._size:
                self._answers.popitem(last=False)
        return answer.value
