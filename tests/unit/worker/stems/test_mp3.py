"""MP3 files: as long as their stem, and presets."""

from pathlib import Path

import numpy as np
import pytest
from tests.support.stems import FRAMES, encode, read, sweep

from splitjob_worker.spool import Samples
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


def test_an_mp3_preset_trades_quality_for_speed(sound: Samples, tmp_path: Path) -> None:
    best = encode(sound, Encoding("mp3"), tmp_path).report
    fastest = encode(sound, Encoding("mp3", mp3_preset=7), tmp_path).report
    assert best.sha256 != fastest.sha256
    assert best.size == pytest.approx(fastest.size, abs=2000)
