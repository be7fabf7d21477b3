"""Recipes for basses.

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


def saw_bass(rng: np.random.Generator) -> Timbre:
    """Subtractive bass from a saw."""
    cutoff = rng.uniform(3, 30)
    return Wavetable(
        bright=low_passed(tilt(1.0), cutoff * rng.uniform(1, 4)),
        dark=low_passed(tilt(1.0), cutoff),
        envelope=(0.004, rng.uniform(0.1, 1.0), rng.uniform(0.3, 0.9), 0.03),
        fade=rng.uniform(0.1, 0.8),
        detune=rng.uniform(0, 0.003),
        voices=int(rng.integers(1, 3)),
    )


def square_bass(rng: np.random.Generator) -> Timbre:
    """Subtractive bass from a pulse of any width."""
    pulse = np.abs(np.sin(np.pi * HARMONICS * rng.uniform(0.2, 0.5))) * tilt(1.0) + 1e-4
    cutoff = rng.uniform(3, 25)
    return Wavetable(
        bright=low_passed(pulse, cutoff * 2),
        dark=low_passed(pulse, cutoff),
        envelope=(0.005, rng.uniform(0.2, 1.0), rng.uniform(0.4, 1.0), 0.04),
        fade=rng.uniform(0.2, 1.0),
    )


def sub_bass(rng: np.random.Generator) -> Timbre:
    """Almost a sine, as in electronic music."""
    spectrum = normalised(tilt(rng.uniform(2.5, 4.0)))
    return Wavetable(
        bright=spectrum,
        dark=spectrum,
        envelope=(rng.uniform(0.004, 0.02), rng.uniform(0.3, 3.0), 0.7, 0.05),
        fade=1.0,
    )


def finger_bass(rng: np.random.Generator) -> Timbre:
    """Plucked string, low and round."""
    count = int(rng.integers(8, 18))
    numbers = HARMONICS[:count].astype(np.float32)
    where = rng.uniform(0.1, 0.3)
    levels = np.abs(np.sin(np.pi * numbers * where)) / numbers ** rng.uniform(0.8, 1.5)
    return Modal(
        ratios=numbers,
        levels=normalised(levels) * np.float32(1.4),
        seconds=(rng.uniform(1.5, 4.0) / numbers ** rng.uniform(0.4, 0.9)).astype(np.float32),
    )


def any_bass(rng: np.random.Generator) -> Timbre:
    """A bass with any spectrum, held or plucked."""
    spectrum = random_spectrum(rng)
    return Wavetable(
        bright=low_passed(spectrum, rng.uniform(5, 60)),
        dark=low_passed(spectrum, float(np.exp(rng.uniform(np.log(2), np.log(50))))),
        envelope=(rng.uniform(0.002, 0.03), rng.uniform(0.1, 1.5), rng.uniform(0.1, 1.0), 0.05),
        fade=float(np.exp(rng.uniform(np.log(0.05), np.log(2.0)))),
        detune=rng.uniform(0, 0.002),
        voices=int(rng.integers(1, 3)),
        phases=random_phases(rng),
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
    spectrum = np.where(HARMONICS % 2 == 1, tilt(2.0), tilt(2.0) * rng.uniform(0.02, 0.2))
    bright = normalised(spectrum + 0.1 * low_passed(tilt(0.5), 20))
    return Wavetable(bright, normalised(spectrum), (0.006, 0.6, 0.7, 0.05), fade=0.3)


def slap_bass(rng: np.random.Generator) -> Timbre:
    """Plucked hard, close to the bridge: many partials, short ones on top."""
    numbers = HARMONICS[:26].astype(np.float32)
    stretch = numbers * np.sqrt(1.0 + 3e-4 * numbers**2)
    levels = np.abs(np.sin(np.pi * numbers * 0.08)) / numbers**0.6
    return Modal(
        ratios=stretch.astype(np.float32),
        levels=normalised(levels) * np.float32(1.4),
        seconds=(rng.uniform(1.5, 2.5) / numbers**0.6).astype(np.float32),
    )
