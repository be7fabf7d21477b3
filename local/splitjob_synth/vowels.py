"""Formants of sung vowels: centre frequencies of an adult voice between male and female."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Vowel:
    """Formant frequencies in Hz and their levels in dB."""

    name: str
    formants: tuple[float, float, float, float]
    levels: tuple[float, float, float, float] = (0.0, -7.0, -14.0, -20.0)


TRAIN_VOWELS = (
    Vowel("a", (780, 1_250, 2_650, 3_500), (0.0, -4.0, -12.0, -18.0)),
    Vowel("e", (460, 1_950, 2_600, 3_500), (0.0, -10.0, -14.0, -18.0)),
    Vowel("i", (310, 2_350, 3_000, 3_600), (0.0, -14.0, -16.0, -20.0)),
    Vowel("o", (490, 880, 2_500, 3_400), (0.0, -6.0, -18.0, -24.0)),
    Vowel("u", (340, 720, 2_400, 3_300), (0.0, -9.0, -22.0, -28.0)),
    Vowel("schwa", (540, 1_500, 2_550, 3_500)),
)

HELDOUT_VOWELS = (
    Vowel("ae", (680, 1_720, 2_500, 3_450), (0.0, -6.0, -12.0, -18.0)),
    Vowel("y", (300, 1_850, 2_250, 3_300), (0.0, -14.0, -16.0, -22.0)),
    Vowel("oe", (420, 1_550, 2_350, 3_350), (0.0, -9.0, -14.0, -20.0)),
    Vowel("open o", (610, 960, 2_500, 3_400), (0.0, -4.0, -16.0, -22.0)),
)

Vowels = Callable[[np.random.Generator], Sequence[Vowel]]
"""Draws what a singer sings with."""


def any_vowels(rng: np.random.Generator) -> Sequence[Vowel]:
    """The vowels of the family `train`, or as many random ones."""
    if rng.random() < 0.5:
        return TRAIN_VOWELS
    return tuple(_any_vowel(rng) for _ in TRAIN_VOWELS)


def _any_vowel(rng: np.random.Generator) -> Vowel:
    first = rng.uniform(280, 850)
    second = rng.uniform(max(700.0, 1.3 * first), 2_400)
    third = max(rng.uniform(2_200, 3_100), second + 250)
    levels = (0.0, -rng.uniform(3, 15), -rng.uniform(10, 22), -rng.uniform(16, 28))
    return Vowel("any", (first, second, third, third + rng.uniform(400, 1_000)), levels)


def heldout_vowels(rng: np.random.Generator) -> Sequence[Vowel]:
    """The vowels of the family `heldout`."""
    return HELDOUT_VOWELS
