"""How many segments go through a model at once."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

import torch

from splitjob_worker.engine.device import is_out_of_memory

MAX_BATCH = 16  # beyond it a GPU is busy anyway
MEMORY_SHARE = 0.8  # of what is free: allocators fragment

Item = TypeVar("Item")
Result = TypeVar("Result")


class Memory(Protocol):
    """What a device says of its memory."""

    def begin(self) -> None:
        """Watch from here on."""

    def used(self) -> int:
        """Return the most bytes in use at once since then, less those in use then."""

    def free(self) -> int:
        """Return how many bytes could be had now."""

    def clear(self) -> None:
        """Give back what is only kept for later."""


class CudaMemory:
    """Memory of a CUDA device."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._before = 0

    def begin(self) -> None:
        """Watch from here on."""
        torch.cuda.reset_peak_memory_stats(self._device)
        self._before = torch.cuda.memory_allocated(self._device)

    def used(self) -> int:
        """Return the most bytes in use at once since then, less those in use then."""
        return torch.cuda.max_memory_allocated(self._device) - self._before

    def free(self) -> int:
        """Return how many bytes could be had now: the driver's, and those torch keeps unused."""
        unused = torch.cuda.memory_reserved(self._device)
        unused -= torch.cuda.memory_allocated(self._device)
        return torch.cuda.mem_get_info(self._device)[0] + unused

    def clear(self) -> None:
        """Give back what is only kept for later."""
        torch.cuda.empty_cache()


class Batcher:
    """Runs batches, and finds out how large they may be.

    The first one is a single segment: by what it took, the next are as large as the free memory
    allows. Where that was too much after all, the batch is halved, down to one.

    Args:
        memory: of the device; None: nothing is measured, the size stays as given.
        size: of the batches; None: found out where there is a memory to measure.
        first: the size until one is found out.
    """

    def __init__(self, memory: Memory | None, size: int | None = None, first: int = 1) -> None:
        self.size = size or first
        self._memory = memory
        self._measures = memory is not None and size is None

    def run(
        self, forward: Callable[[Sequence[Item]], Result], items: Sequence[Item]
    ) -> Iterator[tuple[Sequence[Item], Result]]:
        """Run all items, in batches no larger than fit.

        Args:
            forward: runs one batch; it must leave nothing behind when memory runs out.
            items: in order.

        Yields:
            Each batch with its result, in order.

        Raises:
            torch.OutOfMemoryError, RuntimeError, MemoryError: not even one fits.
        """
        position = 0
        while position < len(items):
            batch = items[position : position + self.size]
            result = self._try(forward, batch)
            if result is None:
                self.size = max(len(batch) // 2, 1)
                if self._memory is not None:
                    self._memory.clear()
                continue
            yield batch, result[0]
            position += len(batch)

    def _try(
        self, forward: Callable[[Sequence[Item]], Result], batch: Sequence[Item]
    ) -> tuple[Result] | None:
        """Return the result, or None when memory ran out; by then all of it is free again."""
        if self._measures and self._memory is not None:
            self._memory.begin()
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


def _fitting(memory: Memory, segments: int) -> int:
    """Return how many segments fit into the free memory, after so many have been run."""
    each = max(memory.used() // segments, 1)
    return max(1, min(MAX_BATCH, int(MEMORY_SHARE * memory.free()) // each))
