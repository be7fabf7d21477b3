"""The stems become ranges: files on the scratch disk, each of about the same size."""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from splitjob_worker.engine.position import Position
from splitjob_worker.spool import Samples

RANGE_BYTES = 8 << 20  # six seconds of four stems


@dataclass(frozen=True)
class CutRange:
    """A range that waits to be sent.

    Attributes:
        path: its samples, float32, those of all stems and channels at one time side by side.
        size: bytes.
        frames: samples per channel of each stem.
        position: where one goes on behind it; None: only behind a later range.
    """

    path: Path
    size: int
    frames: int
    position: Position | None


class RangeCutter:
    """Collects blocks of the stems into ranges.

    One goes on only behind a range that ends at a position. A GPU gives many ranges from one
    position to the next, a model with shifts many positions within one range.

    Args:
        folder: for the files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: BinaryIO | None = None
        self._size = self._frames = self._count = 0
        self._position: Position | None = None
        self._at_position = True  # whether the last range ended at one

    def add(self, stems: Samples, position: Position | None) -> CutRange | None:
        """Take the next block, shape (stems, 2, n); return the range that it completes.

        Raises:
            OSError: the disk is full.
        """
        if self._file is None:
            self._file = (self._folder / f"checkpoint-{self._count:08}.f32").open("wb")
        flat = np.ascontiguousarray(stems.reshape(-1, stems.shape[-1]).T, "<f4")
        self._file.write(flat.data)
        self._size += flat.nbytes
        self._frames += len(flat)
        self._position = position
        enough = RANGE_BYTES if position is None else RANGE_BYTES // 2
        ends_a_step = position is not None and not self._at_position
        return self._cut() if self._size >= enough or ends_a_step else None

    def rest(self) -> CutRange | None:
        """Return what is collected, if one can go on behind it."""
        return self._cut() if self._file and self._position else None

    def close(self) -> None:
        """Close the file that is open."""
        if self._file:
            self._file.close()

    def _cut(self) -> CutRange | None:
        if self._file is None:
            return None
        self._file.close()
        cut = CutRange(Path(self._file.name), self._size, self._frames, self._position)
        self._at_position = self._position is not None
        self._file, self._position = None, None
        self._size = self._frames = 0
        self._count += 1
        return cut
