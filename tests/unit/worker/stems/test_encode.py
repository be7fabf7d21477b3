"""Files of every format, written and read again with FFmpeg."""

import errno
import hashlib
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.stems import FRAMES, encode, read, sweep

from splitjob.resource import Format
from splitjob_worker.source import tags as source_tags
from splitjob_worker.spool import Samples
from splitjob_worker.stems import tags
from splitjob_worker.stems.encode import StemFile
from splitjob_worker.stems.encoding import BitDepth, Encoding


@pytest.fixture(scope="module")
def sound() -> Samples:
    return sweep()


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
    sound: Samples, tmp_path: Path, form: Format, depth: BitDepth, error: float
) -> None:
    made = encode(sound, Encoding(form, depth), tmp_path)
    back, rate = read(made.path)
    assert (rate, len(back), made.report.frames) == (44100, FRAMES, FRAMES)
    assert np.abs(back - sound).max() <= error
    assert made.report.size == made.path.stat().st_size


@pytest.mark.parametrize(("form", "rate"), [("m4a", 44100), ("opus", 48000)])
def test_m4a_and_opus(sound: Samples, tmp_path: Path, form: Format, rate: int) -> None:
    made = encode(sound, Encoding(form), tmp_path)
    back, found = read(made.path)
    assert found == rate
    assert made.report.frames == FRAMES * rate // 44100
    assert 0 <= len(back) - made.report.frames < 1024
    if form == "m4a":
        assert np.abs(back[22050:66150] - sound[22050:66150]).max() < 0.05


@pytest.mark.parametrize("form", ["wav", "flac", "mp3", "m4a", "opus"])
def test_the_same_stem_gives_the_same_bytes(sound: Samples, tmp_path: Path, form: Format) -> None:
    """A retry must write what the first attempt wrote."""
    one = encode(sound, Encoding(form), tmp_path)
    two = encode(sound, Encoding(form), tmp_path)
    assert one.report == two.report


@pytest.mark.parametrize("depth", [16, 24, 32])
@pytest.mark.parametrize("rate", [None, 48_000])
def test_a_wav_file_is_not_read_again_for_its_digest(
    sound: Samples,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    depth: BitDepth,
    rate: int | None,
) -> None:
    with monkeypatch.context() as patched:
        patched.delattr("hashlib.file_digest")
        made = encode(sound, Encoding("wav", depth, sample_rate=rate), tmp_path)
    assert made.report.sha256 == hashlib.sha256(made.path.read_bytes()).hexdigest()


def test_the_gain_is_applied_and_told(sound: Samples, tmp_path: Path) -> None:
    made = encode(2 * sound, Encoding("wav", 32), tmp_path, gain=0.75)
    assert made.report.gain == 0.75
    assert made.report.peak == np.abs(2 * sound).max()
    back, _ = read(made.path)
    assert np.abs(back).max() == pytest.approx(0.75 * made.report.peak, abs=1e-6)


@pytest.mark.parametrize("frames", [44100, 128 * 1024, 128 * 1024 + 1])
def test_an_m4a_says_how_long_it_is_to_the_sample(
    sound: Samples, tmp_path: Path, frames: int
) -> None:
    made = encode(np.resize(sound, (frames, 2)), Encoding("m4a"), tmp_path)
    with av.open(str(made.path)) as file:
        assert file.streams.audio[0].duration == made.report.frames == frames


@pytest.mark.parametrize(
    ("form", "rate"), [("wav", 96000), ("flac", 22050), ("mp3", 48000), ("m4a", 48000)]
)
def test_another_rate_than_the_models(
    sound: Samples, tmp_path: Path, form: Format, rate: int
) -> None:
    made = encode(sound, Encoding(form, sample_rate=rate), tmp_path)
    back, found = read(made.path)
    frames = FRAMES * rate // 44100
    assert (found, made.report.frames) == (rate, frames)
    assert 0 <= len(back) - frames < (1024 if form == "m4a" else 1)
    middle = np.arange(22050, 66150)  # 200 to 1100 Hz: straight lines between samples will do
    at = middle * rate / 44100
    again = np.interp(at, np.arange(len(back)), back[:, 0])
    assert np.abs(again - sound[middle, 0]).max() < 0.05


