"""Recipes for keys, pads, plucks and leads.

Every draw of a recipe sounds different; the recipes differ in kind, and the two families of songs
share none of them (`palette.py`).
"""

import numpy as np

from splitjob_synth.timbres import (
    HARMONICS,
    FrequencyModulation,
    Modal,
    Timbre,
    Wavetable,
    low_passed,
    normalised,
    random_phases,
    random_spectrum,
    tilt,
)


def saw_pad(rng: np.random.Generator) -> Timbre:
    """Slow detuned saws."""
    cutoff = rng.uniform(4, 30)
    return Wavetable(
        bright=low_passed(tilt(1.0), cutoff * rng.uniform(1, 2)),
        dark=low_passed(tilt(1.0), cutoff),
        envelope=(rng.uniform(0.05, 0.5), 2.0, 0.8, rng.uniform(0.1, 0.3)),
        fade=rng.uniform(1.0, 4.0),
        detune=rng.uniform(0.002, 0.008),
        voices=3,
        phases=random_phases(rng),
    )


def organ(rng: np.random.Generator) -> Timbre:
    """Drawbars: nine harmonics, each in or out."""
    spectrum = np.zeros(256, dtype=np.float32)
    drawbars = np.array([1, 2, 3, 4, 6, 8, 10, 12, 16]) - 1
    spectrum[drawbars] = rng.random(9) ** 2 + 0.02
    spectrum[0] += 0.5
    return Wavetable(
        bright=normalised(spectrum),
        dark=normalised(spectrum),
        envelope=(0.008, 1.0, 1.0, 0.03),
        fade=1.0,
        detune=0.001,
        voices=2,
        vibrato=float(rng.choice([0.0, 0.004])),
        phases=random_phases(rng),
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
    numbers = HARMONICS[: int(rng.integers(12, 28))].astype(np.float32)
    where = rng.uniform(0.07, 0.35)
    levels = np.abs(np.sin(np.pi * numbers * where)) / numbers ** rng.uniform(0.6, 1.4)
    return Modal(
        ratios=numbers,
        levels=normalised(levels) * np.float32(1.4),
        seconds=(rng.uniform(0.8, 3.0) / numbers ** rng.uniform(0.3, 0.8)).astype(np.float32),
        release=0.08,
    )


def piano(rng: np.random.Generator) -> Timbre:
    """Struck string: slightly stretched partials."""
    numbers = HARMONICS[:20].astype(np.float32)
    stretch = numbers * np.sqrt(1.0 + rng.uniform(1e-4, 6e-4) * numbers**2)
    return Modal(
        ratios=stretch.astype(np.float32),
        levels=normalised(np.exp(-numbers * rng.uniform(0.15, 0.5))) * np.float32(1.4),
        seconds=(rng.uniform(2.0, 5.0) / numbers**0.5).astype(np.float32),
        release=0.1,
    )


def square_lead(rng: np.random.Generator) -> Timbre:
    """Bright pulse with vibrato."""
    pulse = np.abs(np.sin(np.pi * HARMONICS * rng.uniform(0.1, 0.5))) * tilt(1.0) + 1e-4
    return Wavetable(
        bright=low_passed(pulse, rng.uniform(15, 60)),
        dark=low_passed(pulse, rng.uniform(5, 15)),
        envelope=(rng.uniform(0.005, 0.05), 0.5, 0.7, 0.05),
        fade=rng.uniform(0.2, 1.5),
        vibrato=rng.uniform(0.0, 0.006),
    )


def strings(rng: np.random.Generator) -> Timbre:
    """Bowed ensemble: saws with body resonances, vibrato and some bow noise."""
    body = 1.0 + 2.0 * np.abs(np.sin(HARMONICS * rng.uniform(0.2, 1.5)))
    return Wavetable(
        bright=low_passed(tilt(1.0) * body, 25),
        dark=low_passed(tilt(1.0) * body, 12),
        envelope=(rng.uniform(0.05, 0.25), 2.0, 0.9, 0.15),
        fade=1.0,
        detune=rng.uniform(0.001, 0.004),
        voices=3,
        vibrato=rng.uniform(0.002, 0.006),
        breath=rng.uniform(0.0, 0.02),
        phases=random_phases(rng),
    )


def flute(rng: np.random.Generator) -> Timbre:
    """Few harmonics and breath."""
    return Wavetable(
        bright=normalised(tilt(rng.uniform(1.8, 2.6))),
        dark=normalised(tilt(3.0)),
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
        levels=normalised(rng.random(9).astype(np.float32) + 0.1) * np.float32(1.4),
        seconds=(rng.uniform(1.0, 3.0) / np.sqrt(ratios)).astype(np.float32),
        release=0.15,
    )


def any_pad(rng: np.random.Generator) -> Timbre:
    """A held sound with any spectrum."""
    return Wavetable(
        bright=low_passed(random_spectrum(rng), rng.uniform(3, 40)),
        dark=low_passed(random_spectrum(rng), rng.uniform(3, 40)),
        envelope=(rng.uniform(0.01, 0.4), rng.uniform(0.5, 3.0), rng.uniform(0.4, 1.0), 0.15),
        fade=rng.uniform(0.1, 3.0),
        detune=rng.uniform(0.0, 0.006),
        voices=int(rng.integers(1, 5)),
        vibrato=rng.uniform(0.0, 0.005),
        breath=rng.uniform(0.0, 0.02),
        phases=random_phases(rng),
    )


def any_mallet(rng: np.random.Generator) -> Timbre:
    """A struck sound with any partials, in tune or not."""
    count = int(rng.integers(3, 24))
    ratios = np.sort(np.append(1.0, rng.uniform(1.5, 16.0, count - 1)))
    if rng.random() < 0.5:
        ratios = np.round(ratios)
    levels = rng.random(count) / ratios ** rng.uniform(0.2, 1.5) + 1e-3
    seconds = rng.uniform(0.3, 3.0) / ratios ** rng.uniform(0.1, 1.0)
    return Modal(
        ratios=ratios.astype(np.float32),
        levels=normalised(levels) * np.float32(1.4),
        seconds=seconds.astype(np.float32),
        release=rng.uniform(0.02, 0.15),
    )


def pulse_pad(rng: np.random.Generator) -> Timbre:
    """Slow pulses with a hollow spectrum."""
    pulse = np.abs(np.sin(np.pi * HARMONICS * rng.uniform(0.3, 0.48))) * tilt(1.2) + 1e-4
    return Wavetable(
        bright=low_passed(pulse, 12),
        dark=low_passed(pulse, rng.uniform(15, 35)),
        envelope=(rng.uniform(0.1, 0.3), 2.0, 0.9, 0.25),
        fade=2.0,
        detune=0.005,
        voices=4,
        phases=random_phases(rng),
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
    hump = np.exp(-(((HARMONICS - rng.uniform(3, 6)) / 6.0) ** 2)) + 0.3 * tilt(1.0)
    return Wavetable(
        bright=low_passed(tilt(2.0), 6),
        dark=low_passed(hump.astype(np.float32), 14),
        envelope=(rng.uniform(0.03, 0.07), 1.0, 0.8, 0.07),
        fade=0.25,
        detune=0.002,
        voices=2,
        vibrato=0.002,
    )


def clavinet(rng: np.random.Generator) -> Timbre:
    """Struck string close to its end: thin, nasal, quick."""
    numbers = HARMONICS[:30].astype(np.float32)
    levels = np.abs(np.sin(np.pi * numbers * 0.05)) / numbers**0.7
    return Modal(
        ratios=numbers,
        levels=normalised(levels) * np.float32(1.4),
        seconds=(rng.uniform(0.6, 1.0) / numbers**0.3).astype(np.float32),
        release=0.02,
    )


def harmonic_lead(rng: np.random.Generator) -> Timbre:
    """A lead with a random comb of harmonics."""
    spectrum = tilt(0.8) * (rng.random(256) < 0.5)
    spectrum[0] = 1.0
    return Wavetable(
        bright=low_passed(spectrum.astype(np.float32), 40),
        dark=low_passed(spectrum.astype(np.float32), 12),
        envelope=(0.01, 0.6, 0.7, 0.06),
        fade=0.6,
        detune=0.003,
        voices=2,
        vibrato=0.003,
    )
