"""Stems on their way from a device, one that copies only when it is waited for included."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from bench.reference import CPU
from splitjob_worker.engine import transfer
from splitjob_worker.engine.transfer import PIECE_FRAMES, DeviceToHost

LENGTHS = [1, PIECE_FRAMES, PIECE_FRAMES + 1, 5 * PIECE_FRAMES // 2]


class Event:
    """What happens at the latest when it is waited for."""

    def __init__(self, happens: Callable[[], object]) -> None:
        self._happens = happens

    def synchronize(self) -> None:
        self._happens()
        self._happens = lambda: None


class CopyStream:
    """The fastest stream of copies that there could be, or the slowest."""

    late = False

    def __init__(self, device: torch.device) -> None:
        assert device.type == "cuda"

    def computed_so_far(self) -> Event:
        return Event(lambda: None)

    def copy_to_host(self, there: torch.Tensor, host: torch.Tensor, computed: Event) -> Event:
        computed.synchronize()
        copied = Event(lambda: host.copy_(there))
        if not self.late:
            copied.synchronize()
        return copied


@pytest.fixture(params=["cpu", "prompt", "late"])
def downloads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> DeviceToHost:
    """From a CPU, and from a pretended CUDA device."""
    if request.param == "cpu":
        return DeviceToHost(CPU)
    empty: Any = torch.empty
    monkeypatch.setattr(torch, "empty", lambda size, pin_memory: empty(size))
    monkeypatch.setattr(transfer, "_CopyStream", CopyStream)
    monkeypatch.setattr(CopyStream, "late", request.param == "late")
    return DeviceToHost(torch.device("cuda"))


@pytest.mark.parametrize("frames", LENGTHS)
def test_pieces_are_what_was_calculated(downloads: DeviceToHost, frames: int) -> None:
    for _song in range(2):  # the second finds the buffers of the first
        stems = torch.randn(2, 2, frames)
        pieces = list(downloads.pieces(stems))
        assert max(piece.shape[-1] for piece in pieces) <= PIECE_FRAMES
        assert np.array_equal(np.concatenate(pieces, axis=-1), stems.numpy())
