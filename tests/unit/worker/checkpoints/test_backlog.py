"""Ranges that are made faster than they are sent are not worth sending."""

from pathlib import Path

from splitjob_worker.checkpoints.backlog import LEAST_BYTES, MOST_BYTES, Backlog
from splitjob_worker.checkpoints.cutting import RANGE_BYTES, CutRange
from splitjob_worker.engine.position import Position


def cut(ends_at_position: bool = True, size: int = RANGE_BYTES) -> CutRange:
    return CutRange(Path("range"), size, 1, Position(1, ()) if ends_at_position else None)


def add_step(backlog: Backlog, ranges: int) -> None:
    """Add as many ranges as a GPU gives at once."""
    for number in range(ranges):
        backlog.add(cut(number == ranges - 1))


def test_a_bucket_that_pauses_is_waited_for() -> None:
    backlog = Backlog()
    for _ in range(LEAST_BYTES // RANGE_BYTES):
        backlog.add(cut())
    assert not backlog.too_long
    backlog.add(cut())
    assert backlog.too_long


def test_what_was_sent_does_not_wait_any_more() -> None:
    backlog = Backlog()
    for _ in range(100):
        backlog.add(cut())
        with backlog.sending(cut()):
            pass
    assert not backlog.too_long


def test_the_long_steps_of_a_gpu_are_no_sign_of_its_speed() -> None:
    backlog = Backlog()
    add_step(backlog, 12)
    assert not backlog.too_long
    add_step(backlog, 12)
    assert not backlog.too_long
    add_step(backlog, 1)
    assert backlog.too_long


def test_the_disk_is_not_filled_whatever_the_step() -> None:
    backlog = Backlog()
    add_step(backlog, MOST_BYTES // RANGE_BYTES + 1)
    assert backlog.too_long


def test_the_rate_tells_how_long_the_next_one_takes() -> None:
    backlog = Backlog()
    assert backlog.seconds_for(cut()) == 0
    with backlog.sending(cut()):
        pass
    assert 0 < backlog.seconds_for(cut()) < backlog.seconds_for(cut(size=2 * RANGE_BYTES))
