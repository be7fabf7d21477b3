"""Building blocks of the synthesiser: oscillators, envelopes, filters, placement.

Signals are float32. A mono signal has shape (n,), a stereo one (2, n).
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
import scipy  # its parts are imported where they are first used: `signal` takes a second
from numpy.typing import NDArray

SAMPLERATE = 44_100
"""Samples per second of everything the synthesiser makes."""

Signal = NDArray[np.float32]
Option = TypeVar("Option")

_TABLE_SIZE = 4096


def as_signal(values: NDArray[Any]) -> Signal:
    """The same values in float32."""
    return np.asarray(values, dtype=np.float32)


def choose(rng: np.random.Generator, options: Sequence[Option]) -> Option:
    """One of the options, by chance."""
    return options[int(rng.integers(len(options)))]


def midi_to_hertz(note: float) -> float:
    """Frequency in Hz of a MIDI note number (69 is A4, 440 Hz)."""
    return float(440.0 * 2.0 ** ((note - 69.0) / 12.0))


def sine(phase: NDArray[Any]) -> Signal:
    """Sine of a phase in cycles, wrapped first so that float32 keeps its precision."""
    return as_signal(np.sin((2.0 * np.pi) * (phase % 1.0).astype(np.float32)))


def phase_of(frequency: NDArray[Any] | float, n: int, start: float = 0.0) -> NDArray[np.float64]:
    """Phase in cycles of an oscillator.

    Args:
        frequency: Hz, one number or one per sample.
        n: samples.
        start: phase of the first sample, in cycles.
    """
    if np.ndim(frequency) == 0:
        return np.asarray(start + np.arange(n) * (float(frequency) / SAMPLERATE), dtype=np.float64)
    return start + np.cumsum(np.asarray(frequency, dtype=np.float64)) / SAMPLERATE


def wavetable(spectrum: NDArray[Any], phases: NDArray[Any], highest: float) -> Signal:
    """One cycle with the given harmonics, those that would alias at `highest` Hz left out."""
    keep = int(min(len(spectrum), _TABLE_SIZE // 4, 0.45 * SAMPLERATE / max(highest, 1.0)))
    bins = np.zeros(_TABLE_SIZE // 2 + 1, dtype=np.complex128)
    bins[1 : keep + 1] = spectrum[:keep] * np.exp(1j * phases[:keep])
    cycle = np.fft.irfft(bins, _TABLE_SIZE) * _TABLE_SIZE / 2
    return np.append(cycle, cycle[0]).astype(np.float32)


def look_up(table: Signal, phase: NDArray[np.float64]) -> Signal:
    """Read a wavetable at a phase in cycles, with linear interpolation."""
    position = (phase % 1.0) * _TABLE_SIZE
    index = position.astype(np.int32)
    fraction = (position - index).astype(np.float32)
    return as_signal(table[index] * (1.0 - fraction) + table[index + 1] * fraction)


def adsr(n: int, attack: float, decay: float, sustain: float, release: float) -> Signal:
    """Attack, decay, sustain, release; times in seconds, the release inside the n samples."""
    time = np.arange(n, dtype=np.float32) / SAMPLERATE
    rise = np.minimum(time / max(attack, 1e-4), 1.0)
    fall = sustain + (1.0 - sustain) * np.exp(-np.maximum(time - attack, 0.0) / max(decay, 1e-3))
    end = np.minimum((n / SAMPLERATE - time) / max(release, 1e-3), 1.0)
    return (rise * fall * end).astype(np.float32)


def decay(n: int, seconds: float) -> Signal:
    """Exponential decay that has lost 60 dB after `seconds`."""
    return as_signal(np.exp(np.arange(n, dtype=np.float32) * (-6.908 / (seconds * SAMPLERATE))))


def noise(rng: np.random.Generator, *shape: int) -> Signal:
    """White noise of unit variance."""
    return rng.standard_normal(shape, dtype=np.float32)


@lru_cache(maxsize=512)
def _butterworth(kind: str, low: float, high: float, order: int) -> NDArray[np.float64]:
    edges: Any = (low, high) if kind == "bandpass" else (low or high)
    return np.asarray(scipy.signal.butter(order, edges, kind, fs=SAMPLERATE, output="sos"))


def lowpass(signal: Signal, hertz: float, order: int = 2) -> Signal:
    """Butterworth low-pass along the last axis."""
    sos = _butterworth("lowpass", 0.0, round(min(hertz, 20_000.0), 1), order)
    return as_signal(scipy.signal.sosfilt(sos, signal))


def highpass(signal: Signal, hertz: float, order: int = 2) -> Signal:
    """Butterworth high-pass along the last axis."""
    sos = _butterworth("highpass", round(max(hertz, 10.0), 1), 0.0, order)
    return as_signal(scipy.signal.sosfilt(sos, signal))


def bandpass(signal: Signal, low: float, high: float, order: int = 1) -> Signal:
    """Butterworth band-pass along the last axis."""
    sos = _butterworth("bandpass", round(low, 1), round(min(high, 20_000.0), 1), order)
    return as_signal(scipy.signal.sosfilt(sos, signal))


def peak_filter(signal: Signal, hertz: float, gain_db: float, q: float) -> Signal:
    """Peaking equaliser (Robert Bristow-Johnson's Audio EQ Cookbook, peakingEQ)."""
    amplitude = 10.0 ** (gain_db / 40.0)
    omega = 2.0 * np.pi * hertz / SAMPLERATE
    alpha = np.sin(omega) / (2.0 * q)
    cosine = -2.0 * np.cos(omega)
    b = np.array([1.0 + alpha * amplitude, cosine, 1.0 - alpha * amplitude])
    a = np.array([1.0 + alpha / amplitude, cosine, 1.0 - alpha / amplitude])
    sos = np.concatenate([b, a])[None] / a[0]
    return as_signal(scipy.signal.sosfilt(sos, signal))


def convolve(signal: Signal, response: Signal) -> Signal:
    """Causal convolution along the last axis, cut to the signal's length."""
    full = scipy.signal.fftconvolve(signal, response, axes=-1)
    return as_signal(full[..., : signal.shape[-1]])


def pan(mono: Signal, position: float) -> Signal:
    """Constant-power panning; position -1 is left, 1 is right."""
    angle = (position + 1.0) * np.pi / 4.0
    gains = np.array([np.cos(angle), np.sin(angle)], dtype=np.float32)
    return gains[:, None] * mono


def add_at(track: Signal, start: int, sound: Signal, gain: float = 1.0) -> None:
    """Add a stereo sound into a stereo track from sample `start`, what overhangs cut off."""
    end = min(start + sound.shape[-1], track.shape[-1])
    if 0 <= start < end:
        track[:, start:end] += np.float32(gain) * sound[:, : end - start]
