"""MP3 files: the Info tag, which says how long a stem is, and presets."""

from pathlib import Path

import numpy as np
import pytest
from tests.support.stems import FRAMES, encode, read, sweep

from splitjob_worker.spool import Samples
from splitjob_worker.stems import mp3
from splitjob_worker.stems.encoding import Encoding


@pytest.fixture(scope="module")
def sound() -> Samples:
    return sweep()


@pytest.mark.parametrize("bitrate", [None, 64, 128])
def test_mp3_is_as_long_as_its_stem_and_not_late(
    sound: Samples, tmp_path: Path, bitrate: int | None
) -> None:
    """The Info tag: without it the encoder's delay of 1105 samples would stay."""
    made = encode(sound, Encoding("mp3", bitrate_kbps=bitrate), tmp_path)
    back, rate = read(made.path)
    assert (rate, len(back)) == (44100, FRAMES)
    middle = slice(22050, 66150)
    assert np.abs(back[middle] - sound[middle]).max() < 0.05
    seconds = FRAMES / 44100
    assert made.report.size == pytest.approx((bitrate or 320) * 125 * seconds, rel=0.05)


def frame_length(header: bytes) -> int:
    """Bytes of the layer III frame that begins with these four."""
    version, rate, bitrate, padding = mp3._fields(header)
    return mp3._length(version, rate, bitrate) + padding


@pytest.mark.parametrize(
    ("bitrate", "rate"),
    [(320, 44100), (96, 44100), (256, 32000), (64, 22050), (24, 8000), (320, 22050), (320, 8000)],
)
def test_an_mp3_has_an_info_tag_that_names_frames_and_bytes(
    sound: Samples, tmp_path: Path, bitrate: int, rate: int
) -> None:
    made = encode(
        sound, Encoding("mp3", bitrate_kbps=bitrate, tags={"title": "x"}), tmp_path, rate=rate
    )
    content = made.path.read_bytes()
    assert content[:3] == b"ID3"
    content = content[10 + content[9] :]
    tag = content.index(b"Info")
    count = int.from_bytes(content[tag + 8 : tag + 12], "big")
    assert int.from_bytes(content[tag + 12 : tag + 16], "big") == len(content)
    position, frames = frame_length(content[:4]), 0
    while position < len(content):
        position += frame_length(content[position : position + 4])
        frames += 1
    assert (position, frames) == (len(content), count)


def test_an_mp3_preset_trades_quality_for_speed(sound: Samples, tmp_path: Path) -> None:
    best = encode(sound, Encoding("mp3"), tmp_path).report
    fastest = encode(sound, Encoding("mp3", mp3_preset=7), tmp_path).report
    assert best.sha256 != fastest.sha256
    assert best.size == pytest.approx(fastest.size, abs=2000)
