"""How well stems are separated, in dB."""

import numpy as np
from numpy.typing import NDArray

Audio = NDArray[np.float32]

_EPSILON = 1e-7


def sdr(reference: Audio, estimate: Audio) -> float:
    """Signal-to-distortion ratio over a whole song, as in the Music Demixing Challenge 2021.

    10 log10((sum s^2 + 1e-7) / (sum (s - e)^2 + 1e-7)); Mitsufuji et al., "Music Demixing
    Challenge 2021", Frontiers in Signal Processing 1 (2022), as in Demucs' `new_sdr`.

    Args:
        reference: the true stem, any shape.
        estimate: the separated stem, same shape.
    """
    true = reference.astype(np.float64)
    energy = np.sum(true**2) + _EPSILON
    error = np.sum((true - estimate) ** 2) + _EPSILON
    return float(10.0 * np.log10(energy / error))


def scaled_to_fit(reference: Audio, estimate: Audio) -> Audio:
    """The estimate times the gain that brings it closest to the reference."""
    power = float(np.sum(estimate.astype(np.float64) ** 2))
    gain = float(np.sum(reference.astype(np.float64) * estimate)) / max(power, _EPSILON)
    return (estimate * np.float32(gain)).astype(np.float32)


def si_sdr(reference: Audio, estimate: Audio) -> float:
    """Scale-invariant SDR (Le Roux et al., "SDR - half-baked or well done?", ICASSP 2019).

    The reference is scaled to fit the estimate, so a mere gain counts for nothing.
    """
    target = scaled_to_fit(estimate, reference)
    return sdr(target, estimate)
