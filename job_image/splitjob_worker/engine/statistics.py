"""What the mixture is normalised by: mean and deviation of the whole song, in one pass."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from splitjob_worker.spool import Samples

EPSILON = 1e-8  # demucs.api.Separator.separate_tensor


@dataclass(frozen=True)
class Normalisation:
    """The model hears (x - mean) / deviation, and what it gives is scaled back.

    Attributes:
        mean: of the channels' mean.
        deviation: standard deviation of the channels' mean, never 0.
    """

    mean: float = 0.0
    deviation: float = 1.0


def normalisation(blocks: Iterable[Samples]) -> Normalisation:
    """Return what Demucs normalises a song by (`demucs.api.Separator.separate_tensor`).

    Args:
        blocks: the song piece by piece, shape (n, channels).

    Returns:
        Mean and sample deviation (ddof = 1) + 1e-8. A song of one sample has no deviation: it is
        left as it is.
    """
    count, mean, squares = 0, 0.0, 0.0  # squares: sum of squared distances from the mean
    for block in blocks:
        if not len(block):
            continue
        mono = block.mean(axis=1, dtype=np.float64)
        block_mean = float(mono.mean())
        # Chan, Golub, LeVeque 1979: updating formulae for sample variances
        distance, total = block_mean - mean, count + len(mono)
        squares += float(np.square(mono - block_mean).sum())
        squares += distance * distance * count * len(mono) / total
        mean += distance * len(mono) / total
        count = total
    if count < 2:
        return Normalisation()
    return Normalisation(mean, float(np.sqrt(squares / (count - 1))) + EPSILON)
