"""Cursors: good for the filter they were given for, and nothing else."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from splitjob_api.cached_job import JobFilter
from splitjob_api.cursor import CursorError, cursor_after, position_of
from splitjob_api.job_response import JobState

FILTERS = [
    JobFilter(),
    JobFilter(states=frozenset({JobState.QUEUED})),
    JobFilter(states=frozenset({JobState.QUEUED, JobState.FAILED})),
    JobFilter(version_id="song-1"),
    JobFilter(model="song-1"),
    JobFilter(since=1.0),
    JobFilter(until=1.0),
]
positions = st.tuples(
    st.integers(-(2**40), 2**40), st.from_regex(r"[a-z0-9.-]{1,52}", fullmatch=True)
)


@given(positions, st.sampled_from(FILTERS))
def test_a_cursor_leads_back_to_its_position(position: tuple[int, str], wanted: JobFilter) -> None:
    assert position_of(cursor_after(position, wanted), wanted) == position


@given(positions)
def test_a_cursor_of_another_filter_is_refused(position: tuple[int, str]) -> None:
    cursors = {cursor_after(position, wanted) for wanted in FILTERS}
    assert len(cursors) == len(FILTERS)
    for cursor in cursors - {cursor_after(position, FILTERS[0])}:
        with pytest.raises(CursorError):
            position_of(cursor, FILTERS[0])


@given(st.text(max_size=100))
def test_one_that_is_made_up_is_refused(cursor: str) -> None:
    with pytest.raises(CursorError):
        position_of(cursor, FILTERS[0])


@pytest.mark.parametrize("wrong", ["1 a", "", "a b", "1"])
def test_one_with_a_position_that_is_none_or_another_is_refused(wrong: str) -> None:
    whole = cursor_after((1, "b"), FILTERS[0])
    digest = base64.urlsafe_b64decode(whole + "==")[:9]
    forged = base64.urlsafe_b64encode(digest + wrong.encode()).decode().rstrip("=")
    for cursor in (forged, whole + "=", whole[:-1], whole + "A", f" {whole}"):
        with pytest.raises(CursorError):
            position_of(cursor, FILTERS[0])