def test_a_rate_between_whose_samples_the_sound_is_louder(tmp_path: Path) -> None:
    """A square wave overshoots when it is resampled: integers must not wrap around."""
    square = np.where(np.arange(FRAMES) // 50 % 2, 1.0, -1.0).astype(np.float32)
    both = np.stack([square, square], 1)
    made = encode(both, Encoding("wav", 16, sample_rate=48000), tmp_path)
    back, _ = read(made.path)
    at = np.arange(len(back)) * 44100 / 48000
    flat = (at % 50 > 0.5) & (at % 50 < 48.5) & (at > 100) & (at < FRAMES - 100)
    assert np.array_equal(np.sign(back[flat, 0]), square[np.floor(at[flat]).astype(int)])


def test_a_rate_that_the_format_does_not_have(sound: Samples, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"mp3 takes 8000, .*48000 Hz, not 96000"):
        encode(sound, Encoding("mp3", sample_rate=96000), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", ["wav", "flac", "mp3", "m4a", "opus"])
@pytest.mark.parametrize("depth", [16, 32])
def test_no_file_is_larger_than_foreseen(tmp_path: Path, form: Format, depth: BitDepth) -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, (3 * 44100, 2)).astype(np.float32)
    encoding = Encoding(form, depth if form == "wav" else 16, tags={"title": "x" * 256})
    made = encode(noise, encoding, tmp_path)
    assert (
        made.report.size <= encoding.max_bytes(len(noise), 44100) < 2 * made.report.size + (1 << 17)
    )


@pytest.mark.parametrize("form", ["wav", "flac", "mp3", "m4a", "opus"])
def test_a_full_disk_is_an_error_and_leaves_nothing(
    sound: Samples, tmp_path: Path, form: Format
) -> None:
    """Acceptance 50."""
    (tmp_path / f"x.{form}").symlink_to("/dev/full")
    file = StemFile("x", len(sound), 44100, Encoding(form), tmp_path)

    def write() -> None:
        for _ in range(8):
            file.write(sound)
        file.close(1.0)

    with pytest.raises(OSError, match="No space left") as caught:
        write()
    assert caught.value.errno == errno.ENOSPC
    file.discard()
    assert list(tmp_path.iterdir()) == []


TAGS = {
    "title": "Söng", "artist": "A", "album": "B", "album_artist": "C", "composer": "D",
    "genre": "Folk", "date": "1999", "track": "3/12", "disc": "1/2",
}  # fmt: skip


@pytest.mark.parametrize("form", ["wav", "flac", "mp3", "m4a", "opus"])
def test_tags_are_kept_and_the_title_names_the_stem(
    sound: Samples, tmp_path: Path, form: Format
) -> None:
    one = encode(sound, Encoding(form, tags=TAGS), tmp_path)
    with av.open(str(one.path)) as file:
        found = {**file.streams.audio[0].metadata, **file.metadata}
    kept = {name.lower(): found[name] for name in found if name.lower() in TAGS}
    assert kept == {**TAGS, "title": "Söng (x)"}
    back, rate = read(one.path)
    assert abs(len(back) - FRAMES * rate // 44100) < 1024
    assert encode(sound, Encoding(form, tags=TAGS), tmp_path).report == one.report


def test_what_strangers_write_into_tags_is_plain_and_short() -> None:
    found: dict[str, object] = {
        "TITLE": "a\x00b\x1b[31m\u202ec\n\td ",
        "artist": "x" * 100_000,
        "album": "\r\n",
        "encoder": "Lavf",
        "genre": 3,
    }
    assert source_tags.cleaned(found) == {"title": "a b[31mc d", "artist": "x" * 256, "genre": "3"}


@given(st.dictionaries(st.sampled_from(["title", "album", "Track", "x"]), st.text()))
def test_any_tags_give_chunks_of_the_length_they_say(found: dict[str, str]) -> None:
    kept = source_tags.cleaned(found)
    chunks, id3 = tags.riff_chunks(kept), tags.id3(kept)
    assert source_tags.cleaned(dict(kept)) == kept
    while chunks:
        size = int.from_bytes(chunks[4:8], "little")
        assert chunks[:4] in {b"LIST", b"id3 "}
        assert len(chunks) >= 8 + size + size % 2
        chunks = chunks[8 + size + size % 2 :]
    sizes = [byte << shift for byte, shift in zip(id3[6:10], (21, 14, 7, 0), strict=False)]
    assert sum(sizes) == max(len(id3) - 10, 0)
