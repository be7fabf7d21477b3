"""The clip mode `exact`: files that, once decoded, sum to the mixture to the last bit.

All is counted in steps of 2^-23, which files of 24 bits and float32 can hold. At a gain g, a sample
x becomes the whole number of steps next to `x * g`, the even one of two. So the mixture becomes M,
and each stem but one S. That one, the residual's stem, is what is left: `R = M - sum(S)`. The files
therefore sum to M, provided that each of them fits and that whoever adds the decoded samples up
makes no error on the way.

No error: in whichever order and grouping they are added, every intermediate result is the sum of
some of the files' samples. It lies between the sum of the negative ones, -B, and that of the
positive ones, A. Where W is the sum of the magnitudes, A + B = W and A - B = M, so that both are at
most (W + |M|) / 2. float32 holds every whole number up to 2^24, and an addition whose result it can
hold is exact (IEEE 754). So (W + |M|) / 2 <= 2^24, twice full scale, is enough. The same holds for
the mixture minus some of the files, which is the sum of the others; for whole numbers of 26 bits or
more; and for arithmetic modulo 2^24, since M itself fits into 24 bits.

The gain is 1 where all of that holds at 1. Otherwise the peaks at 1, q, tell what they become at a
gain g < 1. Of n files, rounding moves M and each S by half a step at most, R by n/2, and
(W + |M|) / 2 by n/2. So what is q at 1 is at most `(q + n/2) * g + n/2` at g.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from splitjob.errors import ErrorCode, Failure
from splitjob_worker.spool import Samples

FULL_SCALE = 1 << 23  # steps
MAX_PARTIAL_SUM = 2 * FULL_SCALE
GAIN_STEPS = 10**7  # of the gain in 1: seven decimals, which every report of it holds
_STEP = 1 / FULL_SCALE
_CHUNK = 1 << 15  # samples at a time: fewer, and threads wait for one another at each call

Steps = NDArray[np.float64]


class Extent:
    """How far mixture and files of a song reach, as far as it is known.

    Args:
        files: how many.

    Attributes:
        lowest, highest: sample of the mixture and of any file, in steps.
        partial_sum: bound of the sum of any of the files at one time, in steps.
    """

    def __init__(self, files: int) -> None:
        self.lowest = self.highest = self.partial_sum = 0.0
        self._files = files

    @property
    def fits(self) -> bool:
        """Whether files of 24 bits can hold it, and float32 every sum."""
        return (
            self.lowest >= -FULL_SCALE
            and self.highest < FULL_SCALE
            and self.partial_sum <= MAX_PARTIAL_SUM
        )

    @property
    def gain(self) -> float:
        """The gain at which it fits, where this is the extent at a gain of 1; at most 1.

        Raises:
            Failure: `internal_error`: there is none; the model gave millions of times full scale.
        """
        if self.fits:
            return 1.0
        moved = self._files / 2
        margin = moved + 1  # a whole step more than rounding, for float64's own
        peak = max(self.highest, -self.lowest)
        gain = min(
            (FULL_SCALE - 1 - margin) / (peak + moved),
            (MAX_PARTIAL_SUM - margin) / (self.partial_sum + moved),
        )
        if gain * GAIN_STEPS < 1:
            raise Failure(
                ErrorCode.INTERNAL_ERROR,
                f"the model gave samples of {peak / FULL_SCALE:.0e} times full scale",
            )
        return math.floor(gain * GAIN_STEPS) / GAIN_STEPS

    def add(self, steps: Samples | Steps) -> None:
        """Take samples of the mixture or of a file into account."""
        self.lowest = min(self.lowest, float(steps.min()))
        self.highest = max(self.highest, float(steps.max()))


def on_grid(samples: Samples, gain: float) -> Samples:
    """Return samples at a gain as multiples of 2^-23, as a file of 24 bits holds them.

    What does not fit, and is not to be kept, is cut off: encoders may be given no more.
    """
    whole = np.rint(_scaled(samples, gain))
    np.clip(whole, -FULL_SCALE, FULL_SCALE - 1, out=whole)
    return np.multiply(whole, _STEP, out=np.empty_like(samples), casting="same_kind")


def residual(mixture: Samples, others: Sequence[Samples], gain: float, extent: Extent) -> Samples:
    """Return the residual's stem at a gain, in multiples of 2^-23; exact where it fits.

    Args:
        mixture: shape (n,) or (channels, n).
        others: all other stems, of the same shape.
        gain: of all of them.
        extent: takes mixture and files into account.
    """
    made = np.empty_like(mixture)
    for start in range(0, mixture.shape[-1], _CHUNK):
        part = np.s_[..., start : start + _CHUNK]
        steps = _residual(mixture[part], [stem[part] for stem in others], gain, extent)
        np.multiply(steps, _STEP, out=made[part], casting="same_kind")
    return made


def _residual(mixture: Samples, others: Sequence[Samples], gain: float, extent: Extent) -> Steps:
    left = np.rint(_scaled(mixture, gain), dtype=np.float64)
    extent.add(left)
    magnitudes = np.abs(left)
    for stem in others:
        part = np.rint(_scaled(stem, gain))
        extent.add(part)
        left -= part
        magnitudes += np.abs(part, out=part)
    extent.add(left)
    magnitudes += np.abs(left)
    extent.partial_sum = max(extent.partial_sum, float(magnitudes.max()) / 2)
    return left


def _scaled(samples: Samples, gain: float) -> Samples | Steps:
    """Return samples in steps, not rounded yet; float32 suffices for a power of two."""
    if gain == 1.0:
        with np.errstate(over="ignore"):  # what is infinite does not fit
            return samples * np.float32(FULL_SCALE)
    return np.multiply(samples, gain * FULL_SCALE, dtype=np.float64)
