"""Files of every format, written and read again with FFmpeg."""

from pathlib import Path

import av
import numpy as np
import pytest

from splitjob.resource import Format
from splitjob_worker import mp3
from splitjob_worker.encode import Encoding, encode_all
from splitjob_worker.spool import Samples, SeparatedStem, SpoolWriter
from splitjob_worker.wav import BitDepth

FRAMES = 44100 * 2 + 77


@pytest.fixture(scope="module")
def sound() -> Samples:
    time = np.arange(FRAMES) / 44100
    sweep = 0.6 * np.sin(2 * np.pi * (200 + 300 * time) * time)
    return np.stack([sweep, 0.5 * sweep], 1).astype(np.float32)


@pytest.fixture
def stem(sound: Samples, tmp_path: Path) -> SeparatedStem:
    with SpoolWriter(tmp_path / "x.f32") as writer:
        writer.append(sound)
        return SeparatedStem("x", writer.close(), float(np.abs(sound).max()))


def read(path: Path) -> tuple[Samples, int]:
    """Decode a file; return its samples, shape (n, 2), and its rate."""
    with av.open(str(path)) as file:
        adapt = av.AudioResampler(format="flt", layout="stereo")
        frames = [*file.decode(audio=0), None]
        parts = [part.to_ndarray().reshape(-1, 2) for one in frames for part in adapt.resample(one)]
        return np.concatenate(parts), file.streams.audio[0].rate or 0


@pytest.mark.parametrize(
    ("form", "depth", "error"),
    [
        ("wav", 16, 7e-5),
        ("wav", 24, 3e-7),
        ("wav", 32, 0.0),
        ("flac", 16, 7e-5),
        ("flac", 24, 3e-7),
    ],
)
def test_lossless(
    stem: SeparatedStem, sound: Samples, tmp_path: Path, form: Format, depth: BitDepth, error: float
) -> None:
    (made,) = encode_all([stem], Encoding(form, depth), 44100, tmp_path)
    back, rate = read(made.path)
    assert (rate, len(back), made.report.frames) == (44100, FRAMES, FRAMES)
    assert np.abs(back - sound).max() <= error
    assert made.report.size == made.path.stat().st_size


@pytest.mark.parametrize("bitrate", [None, 64, 128])
def test_mp3_is_as_long_as_its_stem_and_not_late(
    stem: SeparatedStem, sound: Samples, tmp_path: Path, bitrate: int | None
) -> None:
    """The Info tag: without it the encoder's delay of 1105 samples would stay."""
    (made,) = encode_all([stem], Encoding("mp3", bitrate_kbps=bitrate), 44100, tmp_path)
    back, rate = read(made.path)
    assert (rate, len(back)) == (44100, FRAMES)
    middle = slice(22050, 66150)
    assert np.abs(back[middle] - sound[middle]).max() < 0.05
    seconds = FRAMES / 44100
    assert made.report.size == pytest.approx((bitrate or 320) * 125 * seconds, rel=0.05)


def test_the_info_tag_names_frames_and_bytes(stem: SeparatedStem, tmp_path: Path) -> None:
    (made,) = encode_all([stem], Encoding("mp3"), 44100, tmp_path)
    content = made.path.read_bytes()
    tag = content.index(b"Info")
    count = int.from_bytes(content[tag + 8 : tag + 12], "big")
    assert int.from_bytes(content[tag + 12 : tag + 16], "big") == len(content)
    position, frames = mp3.frame_length(content[:4]), 0
    while position < len(content):
        position += mp3.frame_length(content[position : position + 4])
        frames += 1
    assert (position, frames) == (len(content), count)


@pytest.mark.parametrize(("form", "rate"), [("m4a", 44100), ("opus", 48000)])
def test_m4a_and_opus(
    stem: SeparatedStem, sound: Samples, tmp_path: Path, form: Format, rate: int
) -> None:
    (made,) = encode_all([stem], Encoding(form), 44100, tmp_path)
    back, found = read(made.path)
    assert found == rate
    assert made.report.frames == FRAMES * rate // 44100
    assert 0 <= len(back) - made.report.frames < 1024
    if form == "m4a":
        assert np.abs(back[22050:66150] - sound[22050:66150]).max() < 0.05


@pytest.mark.parametrize("form", ["wav", "flac", "mp3", "m4a", "opus"])
def test_the_same_stem_gives_the_same_bytes(
    stem: SeparatedStem, tmp_path: Path, form: Format
) -> None:
    """A retry must write what the first attempt wrote."""
    (one,) = encode_all([stem], Encoding(form), 44100, tmp_path)
    (two,) = encode_all([stem], Encoding(form), 44100, tmp_path)
    assert one.report == two.report


def test_the_gain_is_applied_and_told(stem: SeparatedStem, sound: Samples, tmp_path: Path) -> None:
    with SpoolWriter(tmp_path / "loud.f32") as writer:
        writer.append(2 * sound)
        loud = SeparatedStem("loud", writer.close(), 2 * stem.peak)
    made = encode_all([loud, stem], Encoding("wav", 32), 44100, tmp_path)
    gain = 1 / (1.01 * loud.peak)
    assert [one.report.gain for one in made] == [gain, 1.0]
    back, _ = read(made[0].path)
    assert np.abs(back).max() == pytest.approx(1 / 1.01, abs=1e-6)
    assert made[0].report.peak == loud.peak
