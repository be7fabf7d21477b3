"""The song of somebody who tries the demo."""

from pathlib import Path

import pytest

from splitjob_local.demo.audio import (
    UnreadableError,
)
from splitjob_local.demo.song import take


def test_a_file_that_is_no_song_is_refused_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "song.mp3").write_text("<html></html>" * 50)
    (tmp_path / "notes.txt").write_text("x")
    for name in ("song.mp3", "notes.txt", "nowhere.wav"):
        with pytest.raises(UnreadableError):
            take(tmp_path / name, tmp_path)
