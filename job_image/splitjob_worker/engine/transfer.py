"""Between the machine's memory and the device's.

On CUDA, copies come from and go to pinned memory and run beside the calculation; elsewhere there is
nothing to overlap.
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
        self._pinned = device.type == "cuda"
        self._buffers: list[torch.Tensor | None] = [None, None]
        self._copied: list[Any] = [None, None]
        self._turn = 0

    def buffer(self, *shape: int) -> Samples:
        """Return zeroed memory of a shape, to be filled before `send`."""
        self._turn = 1 - self._turn if self._pinned else 0
        if self._copied[self._turn] is not None:
            self._copied[self._turn].synchronize()
        buffer = self._buffers[self._turn]
        if buffer is None or buffer.shape != shape:
            buffer = torch.empty(shape, pin_memory=self._pinned)
            self._buffers[self._turn] = buffer
        result: Samples = buffer.numpy()
        result.fill(0.0)
        return result

    def send(self) -> torch.Tensor:
        """Return the last buffer's content on the device."""
        buffer = self._buffers[self._turn]
        if buffer is None:
            raise RuntimeError("send() without buffer()")
        if not self._pinned:
            return buffer.to(self._device)
        result = buffer.to(self._device, non_blocking=True)
        self._copied[self._turn] = _event()
        return result


class Download:
    """A result on its way from the device.

    Args:
        tensor: on the device.
    """

    def __init__(self, tensor: torch.Tensor) -> None:
        self._arrived: Any = None
        if tensor.device.type == "cuda":
            self._host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
            self._host.copy_(tensor, non_blocking=True)
            self._arrived = _event()
        else:
            self._host = tensor.cpu()

    def samples(self) -> Samples:
        """Wait until it is there, and return it."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return np.asarray(self._host.numpy(), np.float32)


def _event() -> Any:  # noqa: ANN401 - torch.cuda.Event has no types
    """Return what tells when everything asked of the GPU so far is done."""
    cuda: Any = torch.cuda
    event = cuda.Event()
    event.record()
    return event
