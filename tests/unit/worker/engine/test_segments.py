"""Where the segments of a song lie, and in which order Demucs draws for them."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitjob_worker.engine.segments import Geometry, Pass, Segment, context, in_order, passes


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
    found = passes(Geometry(1000, 300, draw_bound=3), frames, 0.25, shifts, generator)
    for one in found:
        assert one.start == expected.randint(0, 500) - 500
        assert one.draws == [expected.randrange(3) for _ in range(one.start, frames, one.stride)]
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
