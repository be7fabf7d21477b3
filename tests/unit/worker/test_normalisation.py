"""Mean and deviation of a song, measured block by block."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.normalising import normalisation
from splitjob_worker.normalisation import EPSILON, Normalisation


@given(
    frames=st.integers(2, 3000), block=st.integers(1, 700), offset=st.sampled_from([0.0, 0.5, 1e4])
)
def test_statistics_do_not_depend_on_the_blocks(frames: int, block: int, offset: float) -> None:
    song = np.random.default_rng(frames).standard_normal((frames, 2)) + offset
    samples = song.astype(np.float32)
    found = normalisation(samples[i : i + block] for i in range(0, frames, block))
    mono = samples.astype(np.float64).mean(axis=1)
    assert found.mean == pytest.approx(mono.mean(), rel=1e-9, abs=1e-9)
    assert found.deviation == pytest.approx(mono.std(ddof=1) + EPSILON, rel=1e-7)


def test_silence_is_divided_by_something() -> None:
    assert normalisation([np.zeros((5, 2), np.float32)]) == Normalisation(0.0, EPSILON)


@pytest.mark.parametrize("frames", [0, 1])
def test_what_has_no_deviation_is_left_as_it_is(frames: int) -> None:
    assert normalisation([np.ones((frames, 2), np.float32)]) == Normalisation()
