"""A cut of the corpus that `make bench ONLY=corpus` decodes whole, against the `ffmpeg` program."""

from itertools import islice
from pathlib import Path

from bench.corpus_files import corpus
from bench.differential import EQUAL, try_all


def test_files_of_many_kinds_are_as_long_as_the_program_finds_them_and_sound_alike(
    tmp_path: Path,
) -> None:
    """Acceptance 75."""
    summary = try_all(islice(corpus(tmp_path), 5, None, 20), tmp_path)
    assert summary.files > 15
    assert summary.wrong == []
    assert summary.verdicts[EQUAL] > summary.files / 2
