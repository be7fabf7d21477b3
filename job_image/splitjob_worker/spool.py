"""Audio on the scratch disk: raw float32, stereo, interleaved.

Written and read in blocks, with plain writes and reads rather than a memory map: a full disk is an
exception and not a killed process, and memory does not grow with the song.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

CHANNELS = 2
FRAME_BYTES = 4 * CHANNELS
BLOCK_FRAMES = 1 << 17  # about three seconds, 1 MiB

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Spool:
    """A finished spool.

    Attributes:
        path: the file.
        frames: samples per channel.
    """

    path: Path
    frames: int

    def reader(self) -> "SpoolReader":
        """Open the spool for reading at any position."""
        return SpoolReader(self)

    def blocks(self, frames: int = BLOCK_FRAMES) -> Iterator[Samples]:
        """Yield the samples in blocks of shape (<= frames, 2), each a copy in memory."""
        with self.path.open("rb") as file:
            while data := file.read(frames * FRAME_BYTES):
                yield np.frombuffer(data, np.float32).reshape(-1, CHANNELS)


class SpoolReader:
    """Reads at any position of a spool; a context manager."""

    def __init__(self, spool: Spool) -> None:
        self.frames = spool.frames
        self._file = spool.path.open("rb", buffering=0)

    def read(self, start: int, stop: int) -> Samples:
        """Return samples from start to stop, both within the spool, shape (stop - start, 2)."""
        data = os.pread(self._file.fileno(), (stop - start) * FRAME_BYTES, start * FRAME_BYTES)
        return np.frombuffer(data, np.float32).reshape(stop - start, CHANNELS)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


class SpoolWriter:
    """Appends to a spool; a context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.frames = 0
        self._file = path.open("wb")

    def append(self, samples: Samples) -> None:
        """Append samples of shape (n, 2).

        Raises:
            OSError: the disk is full, or broken.
        """
        self._file.write(np.ascontiguousarray(samples, np.float32).data)
        self.frames += len(samples)

    def close(self) -> Spool:
        """Finish the spool."""
        self._file.close()
        return Spool(self.path, self.frames)

    def remove(self) -> None:
        """Delete the spool, finished or not."""
        with suppress(OSError):  # what is still buffered may not fit on the disk
            self._file.close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


class Blocks:
    """Collects samples into blocks of the size that `Spool.blocks` yields.

    The files of a song must not depend on the sizes of the pieces in which it arrived.

    Args:
        use: is given each block, shape (<= BLOCK_FRAMES, 2), whose memory is reused afterwards.

    Attributes:
        taken: samples per channel, so far.
    """

    def __init__(self, use: Callable[[Samples], None]) -> None:
        self._use = use
        self._block = np.empty((BLOCK_FRAMES, CHANNELS), np.float32)
        self._held = self.taken = 0

    def add(self, samples: Samples) -> None:
        """Take the next samples, shape (n, 2)."""
        self.taken += len(samples)
        while len(samples):
            part, samples = np.split(samples, [BLOCK_FRAMES - self._held])
            self._block[self._held : self._held + len(part)] = part
            self._held += len(part)
            if self._held == BLOCK_FRAMES:
                self.finish()

    def finish(self) -> None:
        """Hand over the samples that do not fill a block."""
        if self._held:
            self._use(self._block[: self._held])
            self._held = 0
