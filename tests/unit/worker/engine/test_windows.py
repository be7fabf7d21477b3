"""The weights of segments: Demucs' triangle, and a sum of one wherever segments overlap."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from splitjob_worker.engine.segments import Pass
from splitjob_worker.engine.windows import count_preceding, normalised, triangle

segment_and_stride = st.integers(2, 200).flatmap(
    lambda segment: st.tuples(st.just(segment), st.integers(1, segment))
)


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
