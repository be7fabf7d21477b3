"""Ranges of about one size, that end where one can go on."""

from pathlib import Path

import numpy as np
import pytest

from splitjob_worker.checkpoints.cutting import RANGE_BYTES, CutRange, RangeCutter
from splitjob_worker.engine.position import Position, RunPosition
from splitjob_worker.spool import Samples

STEMS = 4
FRAMES = RANGE_BYTES // (STEMS * 2 * 4)  # of a whole range


def position(frame: int) -> Position:
    return Position(frame, (RunPosition(1, 1),))


def block(frames: int, start: int = 0) -> Samples:
    """Samples that say where they belong."""
    numbers = np.arange(start, start + frames, dtype=np.float32)
    return np.stack([[numbers + stem, -numbers - stem] for stem in range(STEMS)])


def cut_all(cutter: RangeCutter, blocks: list[tuple[int, bool]]) -> list[CutRange]:
    """The ranges of blocks, of which each has a length and may end at a position."""
    cuts, end = [], 0
    for frames, ends_at_position in blocks:
        end += frames
        cut = cutter.add(block(frames), position(end) if ends_at_position else None)
        cuts += [cut] if cut else []
    return cuts


def test_a_range_holds_all_stems_side_by_side(tmp_path: Path) -> None:
    cutter = RangeCutter(tmp_path)
    assert cutter.add(block(FRAMES // 4), None) is None
    cut = cutter.add(block(FRAMES, FRAMES // 4), position(FRAMES * 5 // 4))
    assert cut is not None
    assert (cut.frames, cut.size) == (FRAMES * 5 // 4, RANGE_BYTES * 5 // 4)
    assert cut.position == position(cut.frames)
    kept = np.fromfile(cut.path, "<f4").reshape(cut.frames, STEMS * 2)
    assert np.array_equal(kept.T.reshape(STEMS, 2, -1), block(cut.frames))


def test_many_positions_make_one_range(tmp_path: Path) -> None:
    cuts = cut_all(RangeCutter(tmp_path), [(FRAMES // 10, True)] * 11)
    assert [cut.frames for cut in cuts] == [FRAMES // 10 * 6]


def test_a_long_step_makes_many_ranges_and_ends_the_last_one(tmp_path: Path) -> None:
    """Its last range is short: one could not go on behind the ones before."""
    step = [(FRAMES, False), (FRAMES, False), (FRAMES // 10, True)]
    cuts = cut_all(RangeCutter(tmp_path), step * 2)
    assert [cut.position is not None for cut in cuts] == [False, False, True] * 2


def test_a_rest_is_worth_something_only_at_a_position(tmp_path: Path) -> None:
    cutter = RangeCutter(tmp_path)
    assert cutter.rest() is None
    cutter.add(block(100), position(100))
    cutter.add(block(100), None)
    assert cutter.rest() is None
    cutter.add(block(100), position(300))
    rest = cutter.rest()
    assert rest is not None
    assert (rest.frames, rest.position) == (300, position(300))


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        RangeCutter(tmp_path / "gone").add(block(1), None)
