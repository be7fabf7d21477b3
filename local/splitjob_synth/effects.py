"""Effects on stereo signals: every one takes (signal, rng, beat) and draws its own settings.

`beat` is the length of a beat in samples, for delays that follow the tempo. What a family of
songs may use is listed in `palette.py`.
"""

from collections.abc import Callable

import numpy as np
import scipy

from splitjob_synth.signal import (
    SAMPLERATE,
    Signal,
    as_signal,
    bandpass,
    convolve,
    decay,
    highpass,
    lowpass,
    noise,
    peak_filter,
)

Effect = Callable[[Signal, np.random.Generator, int], Signal]


def _wet(dry: Signal, response: Signal, level: float) -> Signal:
    """Mix a signal with its reverberation at `level` times its own loudness."""
    wet = convolve(dry, response)
    return dry + wet * np.float32(level * _rms(dry) / max(_rms(wet), 1e-6))


def _rms(signal: Signal) -> float:
    return float(np.sqrt(np.mean(np.square(signal))))


def hall(signal: Signal, rng: np.random.Generator, beat: int) -> Signal:
    """Reverberation: exponentially decaying noise, darker as it decays, after a pre-delay."""
    seconds = rng.uniform(0.4, 2.2)
    n = int(min(seconds, 1.6) * SAMPLERATE)
    response = noise(rng, 2, n) * decay(n, seconds)
    response = lowpass(response, rng.uniform(2_500, 9_000), 1)
    response = highpass(response, rng.uniform(120, 400), 1)
    response = np.pad(response, ((0, 0), (int(rng.uniform(0, 0.04) * SAMPLERATE), 0)))
    return _wet(signal, response, rng.uniform(0.08, 0.45))


def plate(signal: Signal, rng: np.random.Generator, beat: int) -> Signal:
    """Reverberation: sparse echoes that grow denser, coloured by two resonances."""
    n = int(rng.uniform(0.6, 1.3) * SAMPLERATE)
    density = np.linspace(0.01, 0.5, n, dtype=np.float32)
    hits = rng.random((2, n), dtype=np.float32) < density
    response = noise(rng, 2, n) * hits * decay(n, n / SAMPLERATE)
    for hertz in rng.uniform(300, 4_000, 2):
        response = peak_filter(response, float(hertz), 6.0, 1.5)
    return _wet(signal, response, rng.uniform(0.1, 0.45))


def gated(signal: Signal, rng: np.random.Generator, beat: int) -> Signal:
    """Reverberation that is cut off: a block of noise with a flat envelope."""
    n = int(rng.uniform(0.12, 0.28) * SAMPLERATE)
    response = noise(rng, 2, n) * np.linspace(1.0, 0.5, n, dtype=np.float32)
    return _wet(signal, lowpass(response, rng.uniform(4_000, 9_000), 1), rng.uniform(0.1, 0.4))


def _shift(signal: Signal, samples: int) -> Signal:
    moved = np.zeros_like(signal)
    moved[:, samples:] = signal[:, : max(signal.shape[1] - samples, 0)]
    return moved


def echo(signal: Signal, rng: np.random.Generator, beat: int) -> Signal:
    """Echoes at a division of the beat, each darker than the one before."""
    step = int(beat * rng.choice([0.5, 0.75, 1.0, 1.5]))
    feedback = rng.uniform(0.2, 0.45)
    out, copy = signal.copy(), signal
    for _ in range(3):
        copy = lowpass(_shift(copy, step), 5_000, 1) * np.float32(feedback)
        out += copy
    return out


def ping_pong(signal: Signal, rng: np.random.Generator, beat: int) -> Signal:
    """Echoes that change sides each time."""
    step = int(beat * rng.choice([1 / 3, 2 / 3, 0.25]))
    out, copy = signal.copy(), signal
    for _ in range(4):
        copy = highpass(_shift(copy, step)[::-1], 250, 1) * np.float32(0.42)
        out += copy
    return out


def _modulated(signal: Signal, delay_ms: float, depth_ms: float, rate: float) -> Signal:
    """A copy of the signal behind a delay that a slow sine changes, in opposite ways per side."""
    n = signal.shape[1]
    time = np.arange(n)
    swing = np.sin(2.0 * np.pi * rate * time / SAMPLERATE) * depth_ms
    out = np.empty_like(signal)
    for side, sign in enumerate((1.0, -1.0)):
        position = np.maximum(time - (delay_ms + sign * swing) * SAMPLERATE / 1_000.0, 0.0)
        index = np.minimum(position.astype(np.int64), n - 2)
        fraction = (position - index).astype(np.float32)
        source = signal[side]
        out[side] = source[index] * (1.0 - fraction) + source[index + 1] * fraction
    return out


