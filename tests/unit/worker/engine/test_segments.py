"""The engine's arithmetic: statistics, segments, windows."""

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.normalising import normalisation
from splitjob_worker.engine.segments import Geometry, Pass, Segment, context, in_order, passes
from splitjob_worker.engine.windows import count_preceding, normalised, triangle
from splitjob_worker.normalisation import EPSILON, Normalisation

segment_and_stride = st.integers(2, 200).flatmap(
    lambda segment: st.tuples(st.just(segment), st.integers(1, segment))
)


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


@given(sizes=segment_and_stride, frames=st.integers(1, 1000), before=st.integers(0, 300))
def test_windows_of_a_pass_add_up_to_one(sizes: tuple[int, int], frames: int, before: int) -> None:
    segment, stride = sizes
    total = np.zeros(frames + before)
    for one in Pass(-before, frames, segment, stride).segments():
        window = normalised(segment, stride, count_preceding(one.index, segment, stride))
        total[one.start + before :][: one.length] += window[: one.length]
    np.testing.assert_allclose(total[before:], 1, rtol=1e-6)


def test_the_triangle_is_that_of_demucs() -> None:
    np.testing.assert_allclose(triangle(5), np.array([1, 2, 3, 2, 1]) / 3, rtol=1e-7)
    np.testing.assert_allclose(triangle(4), np.array([1, 2, 2, 1]) / 2)


def test_segments_end_with_the_song() -> None:
    found = list(Pass(0, 25, 10, 7).segments())
    assert [(one.start, one.length) for one in found] == [(0, 10), (7, 10), (14, 10), (21, 4)]


def test_the_stride_is_the_float_that_demucs_calculates() -> None:
    (only,) = passes(Geometry(44100, 343980), 10**6, 0.1, 0, Random(0))
    assert only.stride == int((1 - 0.1) * 343980)


def test_segments_before_the_song_are_left_out_but_drawn_for() -> None:
    shifted = Pass(-25, 10, 10, 10, draws=[5, 6, 7, 8])
    assert list(shifted.segments()) == [Segment(-5, 10, 2, 7), Segment(5, 5, 3, 8)]


@given(seed=st.integers(0, 2**48), shifts=st.integers(1, 4), frames=st.integers(1, 5000))
def test_draws_come_in_the_order_of_demucs(seed: int, shifts: int, frames: int) -> None:
    generator, expected = Random(seed), Random(seed)
    ways = passes(Geometry(1000, 300, draw_bound=3), frames, 0.25, shifts, generator)
    for way in ways:
        assert way.start == expected.randint(0, 500) - 500
        assert way.draws == [expected.randrange(3) for _ in range(way.start, frames, way.stride)]
    assert generator.getstate() == expected.getstate()


def test_passes_are_merged_by_time() -> None:
    starts = [one.start for one in in_order([Pass(-3, 30, 8, 6), Pass(0, 30, 8, 6)])]
    assert starts == sorted(starts)
    assert len(starts) == 11


@pytest.mark.parametrize(
    ("length", "heard", "start", "trim"), [(10, 10, 100, 0), (9, 12, 99, 1), (4, 9, 98, 2)]
)
def test_a_short_segment_stays_in_the_middle(
    length: int, heard: int, start: int, trim: int
) -> None:
    found = context(Segment(100, length, 0), heard)
    assert (found.start, found.length, found.trim) == (start, heard, trim)
