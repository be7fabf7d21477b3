"""The waveform of a file, against its definition sample by sample."""

import hashlib
import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.stems import FRAMES, RATE, encode, sweep
from tests.support.waveforms import as_defined, sixteen_bits

from splitjob.resource import Format
from splitjob_worker.spool import BLOCK_FRAMES, Samples
from splitjob_worker.stems import waveform
from splitjob_worker.stems.encode import StemFile
from splitjob_worker.stems.encoding import BitDepth, Encoding
from splitjob_worker.stems.waveform import Waveform


def drawn(blocks: list[Samples], folder: Path, rate: int = RATE) -> dict[str, Any]:
    made = Waveform("x", rate)
    for block in blocks:
        made.add(block)
    saved = made.save(folder)
    content = saved.path.read_bytes()
    assert saved.report.size == len(content) <= waveform.max_bytes(sum(map(len, blocks)), rate)
    assert saved.report.sha256 == hashlib.sha256(content).hexdigest()
    return dict(json.loads(content))


@pytest.mark.parametrize("form", ["wav", "flac"])
@pytest.mark.parametrize("frames", [1, 440, 441, 442, 30_077])
def test_each_value_is_the_one_that_audiowaveform_gives_for_the_file(
    tmp_path: Path, form: Format, frames: int
) -> None:
    """Acceptance 81."""
    noise = np.random.default_rng(frames).uniform(-1, 1, (frames, 2)).astype(np.float32)
    made = encode(noise, Encoding(form, waveforms=True), tmp_path, gain=0.83)
    assert made.waveform is not None
    assert made.waveform.path == tmp_path / "x.waveform.json"
    assert json.loads(made.waveform.path.read_text()) == as_defined(sixteen_bits(made.path))


@pytest.mark.parametrize("sizes", [[FRAMES], [1] * 50, [440, 1, 883, 7], [BLOCK_FRAMES, 3]])
def test_it_does_not_depend_on_the_pieces_in_which_it_came(
    tmp_path: Path, sizes: list[int]
) -> None:
    sound = np.tile(sweep(), (2, 1))[: sum(sizes)]
    pieces = np.split(sound, np.cumsum(sizes)[:-1])
    assert drawn(pieces, tmp_path) == drawn([sound], tmp_path)


@pytest.mark.parametrize(("level", "value"), [(0.0, 0), (1.0, 127), (-1.0, -127), (0.004, 0)])
def test_silence_and_full_scale(tmp_path: Path, level: float, value: int) -> None:
    sound = np.full((1000, 2), level, np.float32)
    assert drawn([sound], tmp_path)["data"] == [value] * 6


def test_channels_that_cancel_each_other_are_silent_as_in_mono(tmp_path: Path) -> None:
    sound = np.repeat(np.array([[0.5, -0.5]], np.float32), 441, axis=0)
    assert drawn([sound], tmp_path)["data"] == [0, 0]


@pytest.mark.parametrize(
    ("rate", "samples"), [(44_100, 441), (48_000, 480), (22_050, 220), (11_025, 110), (1_000, 10)]
)
def test_a_point_is_a_whole_number_of_samples(tmp_path: Path, rate: int, samples: int) -> None:
    found = drawn([np.zeros((rate, 2), np.float32)], tmp_path, rate)
    assert (found["sample_rate"], found["samples_per_pixel"]) == (rate, samples)
    assert found["length"] == -(-rate // samples)


@pytest.mark.parametrize(
    ("form", "depth", "rate"), [("wav", 24, 44100), ("mp3", 16, 44100), ("opus", 16, 48000)]
)
def test_a_waveform_is_of_the_file_at_its_own_rate(
    tmp_path: Path, form: Format, depth: BitDepth, rate: int
) -> None:
    made = encode(sweep(), Encoding(form, depth, waveforms=True), tmp_path)
    assert made.waveform is not None
    found = json.loads(made.waveform.path.read_text())
    assert found["sample_rate"] == rate
    assert found["length"] == -(-made.report.frames // (rate // 100))
    assert max(found["data"]) == 57  # 0.75 of 0.6 of full scale


def test_samples_above_full_scale_are_drawn_at_full_scale(tmp_path: Path) -> None:
    loud = np.full((441, 2), 7.5, np.float32)
    file = StemFile("x", 441, RATE, Encoding("wav", 32, clip_mode="none", waveforms=True), tmp_path)
    file.write(loud)
    made = file.close(7.5)
    assert made.waveform is not None
    assert json.loads(made.waveform.path.read_text())["data"] == [127, 127]


def test_an_empty_file_has_no_points(tmp_path: Path) -> None:
    found = drawn([], tmp_path)
    assert (found["length"], found["data"]) == (0, [])


def test_no_waveform_is_written_unasked(tmp_path: Path) -> None:
    assert encode(sweep(), Encoding(), tmp_path).waveform is None
    assert [path.name for path in tmp_path.iterdir()] == ["x.wav"]


def test_ten_minutes_take_no_more_memory_than_their_points(tmp_path: Path) -> None:
    block = np.full((BLOCK_FRAMES, 2), -1.0, np.float32)
    made = Waveform("x", RATE)
    made.add(block)
    tracemalloc.start()
    try:
        for _ in range(600 * RATE // BLOCK_FRAMES):
            made.add(block)
        kept, _ = tracemalloc.get_traced_memory()
        made.save(tmp_path)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 200_000
    assert most < 8_000_000  # a block and what is made of it, or some of the text