def chorus(signal: Signal, rng: np.random.Generator, beat: int) -> Signal:
    """Chorus: a copy that drifts slowly in pitch."""
    copy = _modulated(signal, rng.uniform(10, 20), rng.uniform(1, 4), rng.uniform(0.2, 1.2))
    return signal + np.float32(rng.uniform(0.3, 0.7)) * copy


def flanger(signal: Signal, rng: np.random.Generator, beat: int) -> Signal:
    """Flanger: a copy so close that the two cancel at moving frequencies."""
    copy = _modulated(signal, rng.uniform(2.0, 4.0), rng.uniform(0.8, 1.8), rng.uniform(0.1, 0.4))
    return signal - np.float32(rng.uniform(0.5, 0.8)) * copy


def _peak(signal: Signal) -> float:
    return max(float(np.abs(signal).max()), 1e-6)


def overdrive(signal: Signal, rng: np.random.Generator, beat: int) -> Signal:
    """Soft distortion: a hyperbolic tangent."""
    return as_signal(np.tanh(signal * np.float32(rng.uniform(1.5, 6.0) / _peak(signal))))


def fold(signal: Signal, rng: np.random.Generator, beat: int) -> Signal:
    """Wave folding: a sine as the transfer curve."""
    return as_signal(np.sin(signal * np.float32(rng.uniform(1.5, 2.5) / _peak(signal))))


def compress(signal: Signal, rng: np.random.Generator, beat: int) -> Signal:
    """Compressor: loudness followed in blocks of 5 ms, smoothed, reduced above a threshold."""
    block = 220
    n = signal.shape[1]
    padded = np.pad(signal, ((0, 0), (0, -n % block)))
    level = np.sqrt(np.mean(padded.reshape(2, -1, block) ** 2, axis=(0, 2))) + 1e-5
    smooth = np.asarray(scipy.signal.lfilter([0.15], [1.0, -0.85], level))
    threshold = rng.uniform(0.3, 0.8) * max(float(np.percentile(smooth, 95)), 1e-4)
    ratio = rng.uniform(2.0, 5.0)
    gain = np.minimum((np.maximum(smooth, 1e-6) / threshold) ** (1.0 / ratio - 1.0), 1.0)
    curve = np.interp(np.arange(n), np.arange(len(gain)) * block, gain)
    return as_signal(signal * curve)


def equalise(signal: Signal, rng: np.random.Generator, beat: int) -> Signal:
    """Two broad boosts or cuts."""
    for hertz in np.exp(rng.uniform(np.log(150), np.log(9_000), 2)):
        signal = peak_filter(signal, float(hertz), rng.uniform(-6, 6), rng.uniform(0.5, 1.2))
    return signal


def telephone(signal: Signal, rng: np.random.Generator, beat: int) -> Signal:
    """A narrow band, mixed with the unfiltered signal."""
    narrow = bandpass(signal, rng.uniform(250, 500), rng.uniform(2_500, 4_500))
    return np.float32(0.4) * signal + narrow


def tremolo(signal: Signal, rng: np.random.Generator, beat: int) -> Signal:
    """Loudness that swings at a division of the beat."""
    rate = rng.choice([1.0, 2.0, 4.0]) / beat
    swing = np.sin(2.0 * np.pi * rate * np.arange(signal.shape[1]))
    return as_signal(signal * (1.0 - rng.uniform(0.2, 0.5) * (0.5 + 0.5 * swing)))


def auto_pan(signal: Signal, rng: np.random.Generator, beat: int) -> Signal:
    """Balance that wanders between left and right."""
    swing = rng.uniform(0.2, 0.5) * np.sin(2.0 * np.pi * np.arange(signal.shape[1]) / (beat * 4))
    return signal * np.stack([1.0 - swing, 1.0 + swing]).astype(np.float32)


def width(signal: Signal, rng: np.random.Generator, beat: int) -> Signal:
    """Stereo width: the difference of the sides made larger or smaller."""
    middle = signal.mean(axis=0, keepdims=True)
    return as_signal(middle + (signal - middle) * rng.uniform(0.3, 1.5))


def crush(signal: Signal, rng: np.random.Generator, beat: int) -> Signal:
    """Coarse quantisation: 6 to 8 bits."""
    steps = np.float32(2.0 ** rng.integers(5, 8) / _peak(signal))
    return as_signal(np.round(signal * steps) / steps)
