"""Stems that are written, read again and added up."""

import functools
import operator
from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np

from splitjob_worker.spool import Samples
from splitjob_worker.stems.encode import StemFile
from splitjob_worker.stems.encoding import Encoding
from splitjob_worker.stems.output import EncodedStem

RATE = 44100
FRAMES = 2 * RATE + 77


def sweep() -> Samples:
    """Return two seconds of a tone that rises, quieter in the right channel; shape (n, 2)."""
    time = np.arange(FRAMES) / RATE
    rising = 0.6 * np.sin(2 * np.pi * (200 + 300 * time) * time)
    return np.stack([rising, 0.5 * rising], 1).astype(np.float32)


def encode(
    sound: Samples, encoding: Encoding, folder: Path, gain: float = 1.0, rate: int = RATE
) -> EncodedStem:
    """Write a stem called x, in pieces."""
    file = StemFile("x", len(sound), rate, encoding, folder, gain)
    for start in range(0, len(sound), 30_000):
        file.write(sound[start : start + 30_000])
    return file.close(float(np.abs(sound).max()))


def read(path: Path) -> tuple[Samples, int]:
    """Decode a file; return its samples, shape (n, 2), and its rate."""
    with av.open(str(path)) as file:
        adapt = av.AudioResampler(format="flt", layout="stereo")
        frames = [*file.decode(audio=0), None]
        parts = [part.to_ndarray().reshape(-1, 2) for one in frames for part in adapt.resample(one)]
        return np.concatenate(parts), file.streams.audio[0].rate or 0


def total(files: Iterable[Samples]) -> Samples:
    """Add up what files hold, as a mixer does: in 32-bit numbers, one after the other."""
    return functools.reduce(operator.add, files)


def exact_target(song: Samples, gain: float) -> Samples:
    """Return what exact stems are to sum to, from nothing but the song and the gain told."""
    steps = np.rint(song.astype(np.float64) * gain * 2**23)
    assert np.abs(steps).max() <= 2**23
    return (steps / 2**23).astype(np.float32)
