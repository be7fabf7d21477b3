"""The architecture of the demo model."""

from fractions import Fraction
from typing import Any

from demucs.htdemucs import HTDemucs

from splitjob_synth import SAMPLERATE, STEMS

SEGMENT = Fraction(3)
"""Seconds of a training example; the model is saved with it and separates in such segments."""

ARGUMENTS: dict[str, Any] = {
    "sources": list(STEMS),
    "channels": 16,
    "nfft": 4096,
    "dconv_mode": 1,
    "t_layers": 1,
    "samplerate": SAMPLERATE,
    "segment": SEGMENT,
}
"""Keyword arguments of HTDemucs; the rest as Demucs has it."""


def build_model() -> HTDemucs:
    """Build the demo model with random weights."""
    model: HTDemucs = HTDemucs(**ARGUMENTS)
    return model
