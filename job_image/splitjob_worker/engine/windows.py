"""The weights of a segment's samples where segments overlap."""

import numpy as np

from splitjob_worker.spool import Samples


def triangle(segment: int) -> Samples:
    """Return Demucs' weights (`demucs.apply.apply_model`): 1 in the middle, falling to both ends.

    Args:
        segment: samples.
    """
    half = segment // 2
    ramp = np.concatenate([np.arange(1, half + 1), np.arange(segment - half, 0, -1)])
    weights: Samples = (ramp / ramp.max()).astype(np.float32)
    return weights


def count_preceding(index: int, segment: int, stride: int) -> int:
    """Return how many earlier segments of a pass overlap the one with this index."""
    return min(index, (segment - 1) // stride)


def normalised(segment: int, stride: int, preceding: int) -> Samples:
    """Return the weights of a segment, divided by the sum over all segments of a pass.

    The weights of any one sample then add up to 1, so overlapping segments need only be added.
    Segments that would begin after the song's end do not count within it: only the number of
    preceding segments matters.

    Args:
        segment: samples.
        stride: samples from one segment to the next.
        preceding: how many earlier segments overlap this one.
    """
    weights = triangle(segment)
    total = np.zeros(segment, np.float64)
    for neighbour in range(-preceding, (segment - 1) // stride + 1):
        shift = neighbour * stride
        if shift <= 0:
            total[: segment + shift] += weights[-shift:]
        else:
            total[shift:] += weights[: segment - shift]
    return (weights / total).astype(np.float32)
