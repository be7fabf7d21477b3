"""What is done to a stem that exceeds full scale.

`rescale`, `clamp` and `tanh` are Demucs' own (`demucs.audio.prevent_clip`, 4.1.0); `shared` is
`rescale` with one gain for all stems, so that they still sum to the mixture up to rounding; with
`exact` (`stems.exact`) they do to the last bit.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from splitjob_worker.spool import Samples
from splitjob_worker.stems import exact
from splitjob_worker.stems.encoding import ClipMode

HEADROOM = 1.01
CLAMP = 0.99


class Levels:
    """How loud the stems of a song are, as far as it is known, and the gains that follow.

    A gain that differs from 1 does so for good.

    Args:
        names: of the stems.
        mode: the clip mode.

    Attributes:
        peaks: largest magnitude of each stem as it is before the gain; 1 is full scale.
        extent: of mixture and files, where the mode is `exact`.
    """

    def __init__(self, names: Sequence[str], mode: ClipMode) -> None:
        self.peaks = dict.fromkeys(names, 0.0)
        self.extent = exact.Extent(len(names))
        self._mode = mode

    def gains(self) -> dict[str, float]:
        """Return the gain of each stem.

        Raises:
            Failure: `internal_error`: no gain brings the stems into a file.
        """
        if self._mode == "exact":
            return dict.fromkeys(self.peaks, self.extent.gain)
        return gains(self.peaks, self._mode)


def gains(peaks: Mapping[str, float], mode: ClipMode) -> dict[str, float]:
    """Return the gain of each stem, which follows from the peaks in each mode but `exact`.

    Args:
        peaks: largest magnitude of each stem; 1 is full scale.
        mode: the clip mode.
    """
    if mode == "rescale":
        return {name: _gain(peak) for name, peak in peaks.items()}
    if mode == "shared":
        return dict.fromkeys(peaks, _gain(max(peaks.values())))
    return dict.fromkeys(peaks, 1.0)


def may_scale(mode: ClipMode) -> bool:
    """Return whether the gain can differ from 1; if so, it is known only at the end of a stem."""
    return mode in {"rescale", "shared", "exact"}


def apply(block: Samples, gain: float, mode: ClipMode, *, bounded: bool) -> Samples:
    """Return a block as it is encoded.

    Args:
        block: samples, shape (n, 2).
        gain: the stem's gain.
        mode: the clip mode.
        bounded: whether the format cannot hold samples above full scale (`Encoding.bounded`).
    """
    if mode == "exact":
        return exact.on_grid(block, gain)
    if gain != 1.0:
        block = block * np.float32(gain)
    if mode == "clamp":
        return np.clip(block, -CLAMP, CLAMP)
    if mode == "tanh":
        return np.tanh(block)
    return np.clip(block, -1.0, 1.0) if bounded else block


def _gain(peak: float) -> float:
    return 1.0 / max(HEADROOM * peak, 1.0)
