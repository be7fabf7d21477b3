"""What is done where a stem exceeds full scale.

`rescale` and `clamp` are Demucs' own (`demucs.audio.prevent_clip`, 4.1.0); `shared` is `rescale`
with one gain for all stems, so that they still sum to the mixture.
"""

from collections.abc import Mapping

import numpy as np

from splitjob.resource import ClipMode
from splitjob_worker.spool import Samples

HEADROOM = 1.01
CLAMP = 0.99


def gains(peaks: Mapping[str, float], mode: ClipMode) -> dict[str, float]:
    """Return the gain of each stem.

    Args:
        peaks: the largest magnitude of each stem, 1 is full scale.
        mode: the clip mode.
    """
    if mode == "rescale":
        return {name: _gain(peak) for name, peak in peaks.items()}
    if mode == "shared":
        return dict.fromkeys(peaks, _gain(max(peaks.values())))
    return dict.fromkeys(peaks, 1.0)


def apply(block: Samples, gain: float, mode: ClipMode, *, bounded: bool) -> Samples:
    """Return a block as it is encoded.

    Args:
        block: samples, shape (n, 2).
        gain: the stem's gain.
        mode: the clip mode.
        bounded: whether the encoding ends at full scale, as all but float do.
    """
    if gain != 1.0:
        block = block * np.float32(gain)
    if mode == "clamp":
        return np.clip(block, -CLAMP, CLAMP)
    return np.clip(block, -1.0, 1.0) if bounded else block


def _gain(peak: float) -> float:
    return 1.0 / max(HEADROOM * peak, 1.0)
