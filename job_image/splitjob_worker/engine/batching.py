"""How many segments go through a model in one batch."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

import torch

from splitjob_worker.engine.device import is_out_of_memory

MAX_BATCH = 16  # larger batches do not make a GPU faster
MEMORY_SHARE = 0.8  # of the free memory: allocators fragment it

Item = TypeVar("Item")
Result = TypeVar("Result")


class DeviceMemory(Protocol):
    """What a device says of its memory."""

    def start_measuring(self) -> None:
        """Measure from here on."""

    def peak(self) -> int:
        """Return the most bytes in use since then, less those in use then."""

    def free(self) -> int:
        """Return how many bytes can be allocated now."""

    def release_cache(self) -> None:
        """Return to the system what is only cached for later."""


class CudaMemory:
    """Memory of a CUDA device; see `DeviceMemory`."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._allocated_before = 0

    def start_measuring(self) -> None:
        """Measure from here on."""
        torch.cuda.reset_peak_memory_stats(self._device)
        self._allocated_before = torch.cuda.memory_allocated(self._device)

    def peak(self) -> int:
        """Return the most bytes in use since then, less those in use then."""
        return torch.cuda.max_memory_allocated(self._device) - self._allocated_before

    def free(self) -> int:
        """Return how many bytes can be allocated now: the driver's, and those that torch caches."""
        cached = torch.cuda.memory_reserved(self._device)
        cached -= torch.cuda.memory_allocated(self._device)
        return torch.cuda.mem_get_info(self._device)[0] + cached

    def release_cache(self) -> None:
        """Return to the driver what torch only caches for later."""
        torch.cuda.empty_cache()


class Batcher:
    """Runs batches, and finds out how large they may be.

    The first batch is a single segment. From the memory that it took follows the size of the next
    ones. If a batch runs out of memory after all, it is halved, down to one segment.

    Args:
        memory: of the device; None: nothing is measured, and the size stays as given.
        size: of the batches; None: it is found out where there is memory to measure.
        first: the size until one is found out.
    """

    def __init__(
        self, memory: DeviceMemory | None, size: int | None = None, first: int = 1
    ) -> None:
        self.size = size or first
        self._memory = memory
        self._measures = memory is not None and size is None

    def run(
        self, forward: Callable[[Sequence[Item]], Result], items: Sequence[Item]
    ) -> Iterator[tuple[Sequence[Item], Result]]:
        """Run all items, in batches that fit into memory.

        Args:
            forward: runs one batch; it must leave nothing behind when memory runs out.
            items: in order.

        Yields:
            Each batch with its result, in order.

        Raises:
            torch.OutOfMemoryError, RuntimeError, MemoryError: not even one item fits.
        """
        position = 0
        while position < len(items):
            batch = items[position : position + self.size]
            result = self._try(forward, batch)
            if result is None:
                self.size = max(len(batch) // 2, 1)
                if self._memory is not None:
                    self._memory.release_cache()
                continue
            yield batch, result[0]
            position += len(batch)

    def _try(
        self, forward: Callable[[Sequence[Item]], Result], batch: Sequence[Item]
    ) -> tuple[Result] | None:
        """Return the result, or None if memory ran out; then all of it is free again."""
        if self._measures and self._memory is not None:
            self._memory.start_measuring()
        try:
            result = (forward(batch),)
        except (RuntimeError, MemoryError) as error:
            if len(batch) == 1 or not is_out_of_memory(error):
                raise
            return None
        if self._measures and self._memory is not None:
            self._measures = False
            self.size = _fitting(self._memory, len(batch))
        return result


def _fitting(memory: DeviceMemory, segments: int) -> int:
    """Return how many segments fit into the free memory, from the peak of running `segments`."""
    each = max(memory.peak() // segments, 1)
    return max(1, min(MAX_BATCH, int(MEMORY_SHARE * memory.free()) // each))
