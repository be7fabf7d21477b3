"""Mean and deviation of a song, by which its mixture is normalised, measured in one pass."""

from dataclasses import dataclass

import numpy as np

from splitjob_worker.spool import Samples

EPSILON = 1e-8  # demucs.api.Separator.separate_tensor


@dataclass(frozen=True)
class Normalisation:
    """A model's input is (x - mean) / deviation; its output is scaled back.

    Attributes:
        mean: of the channels' mean.
        deviation: standard deviation of the channels' mean, never 0.
    """

    mean: float = 0.0
    deviation: float = 1.0


class Statistics:
    """Measures mean and deviation of a song block by block, as Demucs does for the whole.

    Source: `demucs.api.Separator.separate_tensor`.
    """

    def __init__(self) -> None:
        self._count, self._mean = 0, 0.0
        self._squares = 0.0  # sum of squared distances from the mean

    def add(self, block: Samples) -> None:
        """Take the next samples, shape (n, channels)."""
        if not len(block):
            return
        mono = block.mean(axis=1, dtype=np.float64)
        block_mean = float(mono.mean())
        # Chan, Golub, LeVeque 1979: updating formulae for sample variances
        distance, total = block_mean - self._mean, self._count + len(mono)
        self._squares += float(np.square(mono - block_mean).sum())
        self._squares += distance * distance * self._count * len(mono) / total
        self._mean += distance * len(mono) / total
        self._count = total

    def result(self) -> Normalisation:
        """Return mean and sample deviation (ddof = 1) + 1e-8 of all blocks.

        A song of one sample has no deviation and is not normalised.
        """
        if self._count < 2:
            return Normalisation()
        return Normalisation(
            self._mean, float(np.sqrt(self._squares / (self._count - 1))) + EPSILON
        )
