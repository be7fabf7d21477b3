"""The stem that takes what the model left over of the mixture, in the clip mode `exact`."""

from collections.abc import Callable, Sequence

import numpy as np

from splitjob_worker.spool import CHANNELS, Samples, Spool, SpoolReader
from splitjob_worker.stems import clipping, exact
from splitjob_worker.stems.output import StemOutput
from splitjob_worker.stems.stem_writer import StemWriter, not_finite


class ResidualWriter(StemWriter):
    """Makes a stem out of the mixture and all other stems, in whole steps (`exact.residual`).

    It spools nothing: where the gain is not 1, it makes the stem again of what the others spooled.

    Args:
        name: of the stem.
        mixture: at the model's rate.
        model_rate: Hz.
        output: as of `StemWriter`.
        levels: of the song's stems so far; mixture and files are taken into account.
        others: the writers of all other stems.
        replaced: which of the model's stems it takes the place of; None: none.
    """

    def __init__(
        self,
        name: str,
        mixture: Spool,
        model_rate: int,
        output: StemOutput,
        levels: clipping.Levels,
        others: Sequence[StemWriter],
        replaced: int | None,
    ) -> None:
        super().__init__(name, mixture.frames, model_rate, output, levels)
        self._mixture, self._others, self._replaced = mixture, others, replaced
        self._heard = 0
        self._reader: SpoolReader | None = None

    def open(self) -> None:
        """Create the file; see `StemWriter.open`."""
        self._reader = self._mixture.reader()
        self._file = self._new_file()

    def write(self, samples: Samples) -> None:
        """Append what is left over of the mixture.

        Args:
            samples: of all stems of the model, shape (stems, 2, n).

        Raises: as `StemWriter.write`.
        """
        others = [stem for row, stem in enumerate(samples) if row != self._replaced]
        if self._replaced is not None and not np.isfinite(samples[self._replaced]).all():
            raise not_finite()
        with np.errstate(over="ignore", invalid="ignore"):  # infinite and nan are failures later
            mixture = self._mixture_of(samples.shape[-1])
            self._blocks.add(exact.residual(mixture, others, 1.0, self._levels.extent).T)

    def remove_spool(self) -> None:
        """Close the mixture's, which is not this writer's to delete."""
        if self._reader:
            self._reader.close()

    def _mixture_of(self, frames: int) -> Samples:
        """Return the next samples of the mixture, shape (2, frames)."""
        if self._reader is None:
            raise RuntimeError(f"the file of {self.name} was never opened")
        start, self._heard = self._heard, self._heard + frames
        return np.ascontiguousarray(self._reader.read(start, self._heard).T)

    def _encode_again(self, gain: float, check: Callable[[], None]) -> None:
        self._file = self._new_file(gain)
        extent = exact.Extent(len(self._others) + 1)
        spools = [self._mixture, *(writer.spooled() for writer in self._others)]
        for blocks in zip(*(spool.blocks() for spool in spools), strict=True):
            check()
            mixture, *others = (block.reshape(-1) for block in blocks)
            self._file.append(exact.residual(mixture, others, gain, extent).reshape(-1, CHANNELS))
            self._observer.file_grew(self._file.path)
        if not extent.fits:
            raise RuntimeError(f"a gain of {gain} is too high")
