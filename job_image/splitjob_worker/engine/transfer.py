"""Between the machine's memory and the device's.

On CUDA, copies come from and go to pinned memory, each way in a stream of its own, beside the
calculation; elsewhere there is nothing to overlap.
"""

from typing import Any

import numpy as np
import torch

from splitjob_worker.spool import Samples


class Upload:
    """Brings batches to the device, from two buffers that take turns.

    Args:
        device: where to.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._lane = _Lane(device) if device.type == "cuda" else None
        self._buffers: list[torch.Tensor | None] = [None, None]
        self._copied: list[Any] = [None, None]
        self._turn = 0

    def buffer(self, *shape: int) -> Samples:
        """Return zeroed memory of a shape, to be filled before `send`."""
        self._turn = 0 if self._lane is None else 1 - self._turn
        if self._copied[self._turn] is not None:
            self._copied[self._turn].synchronize()
        buffer = self._buffers[self._turn]
        if buffer is None or buffer.shape != shape:
            buffer = torch.empty(shape, pin_memory=self._lane is not None)
            self._buffers[self._turn] = buffer
        result: Samples = buffer.numpy()
        result.fill(0.0)
        return result

    def send(self) -> torch.Tensor:
        """Return the last buffer's content on the device."""
        buffer = self._buffers[self._turn]
        if buffer is None:
            raise RuntimeError("send() without buffer()")
        if self._lane is None:
            return buffer.to(self._device)
        result, self._copied[self._turn] = self._lane.fetch(buffer)
        return result


class Download:
    """A result on its way from the device."""

    def __init__(self, host: torch.Tensor, arrived: Any = None) -> None:  # noqa: ANN401
        self._host, self._arrived = host, arrived

    def samples(self) -> Samples:
        """Wait until it is there, and return it."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return np.asarray(self._host.numpy(), np.float32)


class Downloads:
    """Brings results from the device.

    Args:
        device: where from.
    """

    def __init__(self, device: torch.device) -> None:
        self._lane = _Lane(device) if device.type == "cuda" else None

    def start(self, tensor: torch.Tensor) -> Download:
        """Begin to bring a tensor, which nothing may change any more."""
        if self._lane is None:
            return Download(tensor.cpu())
        host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        return Download(host, self._lane.copy(tensor, host))


class _Lane:
    """A stream of a CUDA device for copies one way, beside the one that calculates.

    Source: the semantics of streams and of the caching allocator,
    https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-streams.

    Args:
        device: a CUDA device.
    """

    def __init__(self, device: torch.device) -> None:
        cuda: Any = torch.cuda
        self._cuda = cuda
        self._device = device
        self._stream = cuda.Stream(device)

    def fetch(self, host: torch.Tensor) -> tuple[torch.Tensor, Any]:
        """Return pinned memory's copy on the device, and what tells when it is made.

        What is calculated from now on waits for it.
        """
        with self._cuda.stream(self._stream):
            there = host.to(self._device, non_blocking=True)
            copied = self._stream.record_event()
        calculating = self._cuda.current_stream(self._device)
        calculating.wait_event(copied)
        there.record_stream(calculating)  # it was allocated for the lane, and is freed elsewhere
        return there, copied

    def copy(self, there: torch.Tensor, host: torch.Tensor) -> Any:  # noqa: ANN401
        """Copy into pinned memory once it is calculated; return what tells when it is there."""
        self._stream.wait_stream(self._cuda.current_stream(self._device))
        with self._cuda.stream(self._stream):
            host.copy_(there, non_blocking=True)
        there.record_stream(self._stream)
        return self._stream.record_event()
