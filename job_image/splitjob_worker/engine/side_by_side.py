"""Forward passes side by side on a CPU, each on its share of the cores.

The threads of one forward pass wait for one another some thousand times in it, and each time for
the slowest: for one that an encoder keeps from its core, too. Two forward passes with half of the
threads each wait for nothing, and are done after 80 to 90 percent of the time that they take one
after the other.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Self, TypeVar

import torch

from splitjob_worker.machine import LONG_SEGMENT, KeptMemory

_POLL_SECONDS = 0.1

Item = TypeVar("Item")
Result = TypeVar("Result")


def at_once(device: torch.device, segment_seconds: float) -> int:
    """Return how many forward passes run at once.

    Two at most, since each takes memory of its own: an HTDemucs some half a gigabyte, an HDemucs,
    with its long segments, more than two. And as many threads each: an odd number of cores would
    leave one of them idle.

    Args:
        device: a GPU is busy with one.
        segment_seconds: of the model.
    """
    shared = device.type == "cpu" and torch.get_num_threads() % 2 == 0
    return 2 if shared and segment_seconds <= LONG_SEGMENT else 1


class SideBySide:
    """Threads that run forward passes at once; a context manager that ends them.

    Args:
        count: of them; torch's own threads are shared out among them.
        check_stop: called again and again while they run; where it raises, passes under way are
            left behind, and end with the process.
    """

    def __init__(self, count: int, check_stop: Callable[[], None] = lambda: None) -> None:
        self.count = count
        self._check_stop = check_stop
        self._kept = KeptMemory()
        self._threads = torch.get_num_threads()
        # torch lets each thread have a number of its own.
        self._pool = ThreadPoolExecutor(
            count, "forward", initializer=torch.set_num_threads, initargs=(self._threads // count,)
        )

    def run(self, work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Return what the work gives for each item.

        Raises:
            Exception: what the work raised, when none of it is under way any more; or what
                `check_stop` raised.
        """
        under_way = [self._pool.submit(work, item) for item in items]
        while wait(under_way, _POLL_SECONDS).not_done:
            self._check_stop()
        self._kept.look()
        return [one.result() for one in under_way]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._pool.shutdown(wait=kind is None)
        torch.set_num_threads(self._threads)  # new threads get what was set last, by whichever
