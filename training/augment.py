"""Augmentation of excerpts of the training songs.

Speed and pitch, colour, room, distortion, a short comb, loudness that wanders. None imitates an
effect; each is drawn widely, so that the model does not take an effect for a stem.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from splitjob_synth import SAMPLERATE

Audio = NDArray[np.float32]

QUARTER_TONES = (-7, -5, -3, -3, -1, -1, 0, 0, 1, 1, 3, 3, 5, 7)
"""How far an excerpt may be moved in pitch: by odd numbers of quarter tones or not at all, so that
what results lies between two keys and never in one that the held-out songs have."""

_COLOURED, _IN_A_ROOM, _DISTORTED, _COMBED, _WANDERING = 0.6, 0.3, 0.2, 0.15, 0.15


def draw_speed(rng: np.random.Generator) -> float:
    """A factor on speed and pitch."""
    return float(2.0 ** (rng.choice(QUARTER_TONES) / 24.0))


def resample(excerpt: Audio, speed: float, samples: int) -> Audio:
    """Play an excerpt faster or slower, with linear interpolation.

    Args:
        excerpt: shape (2, n), n at least samples * speed + 1.
        speed: above 1 is faster and higher.
        samples: length of the result.
    """
    if speed == 1.0:
        return excerpt[:, :samples]
    position = np.arange(samples) * speed
    index = position.astype(np.int64)
    fraction = (position - index).astype(np.float32)
    between = excerpt[:, index] * (1.0 - fraction) + excerpt[:, index + 1] * fraction
    return np.asarray(between, dtype=np.float32)


def change_colour(excerpt: Audio, rng: np.random.Generator) -> Audio:
    """Change an excerpt of shape (2, n) by chance, in one or several ways; same loudness."""
    changed = excerpt
    for chance, change in (
        (_COLOURED, _filtered),
        (_COMBED, _combed),
        (_DISTORTED, _distorted),
        (_WANDERING, _wandering),
    ):
        if rng.random() < chance:
            changed = change(changed, rng)
    if changed is excerpt:
        return excerpt
    loudness = np.sqrt(np.mean(excerpt**2) / max(float(np.mean(changed**2)), 1e-12))
    return np.asarray(changed * np.float32(min(loudness, 100.0)), dtype=np.float32)


def _filtered(excerpt: Audio, rng: np.random.Generator) -> Audio:
    """Three broad boosts or cuts and perhaps a room, in one multiplication of spectra."""
    room = _room(rng) if rng.random() < _IN_A_ROOM else None
    length = excerpt.shape[1]
    size = next_fast_len(length + (room.shape[1] if room is not None else 0), real=True)
    spectrum = rfft(excerpt, size) * _equaliser(size, rng)
    if room is not None:
        spectrum *= 1.0 + rfft(room, size)
    return np.asarray(irfft(spectrum, size)[:, :length], dtype=np.float32)


def _combed(excerpt: Audio, rng: np.random.Generator) -> Audio:
    """Add the excerpt to itself, later by 0.2 to 12 ms, with its polarity or the other."""
    seconds = np.exp(rng.uniform(np.log(0.2e-3), np.log(12e-3)))
    late = max(1, int(seconds * SAMPLERATE))
    changed = excerpt.copy()
    changed[:, late:] += np.float32(rng.uniform(-0.8, 0.8)) * excerpt[:, :-late]
    return changed


def _distorted(excerpt: Audio, rng: np.random.Generator) -> Audio:
    """Bend the waveform: odd and even harmonics, up to where it turns back at its peaks."""
    peak = max(float(np.abs(excerpt).max()), 1e-6)
    driven = excerpt * np.float32(rng.uniform(0.8, 4.0) / peak)
    bent = np.tanh(driven)
    if rng.random() < 0.5:
        even, turn = (np.float32(x) for x in rng.uniform((-0.4, -0.6), (0.4, 0.6)))
        bent += even * bent * bent + turn * np.sin(np.float32(np.pi) * bent)
    return np.asarray(bent, dtype=np.float32)


def _wandering(excerpt: Audio, rng: np.random.Generator) -> Audio:
    """Let the loudness of either side wander by up to 15 dB, 1 to 8 times a second."""
    length = excerpt.shape[1]
    knots = 2 + int(length / SAMPLERATE * np.exp(rng.uniform(0.0, np.log(8.0))))
    at = np.linspace(0, length - 1, knots)
    gains = 10.0 ** (rng.uniform(-15.0, 0.0, (2, knots)) / 20.0)
    wander = np.stack([np.interp(np.arange(length), at, side) for side in gains])
    return np.asarray(excerpt * wander, dtype=np.float32)


def _equaliser(size: int, rng: np.random.Generator) -> Audio:
    """Gain for every bin of a real spectrum of `size` samples."""
    octave = np.log2(np.arange(1, size // 2 + 2, dtype=np.float32) * np.float32(SAMPLERATE / size))
    decibels = np.zeros_like(octave)
    for centre in rng.uniform(np.log2(60), np.log2(12_000), 3):
        width = rng.uniform(0.4, 1.6)
        decibels += np.float32(rng.uniform(-8, 8)) * np.exp(-0.5 * ((octave - centre) / width) ** 2)
    return np.asarray(10.0 ** (decibels / 20.0), dtype=np.float32)


def _room(rng: np.random.Generator) -> Audio:
    """The reverberation of a small room: decaying noise, quieter than what causes it."""
    seconds = float(np.exp(rng.uniform(np.log(0.08), np.log(0.7))))
    n = int(seconds * SAMPLERATE)
    noise = rng.standard_normal((2, n), dtype=np.float32)
    noise *= np.exp(-6.0 * np.arange(n, dtype=np.float32) / n)
    return noise * np.float32(rng.uniform(0.1, 0.6) / np.sqrt(np.sum(noise[0] ** 2)))
