"""Formants of sung vowels: centre frequencies of an adult voice between male and female."""

from dataclasses import dataclass


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
