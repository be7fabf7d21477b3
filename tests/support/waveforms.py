"""What a waveform must say, from its definition sample by sample."""

from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray


def as_defined(samples: NDArray[np.int16], rate: int = 44_100) -> dict[str, Any]:
    """Return what `audiowaveform --pixels-per-second 100 -b 8` gives.

    Args:
        samples: of a 16-bit file, shape (n, channels).
        rate: Hz.
    """
    size = rate // 100
    averages = [_truncated(sum(frame), len(frame)) for frame in samples.tolist()]
    values = []
    for start in range(0, len(averages), size):
        point = averages[start : start + size]
        values += [_truncated(min(point), 256), _truncated(max(point), 256)]
    return {
        "version": 2,
        "channels": 1,
        "sample_rate": rate,
        "samples_per_pixel": size,
        "bits": 8,
        "length": len(values) // 2,
        "data": values,
    }


def sixteen_bits(path: Path) -> NDArray[np.int16]:
    """Return the samples of a lossless 16-bit file, shape (n, 2)."""
    with av.open(str(path)) as file:
        return np.concatenate([one.to_ndarray().reshape(-1, 2) for one in file.decode(audio=0)])


def _truncated(numerator: int, denominator: int) -> int:
    """Divide as C does: towards zero."""
    quotient = abs(numerator) // denominator
    return quotient if numerator >= 0 else -quotient
