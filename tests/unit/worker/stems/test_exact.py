"""Files that sum to the mixture to the last bit: the arithmetic."""

import functools
import operator
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from splitjob.errors import ErrorCode, Failure
from splitjob.result import decimal
from splitjob_worker.spool import Samples
from splitjob_worker.stems import clipping, exact
from splitjob_worker.stems.exact import FULL_SCALE, Extent

Whole = NDArray[np.int64]

loud = st.sampled_from([2.0**-10, 1.0, 1.75, 4.0, 1024.0])
edges = st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, 1 / FULL_SCALE, 1.5 / FULL_SCALE, 2.0**-100])
anything = st.floats(-1, 1, width=32)


@st.composite
def songs(draw: st.DrawFn) -> tuple[Samples, list[Samples]]:
    """A mixture and all stems of a model but one, which need not have anything to do with it."""
    frames, stems = draw(st.integers(1, 6)), draw(st.integers(0, 16))
    samples = draw(arrays(np.float32, (stems + 1, frames), elements=edges | anything))
    loudness = draw(arrays(np.float32, (stems + 1, 1), elements=loud))
    mixture, *others = samples * loudness
    return mixture, others


def files_of(mixture: Samples, others: list[Samples]) -> tuple[list[Samples], float]:
    """What the files hold once they are decoded, that of the residual first, and the gain."""
    levels = clipping.Levels([str(n) for n in range(len(others) + 1)], "exact")
    exact.residual(mixture, others, 1.0, levels.extent)
    (gain,) = set(levels.gains().values())
    again = Extent(len(others) + 1)
    residual = exact.residual(mixture, others, gain, again)
    assert again.fits
    made = [clipping.apply(stem, gain, "exact", bounded=True) for stem in others]
    return [residual, *made], gain


def whole(samples: Samples) -> Whole:
    steps = samples.astype(np.float64) * 2**23
    assert np.array_equal(steps, np.rint(steps))
    return steps.astype(np.int64)


def expected(mixture: Samples, gain: float) -> Whole:
    """The mixture, as a caller calculates it from the gain that is reported."""
    reported = float(decimal(float(f"{gain:.7g}")))
    return np.rint(mixture.astype(np.float64) * reported * 2**23).astype(np.int64)


@given(songs())
def test_files_are_whole_steps_that_fit_24_bits_and_sum_to_the_mixture(
    song: tuple[Samples, list[Samples]],
) -> None:
    files, gain = files_of(*song)
    for file in files:
        assert (whole(file) >= -(2**23)).all()
        assert (whole(file) <= 2**23 - 1).all()
    target = expected(song[0], gain)
    assert np.abs(target + 0.5).max() <= 2**23
    assert np.array_equal(sum(map(whole, files)), target)


@given(songs(), st.randoms(use_true_random=False))
def test_float32_makes_no_error_in_any_order_and_grouping(
    song: tuple[Samples, list[Samples]], chance: random.Random
) -> None:
    files, gain = files_of(*song)
    pool = list(files)
    while len(pool) > 1:  # any two of what is left are added up
        chance.shuffle(pool)
        pool.append(pool.pop() + pool.pop())
    target = expected(song[0], gain)
    assert pool[0].dtype == np.float32
    assert (whole(pool[0]) == target).all()
    chance.shuffle(files)
    without = functools.reduce(operator.sub, files[1:], (target / 2**23).astype(np.float32))
    assert (without == files[0]).all()


@given(songs())
def test_no_gain_where_all_fits_and_never_more_than_needed(
    song: tuple[Samples, list[Samples]],
) -> None:
    extent = Extent(len(song[1]) + 1)
    exact.residual(*song, 1.0, extent)
    if extent.fits:
        assert extent.gain == 1.0
        return
    assert 0 < extent.gain < 1
    more = extent.gain * 1.00001 + 2 / exact.GAIN_STEPS
    again = Extent(len(song[1]) + 1)
    exact.residual(*song, more, again)
    assert more >= 1 or not again.fits


def test_a_song_at_full_scale_of_16_or_24_bits_keeps_its_gain() -> None:
    """Its highest sample is a step below 1, its lowest -1; so the stems sum to the song itself."""
    mixture = np.array([-1, 1 - 2**-15, 1 - 2**-23], np.float32)
    files, gain = files_of(mixture, [mixture / np.float32(3), mixture / np.float32(7)])
    assert gain == 1.0
    assert (functools.reduce(operator.add, files) == mixture).all()


@pytest.mark.parametrize(
    ("mixture", "stems", "gain"),
    [
        ([1.0], [[0.25], [0.5]], 0.9999994),  # +1 is a step more than 24 bits hold
        ([4.0, -4.0], [[1.0, -1.0]], 0.2499999),  # the mixture has to fit as well
        ([0.5], [[0.5], [2.0]], 0.4999997),  # as do each stem and the residual, -2 here
        ([0.0], [[0.9], [0.9], [0.9], [-0.9], [-0.9]], 0.7407404),  # and the sum of some: 2 at most
        ([0.0], [[0.0], [0.0]], 1.0),
    ],
)
def test_the_gain(mixture: list[float], stems: list[list[float]], gain: float) -> None:
    others = [np.array(stem, np.float32) for stem in stems]
    assert files_of(np.array(mixture, np.float32), others)[1] == pytest.approx(gain, abs=2e-7)


def test_the_gain_stands_in_every_report_as_it_was_applied() -> None:
    for loudest in np.geomspace(1, 1e5, 50):
        extent = Extent(5)
        extent.add(np.array([loudest * FULL_SCALE]))
        assert float(decimal(float(f"{extent.gain:.7g}"))) == extent.gain


@pytest.mark.parametrize("loudest", [1e8, 1e30, float("inf")])
def test_what_no_gain_brings_into_a_file_is_the_models_defect(loudest: float) -> None:
    extent = Extent(5)
    extent.add(np.array([loudest * FULL_SCALE]))
    with pytest.raises(Failure, match="times full scale") as caught:
        extent.gain  # noqa: B018 - it is looked up for its error
    assert caught.value.code is ErrorCode.INTERNAL_ERROR
