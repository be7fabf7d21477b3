"""Between the machine's memory and the device's.

On CUDA, copies come from and go to pinned memory, each way in a stream of its own, beside the
calculation; elsewhere there is nothing to overlap.

Buffers stay as long as the song. Where a tensor that several streams use, or pinned memory, is
freed after the device has failed, torch cannot but end the process; so none of them is freed on the
way, and the failure comes as an exception, which can be told.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from splitjob_worker.spool import Samples

PIECE_FRAMES = 1 << 18  # six seconds of stems are in the machine's memory at once


class Upload:
    """Brings batches to the device, from two buffers that take turns.

    Args:
        device: where to.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._slots = [_Slot(), _Slot()] if device.type == "cuda" else [_Slot()]
        self._lane = _Lane(device) if device.type == "cuda" else None

    def buffer(self, *shape: int) -> Samples:
        """Return zeroed memory of a shape, to be filled before `send`."""
        self._slots.reverse()
        slot = self._slots[0]
        slot.wait()
        if slot.host is None or slot.host.shape != shape:
            slot.host = torch.empty(shape, pin_memory=self._lane is not None)
            if self._lane is not None:
                slot.there = torch.empty(shape, device=self._device)
                self._lane.follow()  # its memory may have been another tensor's just now
        result: Samples = slot.host.numpy()
        result.fill(0.0)
        return result

    def send(self) -> torch.Tensor:
        """Return the last buffer's content on the device; it is there until the next but one."""
        slot = self._slots[0]
        if slot.host is None:
            raise RuntimeError("send() without buffer()")
        if self._lane is None:
            return slot.host.to(self._device)
        slot.copied = self._lane.bring(slot.host, slot.there)
        return slot.there


class _Slot:
    """A buffer on both sides, and what tells that one is copied to the other."""

    def __init__(self) -> None:
        self.host: torch.Tensor | None = None
        self.there = torch.empty(0)
        self.copied: Any = None

    def wait(self) -> None:
        """Wait until the buffer may be filled anew."""
        if self.copied is not None:
            self.copied.synchronize()


class Downloads:
    """Brings results from the device.

    Args:
        device: where from.
    """

    def __init__(self, device: torch.device) -> None:
        self._lane = _Lane(device) if device.type == "cuda" else None
        self._hosts: list[torch.Tensor] = []

    def pieces(self, samples: torch.Tensor) -> Iterator[Samples]:
        """Return samples as they are now, in pieces that are brought when they are taken.

        What is calculated between this call and that does not hold them up.

        Args:
            samples: shape (stems, 2, n); nothing may change them any more.

        Returns:
            Pieces of shape (stems, 2, up to PIECE_FRAMES), one after the other.
        """
        pieces = torch.split(samples, PIECE_FRAMES, dim=-1)
        if self._lane is None:
            return (np.asarray(piece.cpu().numpy(), np.float32) for piece in pieces)
        return self._brought(pieces, self._lane, self._lane.moment())

    def _brought(
        self,
        pieces: tuple[torch.Tensor, ...],
        lane: "_Lane",
        calculated: Any,  # noqa: ANN401
    ) -> Iterator[Samples]:
        """Yield the pieces; each is copied while the one before is looked at."""
        coming: tuple[torch.Tensor, Any] | None = None
        for number, piece in enumerate(pieces):
            host = self._host(number % 2, piece)
            arrived = lane.take(piece, host, calculated)
            if coming is not None:
                yield _arrived(*coming)
            coming = host, arrived
        if coming is not None:
            yield _arrived(*coming)

    def _host(self, number: int, piece: torch.Tensor) -> torch.Tensor:
        """Return pinned memory of a piece's shape."""
        if len(self._hosts) <= number:
            size = piece.shape[:-1].numel() * PIECE_FRAMES
            self._hosts.append(torch.empty(size, pin_memory=True))
        return self._hosts[number][: piece.numel()].view(piece.shape)


def _arrived(host: torch.Tensor, arrived: Any) -> Samples:  # noqa: ANN401
    """Return a copy of what has arrived: the buffer is filled again soon."""
    arrived.synchronize()
    return np.array(host.numpy(), np.float32)


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
        self._stream = cuda.Stream(device)
        self._calculating = cuda.current_stream(device)
        self._before = self.moment()

    def moment(self) -> Any:  # noqa: ANN401 - an event
        """Return what tells when all that is calculated so far is done."""
        return self._calculating.record_event()

    def follow(self) -> None:
        """Let what is copied from now on wait for all that is calculated so far."""
        self._stream.wait_event(self.moment())

    def bring(self, host: torch.Tensor, there: torch.Tensor) -> Any:  # noqa: ANN401
        """Copy pinned memory to the device; return what tells when that is done.

        It waits for what was calculated before the last such copy: with two buffers that take
        turns, that is all that has to do with `there`. What is calculated from now on waits for it.
        """
        self._stream.wait_event(self._before)
        self._before = self.moment()
        with self._cuda.stream(self._stream):
            there.copy_(host, non_blocking=True)
            copied = self._stream.record_event()
        self._calculating.wait_event(copied)
        return copied

    def take(self, there: torch.Tensor, host: torch.Tensor, calculated: Any) -> Any:  # noqa: ANN401
        """Copy to pinned memory once it is calculated; return what tells when it is there."""
        self._stream.wait_event(calculated)
        with self._cuda.stream(self._stream):
            host.copy_(there, non_blocking=True)
            return self._stream.record_event()
