"""Copies between the machine's memory and the device's.

On CUDA, copies use pinned memory and, for each direction, a stream of their own beside the one that
computes; elsewhere there is nothing to overlap.

Buffers live as long as the song. When a tensor that several streams use, or pinned memory, is freed
after the device has failed, torch can only end the process. So none of them is freed early, and the
failure arrives as an exception, which can be reported.
"""

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import torch

from splitjob_worker.spool import Samples

PIECE_FRAMES = 1 << 18  # six seconds of stems are in the machine's memory at once

CudaEvent: TypeAlias = Any  # torch.cuda.Event, whose methods torch does not type


class HostToDevice:
    """Copies batches to the device, from two buffers that take turns.

    Args:
        device: where to.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        cuda = device.type == "cuda"
        self._buffers = [_StagingBuffer(), _StagingBuffer()] if cuda else [_StagingBuffer()]
        self._stream = _CopyStream(device) if cuda else None

    def buffer(self, *shape: int) -> Samples:
        """Return zeroed memory of a shape, to be filled before `send`."""
        self._buffers.reverse()
        buffer = self._buffers[0]
        buffer.wait_until_copied()
        if buffer.host is None or buffer.host.shape != shape:
            buffer.host = torch.empty(shape, pin_memory=self._stream is not None)
            if self._stream is not None:
                buffer.device = torch.empty(shape, device=self._device)
                # Its memory may have belonged to a tensor that is still being computed with.
                self._stream.wait_for_computation()
        result: Samples = buffer.host.numpy()
        result.fill(0.0)
        return result

    def send(self) -> torch.Tensor:
        """Return the last buffer's content on the device; valid until the next but one `send`."""
        buffer = self._buffers[0]
        if buffer.host is None:
            raise RuntimeError("send() without buffer()")
        if self._stream is None:
            return buffer.host.to(self._device)
        buffer.copied = self._stream.copy_to_device(buffer.host, buffer.device)
        return buffer.device


class _StagingBuffer:
    """A buffer on both sides, and the event that says that one is copied to the other."""

    def __init__(self) -> None:
        self.host: torch.Tensor | None = None
        self.device = torch.empty(0)
        self.copied: CudaEvent = None

    def wait_until_copied(self) -> None:
        """Wait until the host's side may be filled again."""
        if self.copied is not None:
            self.copied.synchronize()


class DeviceToHost:
    """Copies results from the device.

    Args:
        device: where from.
    """

    def __init__(self, device: torch.device) -> None:
        self._stream = _CopyStream(device) if device.type == "cuda" else None
        self._buffers: list[torch.Tensor] = []

    def pieces(self, samples: torch.Tensor) -> Iterator[Samples]:
        """Return samples in pieces, each copied when it is taken.

        What is computed between this call and that does not delay them.

        Args:
            samples: shape (stems, 2, n); must not change any more.

        Returns:
            Pieces of shape (stems, 2, up to PIECE_FRAMES), one after the other.
        """
        pieces = torch.split(samples, PIECE_FRAMES, dim=-1)
        if self._stream is None:
            return (np.asarray(piece.cpu().numpy(), np.float32) for piece in pieces)
        return self._copied(pieces, self._stream, self._stream.computed_so_far())

    def _copied(
        self, pieces: tuple[torch.Tensor, ...], stream: "_CopyStream", computed: CudaEvent
    ) -> Iterator[Samples]:
        """Yield the pieces; each is copied while the one before is used."""
        pending: tuple[torch.Tensor, CudaEvent] | None = None
        for number, piece in enumerate(pieces):
            host = self._buffer(number % 2, piece)
            copied = stream.copy_to_host(piece, host, computed)
            if pending is not None:
                yield _content(*pending)
            pending = host, copied
        if pending is not None:
            yield _content(*pending)

    def _buffer(self, number: int, piece: torch.Tensor) -> torch.Tensor:
        """Return pinned memory of a piece's shape."""
        if len(self._buffers) <= number:
            size = piece.shape[:-1].numel() * PIECE_FRAMES
            self._buffers.append(torch.empty(size, pin_memory=True))
        return self._buffers[number][: piece.numel()].view(piece.shape)


def _content(host: torch.Tensor, copied: CudaEvent) -> Samples:
    """Return a copy of a buffer once it is filled, since it is filled again soon."""
    copied.synchronize()
    return np.array(host.numpy(), np.float32)


class _CopyStream:
    """A stream of a CUDA device for copies in one direction, beside the one that computes.

    Source: the semantics of streams and of the caching allocator,
    https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-streams.

    Args:
        device: a CUDA device.
    """

    def __init__(self, device: torch.device) -> None:
        cuda: Any = torch.cuda
        self._cuda = cuda
        self._stream = cuda.Stream(device)
        self._computing = cuda.current_stream(device)
        self._computed_before_copy = self.computed_so_far()

    def computed_so_far(self) -> CudaEvent:
        """Return the event that everything submitted for computation so far is done."""
        return self._computing.record_event()

    def wait_for_computation(self) -> None:
        """Let later copies wait for everything submitted for computation so far."""
        self._stream.wait_event(self.computed_so_far())

    def copy_to_device(self, host: torch.Tensor, device: torch.Tensor) -> CudaEvent:
        """Copy pinned memory to the device; return the event that this is done.

        The copy waits for what was submitted for computation before the previous copy: with two
        buffers that take turns, nothing later uses `device`. Later computation waits for the copy.
        """
        self._stream.wait_event(self._computed_before_copy)
        self._computed_before_copy = self.computed_so_far()
        with self._cuda.stream(self._stream):
            device.copy_(host, non_blocking=True)
            copied = self._stream.record_event()
        self._computing.wait_event(copied)
        return copied

    def copy_to_host(
        self, device: torch.Tensor, host: torch.Tensor, computed: CudaEvent
    ) -> CudaEvent:
        """Copy to pinned memory once the source is computed; return the event that this is done."""
        self._stream.wait_event(computed)
        with self._cuda.stream(self._stream):
            host.copy_(device, non_blocking=True)
            return self._stream.record_event()
