"""Pitched instruments.

A recipe draws a timbre from a random generator; a timbre plays notes. Within a recipe every draw
sounds different; the recipes differ in kind, and the two families of songs share none of them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from splitjob_local.synthesiser.signal import (
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

_HARMONICS = np.arange(1, 257)


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


def _tilt(power: float) -> Signal:
    return (1.0 / _HARMONICS**power).astype(np.float32)


def _normal(spectrum: np.ndarray) -> Signal:
    return as_signal(spectrum / np.sqrt(np.sum(spectrum**2)))


def _cut(spectrum: Signal, harmonic: float, steepness: float = 3.0) -> Signal:
    """A low-pass at a harmonic number."""
    return _normal(spectrum / (1.0 + (_HARMONICS / harmonic) ** steepness))


def _phases(rng: np.random.Generator) -> Signal:
    return (rng.random(256) * 2.0 * np.pi).astype(np.float32)


# ---- bass -----------------------------------------------------------------------------------


def saw_bass(rng: np.random.Generator) -> Timbre:
    """Subtractive bass from a saw."""
    cutoff = rng.uniform(3, 30)
    return Wavetable(
        bright=_cut(_tilt(1.0), cutoff * rng.uniform(1, 4)),
        dark=_cut(_tilt(1.0), cutoff),
        envelope=(0.004, rng.uniform(0.1, 1.0), rng.uniform(0.3, 0.9), 0.03),
        fade=rng.uniform(0.1, 0.8),
        detune=rng.uniform(0, 0.003),
        voices=int(rng.integers(1, 3)),
    )


def square_bass(rng: np.random.Generator) -> Timbre:
    """Subtractive bass from a pulse of any width."""
    pulse = np.abs(np.sin(np.pi * _HARMONICS * rng.uniform(0.2, 0.5))) * _tilt(1.0) + 1e-4
    cutoff = rng.uniform(3, 25)
    return Wavetable(
        bright=_cut(pulse, cutoff * 2),
        dark=_cut(pulse, cutoff),
        envelope=(0.005, rng.uniform(0.2, 1.0), rng.uniform(0.4, 1.0), 0.04),
        fade=rng.uniform(0.2, 1.0),
    )


def sub_bass(rng: np.random.Generator) -> Timbre:
    """Almost a sine, as in electronic music."""
    spectrum = _normal(_tilt(rng.uniform(2.5, 4.0)))
    return Wavetable(
        bright=spectrum,
        dark=spectrum,
        envelope=(rng.uniform(0.004, 0.02), rng.uniform(0.3, 3.0), 0.7, 0.05),
        fade=1.0,
    )


def finger_bass(rng: np.random.Generator) -> Timbre:
    """Plucked string, low and round."""
    count = int(rng.integers(8, 18))
    numbers = _HARMONICS[:count].astype(np.float32)
    where = rng.uniform(0.1, 0.3)
    levels = np.abs(np.sin(np.pi * numbers * where)) / numbers ** rng.uniform(0.8, 1.5)
    return Modal(
        ratios=numbers,
        levels=_normal(levels) * np.float32(1.4),
        seconds=(rng.uniform(1.5, 4.0) / numbers ** rng.uniform(0.4, 0.9)).astype(np.float32),
    )


def fm_bass(rng: np.random.Generator) -> Timbre:
    """Two-operator bass with a growl."""
    return FrequencyModulation(
        ratio=float(rng.choice([1.0, 2.0, 3.0])),
        index=rng.uniform(1.5, 4.0),
        fade=rng.uniform(0.2, 0.8),
        envelope=(0.004, rng.uniform(0.4, 1.5), 0.5, 0.04),
    )


def triangle_bass(rng: np.random.Generator) -> Timbre:
    """Odd harmonics only, falling fast, with a little grit above."""
    spectrum = np.where(_HARMONICS % 2 == 1, _tilt(2.0), _tilt(2.0) * rng.uniform(0.02, 0.2))
    bright = _normal(spectrum + 0.1 * _cut(_tilt(0.5), 20))
    return Wavetable(bright, _normal(spectrum), (0.006, 0.6, 0.7, 0.05), fade=0.3)


def slap_bass(rng: np.random.Generator) -> Timbre:
    """Plucked hard, close to the bridge: many partials, short ones on top."""
    numbers = _HARMONICS[:26].astype(np.float32)
    stretch = numbers * np.sqrt(1.0 + 3e-4 * numbers**2)
    levels = np.abs(np.sin(np.pi * numbers * 0.08)) / numbers**0.6
    return Modal(
        ratios=stretch.astype(np.float32),
        levels=_normal(levels) * np.float32(1.4),
        seconds=(rng.uniform(1.5, 2.5) / numbers**0.6).astype(np.float32),
    )


# ---- keys, pads, plucks, leads -----------------------------------------------------------------


def saw_pad(rng: np.random.Generator) -> Timbre:
    """Slow detuned saws."""
    cutoff = rng.uniform(4, 30)
    return Wavetable(
        bright=_cut(_tilt(1.0), cutoff * rng.uniform(1, 2)),
        dark=_cut(_tilt(1.0), cutoff),
        envelope=(rng.uniform(0.05, 0.5), 2.0, 0.8, rng.uniform(0.1, 0.3)),
        fade=rng.uniform(1.0, 4.0),
        detune=rng.uniform(0.002, 0.008),
        voices=3,
        phases=_phases(rng),
    )


def organ(rng: np.random.Generator) -> Timbre:
    """Drawbars: nine harmonics, each in or out."""
    spectrum = np.zeros(256, dtype=np.float32)
    drawbars = np.array([1, 2, 3, 4, 6, 8, 10, 12, 16]) - 1
    spectrum[drawbars] = rng.random(9) ** 2 + 0.02
    spectrum[0] += 0.5
    return Wavetable(
        bright=_normal(spectrum),
        dark=_normal(spectrum),
        envelope=(0.008, 1.0, 1.0, 0.03),
        fade=1.0,
        detune=0.001,
        voices=2,
        vibrato=float(rng.choice([0.0, 0.004])),
        phases=_phases(rng),
    )


def electric_piano(rng: np.random.Generator) -> Timbre:
    """Two-operator electric piano or bell."""
    return FrequencyModulation(
        ratio=float(rng.choice([1.0, 3.0, 7.0, 14.0])),
        index=rng.uniform(0.6, 2.0),
        fade=rng.uniform(0.2, 1.0),
        envelope=(0.003, rng.uniform(0.6, 1.5), 0.15, 0.1),
    )


def plucked_string(rng: np.random.Generator) -> Timbre:
    """Guitar, harp or harpsichord: harmonics that die the sooner the higher they are."""
    numbers = _HARMONICS[: int(rng.integers(12, 28))].astype(np.float32)
    where = rng.uniform(0.07, 0.35)
    levels = np.abs(np.sin(np.pi * numbers * where)) / numbers ** rng.uniform(0.6, 1.4)
    return Modal(
        ratios=numbers,
        levels=_normal(levels) * np.float32(1.4),
        seconds=(rng.uniform(0.8, 3.0) / numbers ** rng.uniform(0.3, 0.8)).astype(np.float32),
        release=0.08,
    )


def piano(rng: np.random.Generator) -> Timbre:
    """Struck string: slightly stretched partials."""
    numbers = _HARMONICS[:20].astype(np.float32)
    stretch = numbers * np.sqrt(1.0 + rng.uniform(1e-4, 6e-4) * numbers**2)
    return Modal(
        ratios=stretch.astype(np.float32),
        levels=_normal(np.exp(-numbers * rng.uniform(0.15, 0.5))) * np.float32(1.4),
        seconds=(rng.uniform(2.0, 5.0) / numbers**0.5).astype(np.float32),
        release=0.1,
    )


def square_lead(rng: np.random.Generator) -> Timbre:
    """Bright pulse with vibrato."""
    pulse = np.abs(np.sin(np.pi * _HARMONICS * rng.uniform(0.1, 0.5))) * _tilt(1.0) + 1e-4
    return Wavetable(
        bright=_cut(pulse, rng.uniform(15, 60)),
        dark=_cut(pulse, rng.uniform(5, 15)),
        envelope=(rng.uniform(0.005, 0.05), 0.5, 0.7, 0.05),
        fade=rng.uniform(0.2, 1.5),
        vibrato=rng.uniform(0.0, 0.006),
    )


def strings(rng: np.random.Generator) -> Timbre:
    """Bowed ensemble: saws with body resonances, vibrato and some bow noise."""
    body = 1.0 + 2.0 * np.abs(np.sin(_HARMONICS * rng.uniform(0.2, 1.5)))
    return Wavetable(
        bright=_cut(_tilt(1.0) * body, 25),
        dark=_cut(_tilt(1.0) * body, 12),
        envelope=(rng.uniform(0.05, 0.25), 2.0, 0.9, 0.15),
        fade=1.0,
        detune=rng.uniform(0.001, 0.004),
        voices=3,
        vibrato=rng.uniform(0.002, 0.006),
        breath=rng.uniform(0.0, 0.02),
        phases=_phases(rng),
    )


def flute(rng: np.random.Generator) -> Timbre:
    """Few harmonics and breath."""
    return Wavetable(
        bright=_normal(_tilt(rng.uniform(1.8, 2.6))),
        dark=_normal(_tilt(3.0)),
        envelope=(rng.uniform(0.03, 0.1), 1.0, 0.85, 0.08),
        fade=1.0,
        vibrato=rng.uniform(0.002, 0.008),
        breath=rng.uniform(0.01, 0.06),
    )


def bell(rng: np.random.Generator) -> Timbre:
    """Inharmonic partials that ring."""
    ratios = np.array([0.5, 1.0, 1.2, 1.5, 2.0, 2.6, 3.4, 4.1, 5.3], dtype=np.float32)
    ratios[2:] *= rng.uniform(0.97, 1.03, 7).astype(np.float32)
    return Modal(
        ratios=ratios,
        levels=_normal(rng.random(9).astype(np.float32) + 0.1) * np.float32(1.4),
        seconds=(rng.uniform(1.0, 3.0) / np.sqrt(ratios)).astype(np.float32),
        release=0.15,
    )


def pulse_pad(rng: np.random.Generator) -> Timbre:
    """Slow pulses with a hollow spectrum."""
    pulse = np.abs(np.sin(np.pi * _HARMONICS * rng.uniform(0.3, 0.48))) * _tilt(1.2) + 1e-4
    return Wavetable(
        bright=_cut(pulse, 12),
        dark=_cut(pulse, rng.uniform(15, 35)),
        envelope=(rng.uniform(0.1, 0.3), 2.0, 0.9, 0.25),
        fade=2.0,
        detune=0.005,
        voices=4,
        phases=_phases(rng),
    )


def marimba(rng: np.random.Generator) -> Timbre:
    """Wooden bar: three partials far apart, short."""
    return Modal(
        ratios=np.array([1.0, 3.93, 9.6], dtype=np.float32),
        levels=np.array([1.2, 0.5, 0.2], dtype=np.float32),
        seconds=np.array([rng.uniform(0.5, 1.0), 0.25, 0.1], dtype=np.float32),
    )


def brass(rng: np.random.Generator) -> Timbre:
    """A section that grows brighter after the attack."""
    hump = np.exp(-(((_HARMONICS - rng.uniform(3, 6)) / 6.0) ** 2)) + 0.3 * _tilt(1.0)
    return Wavetable(
        bright=_cut(_tilt(2.0), 6),
        dark=_cut(hump.astype(np.float32), 14),
        envelope=(rng.uniform(0.03, 0.07), 1.0, 0.8, 0.07),
        fade=0.25,
        detune=0.002,
        voices=2,
        vibrato=0.002,
    )


def clavinet(rng: np.random.Generator) -> Timbre:
    """Struck string close to its end: thin, nasal, quick."""
    numbers = _HARMONICS[:30].astype(np.float32)
    levels = np.abs(np.sin(np.pi * numbers * 0.05)) / numbers**0.7
    return Modal(
        ratios=numbers,
        levels=_normal(levels) * np.float32(1.4),
        seconds=(rng.uniform(0.6, 1.0) / numbers**0.3).astype(np.float32),
        release=0.02,
    )


def harmonic_lead(rng: np.random.Generator) -> Timbre:
    """A lead with a random comb of harmonics."""
    spectrum = _tilt(0.8) * (rng.random(256) < 0.5)
    spectrum[0] = 1.0
    return Wavetable(
        bright=_cut(spectrum.astype(np.float32), 40),
        dark=_cut(spectrum.astype(np.float32), 12),
        envelope=(0.01, 0.6, 0.7, 0.06),
        fade=0.6,
        detune=0.003,
        voices=2,
        vibrato=0.003,
    )
