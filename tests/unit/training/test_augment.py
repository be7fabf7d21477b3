"""What training does to an excerpt: it stays one, as loud as it was, whatever is drawn."""

import numpy as np
import pytest

from training.augment import change_colour, draw_speed, resample

SAMPLES = 8_820
EXCERPT = (0.1 * np.random.default_rng(0).standard_normal((2, SAMPLES))).astype(np.float32)


@pytest.mark.parametrize("seed", range(40))
def test_a_changed_excerpt_is_as_long_and_as_loud(seed: int) -> None:
    changed = change_colour(EXCERPT, np.random.default_rng(seed))
    assert changed.shape == EXCERPT.shape
    assert changed.dtype == EXCERPT.dtype
    assert np.sqrt(np.mean(changed**2)) == pytest.approx(np.sqrt(np.mean(EXCERPT**2)), rel=1e-3)


def test_most_excerpts_are_changed_and_each_in_its_own_way() -> None:
    changed = [change_colour(EXCERPT, np.random.default_rng(seed)) for seed in range(40)]
    kinds = {one.tobytes() for one in changed}
    assert 25 < len(kinds) < 40


@pytest.mark.parametrize("seed", range(40))
def test_silence_stays_silence(seed: int) -> None:
    silence = np.zeros_like(EXCERPT)
    assert not change_colour(silence, np.random.default_rng(seed)).any()


def test_no_speed_leads_from_one_key_into_another() -> None:
    rng = np.random.default_rng(0)
    quarter_tones = 24 * np.log2([draw_speed(rng) for _ in range(200)])
    moved = np.round(quarter_tones[np.abs(quarter_tones) > 1e-9]).astype(int)
    assert moved.size
    assert (moved % 2 == 1).all()


@pytest.mark.parametrize("speed", [0.82, 1.0, 1.22])
def test_a_faster_excerpt_sounds_higher(speed: float) -> None:
    time = np.arange(2 * SAMPLES) / 44_100
    tone = np.stack([np.sin(2 * np.pi * 1_000 * time)] * 2).astype(np.float32)
    played = resample(tone, speed, SAMPLES)
    heard = np.argmax(np.abs(np.fft.rfft(played[0]))) * 44_100 / SAMPLES
    assert heard == pytest.approx(1_000 * speed, abs=6)
