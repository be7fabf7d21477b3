"""Ways to make a pitched sound, and spectra to make it from.

A timbre plays notes. A recipe (`basses.py`, `instruments.py`) draws a timbre from a random
generator.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from splitjob_synth.signal import (
    SAMPLERATE,
    Signal,
    adsr,
    as_signal,
    decay,
    look_up,
    noise,
    phase_of,
    sine,
    wavetable,
)

HARMONICS = np.arange(1, 257)
"""Numbers of the harmonics that a spectrum describes."""


class Timbre(Protocol):
    """Something that plays notes."""

    def play(self, hertz: float, n: int, rng: np.random.Generator) -> Signal:
        """A stereo note of n samples, about unit loudness."""
        ...


Recipe = Callable[[np.random.Generator], Timbre]


@dataclass(frozen=True)
class Wavetable:
    """Several detuned voices reading a bright and a dark cycle, faded from one to the other."""

    bright: Signal
    dark: Signal
    envelope: tuple[float, float, float, float]
    fade: float
    detune: float = 0.0
    voices: int = 1
    vibrato: float = 0.0
    breath: float = 0.0
    phases: Signal = field(default_factory=lambda: np.zeros(256, dtype=np.float32))

    def play(self, hertz: float, n: int, rng: np.random.Generator) -> Signal:
        tables = [wavetable(s, self.phases, hertz * 1.03) for s in (self.bright, self.dark)]
        out = np.zeros((2, n), dtype=np.float32)
        mix = decay(n, self.fade)
        for voice in range(self.voices):
            offset = (voice / max(self.voices - 1, 1) - 0.5) * 2.0
            phase = phase_of(self._frequency(hertz * (1.0 + self.detune * offset), n), n)
            phase += rng.random()
            sound = look_up(tables[1], phase)
            sound += mix * (look_up(tables[0], phase) - sound)
            side = 0.8 * offset if self.voices > 1 else 0.0
            out += np.array([[1.0 - side], [1.0 + side]], dtype=np.float32) * sound
        if self.breath:
            out += np.float32(self.breath) * noise(rng, 2, n)
        return out * (adsr(n, *self.envelope) / np.float32(self.voices))

    def _frequency(self, hertz: float, n: int) -> np.ndarray | float:
        if not self.vibrato:
            return hertz
        time = np.arange(n) / SAMPLERATE
        depth = self.vibrato * np.minimum(time / 0.4, 1.0)
        return hertz * (1.0 + depth * np.sin(2.0 * np.pi * 5.3 * time))


@dataclass(frozen=True)
class Modal:
    """Struck or plucked: a sum of partials, each with its own decay."""

    ratios: Signal
    levels: Signal
    seconds: Signal
    release: float = 0.05

    def play(self, hertz: float, n: int, rng: np.random.Generator) -> Signal:
        out = np.zeros((2, n), dtype=np.float32)
        for ratio, level, seconds in zip(self.ratios, self.levels, self.seconds, strict=True):
            if ratio * hertz > 0.45 * SAMPLERATE:
                continue
            m = min(n, int(1.1 * seconds * SAMPLERATE))
            partial = sine(phase_of(float(ratio * hertz), m, rng.random()))
            partial *= decay(m, float(seconds)) * np.float32(level)
            spread = np.float32(rng.uniform(-0.3, 0.3))
            out[0, :m] += (1.0 - spread) * partial
            out[1, :m] += (1.0 + spread) * partial
        return out * adsr(n, 0.002, 1e6, 1.0, self.release)


@dataclass(frozen=True)
class FrequencyModulation:
    """Two sines, one modulating the other; the depth decays."""

    ratio: float
    index: float
    fade: float
    envelope: tuple[float, float, float, float]
    floor: float = 0.2

    def play(self, hertz: float, n: int, rng: np.random.Generator) -> Signal:
        depth = self.index * (self.floor + (1.0 - self.floor) * decay(n, self.fade)) / (2 * np.pi)
        depth *= min(1.0, 1_500.0 / (hertz * self.ratio))
        modulator = depth * sine(phase_of(hertz * self.ratio, n, rng.random()))
        carrier = phase_of(hertz, n, rng.random())
        sides = [sine(carrier + modulator), sine(carrier * 1.0008 + modulator)]
        return np.stack(sides) * adsr(n, *self.envelope)


def tilt(power: float) -> Signal:
    """A spectrum that falls with a power of the harmonic number."""
    return (1.0 / HARMONICS**power).astype(np.float32)


def normalised(spectrum: np.ndarray) -> Signal:
    """The spectrum at unit power."""
    return as_signal(spectrum / np.sqrt(np.sum(spectrum**2)))


def low_passed(spectrum: Signal, harmonic: float, steepness: float = 3.0) -> Signal:
    """The spectrum above a harmonic number removed, at unit power."""
    return normalised(spectrum / (1.0 + (HARMONICS / harmonic) ** steepness))


def random_phases(rng: np.random.Generator) -> Signal:
    """A phase in radians for every harmonic."""
    return (rng.random(256) * 2.0 * np.pi).astype(np.float32)


def random_spectrum(rng: np.random.Generator) -> Signal:
    """Any spectrum at all: a slope, and every harmonic up or down by chance."""
    bumps = np.exp(rng.uniform(0.2, 1.5) * rng.standard_normal(len(HARMONICS)))
    return normalised(tilt(rng.uniform(0.6, 2.5)) * bumps)
