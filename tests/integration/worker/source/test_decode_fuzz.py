"""Broken files: the first part of a corpus whose whole `make bench ONLY=fuzz` decodes."""

import json
import subprocess
import sys
import tempfile
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from tests.support.waiting import patience

from bench import broken_audio

FILES = 47  # a round through the kinds of file; 7 s of CPU time, nearly all to start Python
MEMORY = 512 << 20


@pytest.mark.timeout(patience(300))
def test_broken_files_end_in_sound_or_in_a_refusal() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.broken_audio", str(FILES)],
        cwd=Path(broken_audio.__file__).parents[1],
        stdout=subprocess.PIPE,
        check=True,
    )
    summary = broken_audio.Summary(**json.loads(done.stdout))
    assert summary.wrong == []
    assert summary.files == sum(summary.outcomes.values()) == FILES
    assert summary.outcomes["decoded"] > FILES / 4  # else the mutations break too much
    assert summary.outcomes["audio_unreadable"] > FILES / 8
    assert summary.peak_bytes < MEMORY


def test_the_corpus_is_the_same_every_time(tmp_path: Path) -> None:
    seeds = [
        broken_audio.Seed("one", "wav", bytes(2000)),
        broken_audio.Seed("two", "mp3", b"x" * 900),
    ]
    once, again = (list(islice(broken_audio.corpus(seeds), 200)) for _ in range(2))
    assert once == again
    assert len({broken.content for broken in once}) > 100


def test_what_a_decoder_leaves_behind_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check itself: a decoder that leaves a process, a file and an open file."""
    left: list[Any] = []

    def careless(source: Path, _spool: Path, _limits: object) -> None:
        left.append(subprocess.Popen(["sleep", "60"]))
        left.append(source.with_name("core").open("wb"))
        raise RuntimeError("something else")

    monkeypatch.setattr(broken_audio, "decode", careless)
    try:
        broken = broken_audio.Broken(0, "zero", "wav", b"")
        summary = broken_audio.run(iter([broken]), 1, Path(tempfile.mkdtemp(dir=tmp_path)))
    finally:
        for one in left:
            one.kill() if isinstance(one, subprocess.Popen) else one.close()
    assert len(summary.wrong) == 4
