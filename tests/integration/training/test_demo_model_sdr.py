"""The shipped demo model separates songs with timbres, effects and keys it never heard.

Four songs here, against what the shipped weights reach; `make bench ONLY=demo_model` measures 24
songs against the goals.
"""

import hashlib
import math

import numpy as np
import pytest

from splitjob.models import load_registry
from training.evaluate import Score, mean_sdr, measure_shipped, measure_song, summarise
from training.export import NAME, WEIGHTS


@pytest.fixture(scope="module")
def scores() -> list[Score]:
    return measure_shipped(songs=4, seconds=12.0)


def test_the_weights_are_those_of_the_registry() -> None:
    record = load_registry()[NAME]
    weights = (WEIGHTS / record.files[0].name).read_bytes()
    assert record.files[0].sha256 == hashlib.sha256(weights).hexdigest()
    assert len(weights) < 5_000_000


def test_songs_it_never_heard_come_out_as_well_as_was_measured(scores: list[Score]) -> None:
    assert mean_sdr(scores) > 3.0
    for summary in summarise(scores):
        assert summary.above_baseline > 0.5, summary


def test_silence_scores_zero_and_the_fitted_mixture_no_less() -> None:
    def silence(mixture: np.ndarray) -> dict[str, np.ndarray]:
        return dict.fromkeys(("drums", "bass", "other", "vocals"), mixture * 0.0)

    for score in measure_song(silence, seed=1_000_000, seconds=5.0):
        assert math.isclose(score.sdr, score.silence)
        assert abs(score.silence) < 1e-6
        assert score.mixture >= score.silence
