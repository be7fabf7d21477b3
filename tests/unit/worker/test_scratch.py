"""Room on the scratch disk: what is left of it, and what a song would need."""

from pathlib import Path

import pytest

from splitjob.errors import ErrorCode, Failure
from splitjob_worker.scratch import Scratch, check_room


def test_what_is_left_of_a_limit(tmp_path: Path) -> None:
    (tmp_path / "song").mkdir()
    (tmp_path / "mixture").write_bytes(bytes(100_000))
    without = Scratch(tmp_path / "song").left()
    assert without > 1_000_000
    assert 0 < Scratch(tmp_path / "song", limit=1_000_000).left() <= 900_000
    assert Scratch(tmp_path / "song", limit=50_000).left() == 0


def test_files_on_the_disk_of_the_scratch_count_with_it(tmp_path: Path) -> None:
    """Acceptance 50."""
    scratch = Scratch(tmp_path, limit=None)
    check_room(scratch, 1000, tmp_path, 1000)
    with pytest.raises(Failure, match="scratch space for stems and files") as caught:
        check_room(scratch, scratch.left(), tmp_path, 10**15)
    assert caught.value.code is ErrorCode.WORKER_STORAGE
    assert caught.value.retryable, "the disk of another node may have room"


def test_a_song_that_exceeds_the_limit_of_the_scratch_disk_is_not_tried_again(
    tmp_path: Path,
) -> None:
    """Acceptance 50: the limit is the same in the next attempt."""
    with pytest.raises(Failure, match="raise its size limit") as caught:
        check_room(Scratch(tmp_path, limit=1_000), 600, tmp_path, 600)
    assert caught.value.code is ErrorCode.WORKER_STORAGE
    assert not caught.value.retryable
