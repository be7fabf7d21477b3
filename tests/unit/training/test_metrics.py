"""The metrics the demo model is measured with, on signals whose scores are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.metrics import scaled_to_fit, sdr, si_sdr

RNG = np.random.default_rng(0)
STEM = RNG.standard_normal((2, 44_100)).astype(np.float32)
NOISE = RNG.standard_normal((2, 44_100)).astype(np.float32)


def test_silence_scores_zero() -> None:
    assert sdr(STEM, np.zeros_like(STEM)) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("decibel", [0.0, 6.0, 20.0])
def test_noise_at_a_known_level_scores_it(decibel: float) -> None:
    error = NOISE * np.float32(10 ** (-decibel / 20) * np.linalg.norm(STEM) / np.linalg.norm(NOISE))
    assert sdr(STEM, STEM + error) == pytest.approx(decibel, abs=1e-3)


def test_four_equal_stems_the_mixture_scores_minus_four_point_eight() -> None:
    stems = RNG.standard_normal((4, 2, 44_100)).astype(np.float32)
    assert sdr(stems[0], stems.sum(axis=0)) == pytest.approx(-4.77, abs=0.1)


@given(st.floats(0.05, 20.0))
def test_a_gain_changes_sdr_but_not_si_sdr(gain: float) -> None:
    estimate = STEM + 0.3 * NOISE
    plain, scaled = si_sdr(STEM, estimate), si_sdr(STEM, np.float32(gain) * estimate)
    assert scaled == pytest.approx(plain, abs=0.01)


def test_the_fitted_mixture_is_the_best_of_all_gains() -> None:
    mixture = STEM + NOISE
    best = sdr(STEM, scaled_to_fit(STEM, mixture))
    assert all(best >= sdr(STEM, np.float32(gain) * mixture) for gain in np.linspace(0, 2, 41))


def test_two_silent_signals_score_a_finite_number() -> None:
    silence = np.zeros((2, 100), dtype=np.float32)
    assert np.isfinite([sdr(silence, silence), si_sdr(silence, silence)]).all()
