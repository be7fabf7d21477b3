"""Forward passes in parallel on a CPU, each on its share of the cores.

The threads of one forward pass wait for each other some thousand times, each time for the slowest,
which may be one that an encoder keeps from its core. Two forward passes with half of the threads
each do not wait for each other, and take 80 to 90 per cent of the time that they take in sequence.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Self, TypeVar

import torch

from splitjob_worker.machine import LONG_SEGMENT, HeapTrimmer

_POLL_SECONDS = 0.1

Item = TypeVar("Item")
Result = TypeVar("Result")


def pass_count(device: torch.device, segment_seconds: float) -> int:
    """Return how many forward passes run in parallel.

    Two at most, since each takes memory of its own: an HTDemucs some half a gigabyte, an HDemucs,
    with its long segments, more than two. Both get the same number of threads: an odd number of
    cores would leave one of them idle.

    Args:
        device: a GPU is busy with one pass.
        segment_seconds: of the model.
    """
    shared = device.type == "cpu" and torch.get_num_threads() % 2 == 0
    return 2 if shared and segment_seconds <= LONG_SEGMENT else 1


class ParallelPasses:
    """Threads that run forward passes in parallel; a context manager that ends them.

    Args:
        count: of the threads; torch's own threads are divided among them.
        check_cancelled: called every tenth of a second while passes run; where it raises, running
            passes are left to end with the process.
    """

    def __init__(self, count: int, check_cancelled: Callable[[], None] = lambda: None) -> None:
        self.count = count
        self._check_cancelled = check_cancelled
        self._heap = HeapTrimmer()
        self._threads = torch.get_num_threads()
        # torch keeps the number of threads per thread.
        self._pool = ThreadPoolExecutor(
            count, "forward", initializer=torch.set_num_threads, initargs=(self._threads // count,)
        )

    def run(self, work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Return the results of the work for each item, in order.

        Raises:
            Exception: what the work raised, once none of it is running any more; or what
                `check_cancelled` raised.
        """
        running = [self._pool.submit(work, item) for item in items]
        while wait(running, _POLL_SECONDS).not_done:
            self._check_cancelled()
        self._heap.trim_if_grown()
        return [future.result() for future in running]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._pool.shutdown(wait=kind is None)
        torch.set_num_threads(self._threads)  # threads started later inherit the number set last
