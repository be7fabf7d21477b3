"""Samples at another rate: as many as the rates say, however they arrive."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from splitjob_worker.resampling import Resampler


@pytest.mark.parametrize(("source", "wanted"), [(48_000, 44_100), (44_100, 48_000), (8000, 44_100)])
@settings(max_examples=20, deadline=None)
@given(pieces=st.lists(st.integers(1, 3000), min_size=1, max_size=5))
def test_the_number_of_samples_is_exact(source: int, wanted: int, pieces: list[int]) -> None:
    resampler = Resampler(source, wanted)
    samples = np.zeros((sum(pieces), 2), np.float32)
    ready = [part for one in pieces for part in resampler.feed(samples[:one])]
    given_out = sum(map(len, [*ready, resampler.finish()]))
    assert given_out == sum(pieces) * wanted // source


def test_the_two_sides_stay_apart() -> None:
    resampler = Resampler(48_000, 44_100)
    tone = np.sin(np.arange(48_000) * 0.05).astype(np.float32)
    samples = np.stack([tone, np.zeros_like(tone)], axis=1)
    found = np.concatenate([*resampler.feed(samples), resampler.finish()])
    assert np.abs(found[:, 0]).max() > 0.9
    assert np.abs(found[:, 1]).max() == 0
