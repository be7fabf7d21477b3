"""What is decoded of real audio, and what of files that are none."""

import os
import subprocess
import sys
import wave
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.audio_files import Samples, tones, write_audio
from bench.normalising import normalisation
from splitjob.errors import ErrorCode, Failure
from splitjob_worker.source.audio import AudioLimits, Decoded
from splitjob_worker.source.decode import decode

LIMITS = AudioLimits(rate=44100, max_seconds=20)


def decoded(source: Path, limits: AudioLimits = LIMITS) -> tuple[Samples, Decoded]:
    """Decode a file; return its samples, shape (frames, 2), and what was found."""
    spool, found = decode(source, source.with_suffix(".f32"), limits)
    with spool.reader() as reader:
        return reader.read(0, spool.frames), found


def refusal(source: Path, limits: AudioLimits = LIMITS) -> Failure:
    with pytest.raises(Failure) as caught:
        decode(source, source.with_suffix(".f32"), limits)
    return caught.value


def strength(samples: Samples, frequency: float) -> float:
    """Amplitude of a tone in one channel at 44.1 kHz."""
    phase = 2 * np.pi * frequency * np.arange(len(samples)) / 44100
    return 2 * abs(complex(np.mean(samples * np.exp(-1j * phase))))


@pytest.mark.parametrize(
    ("codec", "container", "suffix"),
    [
        ("pcm_s16le", None, "wav"),
        ("pcm_s24le", None, "wav"),
        ("pcm_f32le", None, "wav"),
        ("flac", None, "flac"),
        ("libmp3lame", None, "mp3"),
        ("aac", "ipod", "m4a"),
        ("alac", "ipod", "m4a"),
        ("flac", "ogg", "oga"),
        ("libopus", "ogg", "opus"),
        ("pcm_s16be", None, "aiff"),
        ("libopus", "webm", "webm"),
    ],
)
def test_each_format_is_decoded(
    tmp_path: Path, codec: str, container: str | None, suffix: str
) -> None:
    rate = 48000 if codec == "libopus" else 44100
    file = write_audio(
        tmp_path / f"x.{suffix}", tones(rate, 2.0, 2), rate, codec=codec, container=container
    )
    samples, found = decoded(file)
    assert found.source_rate == rate
    assert abs(found.frames - 88200) < 2100  # codecs that know no end pad to a whole frame
    assert strength(samples[8820:79380, 0], 110) == pytest.approx(0.3, rel=0.07)
    assert strength(samples[8820:79380, 1], 220) == pytest.approx(0.3, rel=0.07)


def test_16_bit_samples_come_through_unchanged(tmp_path: Path) -> None:
    exact = np.arange(-16000, 16000, dtype=np.int16)
    with wave.open(str(tmp_path / "x.wav"), "wb") as file:
        file.setparams((2, 2, 44100, 0, "NONE", ""))
        file.writeframes(np.stack([exact, -exact], 1).tobytes())
    samples, _ = decoded(tmp_path / "x.wav")
    assert np.array_equal(samples[:, 0] * 32768, exact)
    assert np.array_equal(samples[:, 1] * 32768, -exact)


@pytest.mark.parametrize("rate", [1000, 8000, 11025, 48000, 96000, 192000, 384000])
def test_every_rate_becomes_the_models(tmp_path: Path, rate: int) -> None:
    """Acceptance 32; the length is floor(n * 44100 / rate)."""
    count = rate * 2 + 7
    file = write_audio(tmp_path / "x.wav", tones(rate, count / rate, 2), rate)
    samples, found = decoded(file)
    assert (found.source_rate, found.source_frames) == (rate, count)
    assert found.frames == len(samples) == count * 44100 // rate
    assert strength(samples[4410:83790, 0], 110) == pytest.approx(0.3, rel=0.02)
    before = np.angle(np.exp(2j * np.pi * 110 * 1.0))
    assert before == pytest.approx(0, abs=1e-9)  # a whole period: no delay may show
    assert abs(samples[44100, 0]) < 0.03


@pytest.mark.parametrize("rate", [8000, 44100])
def test_what_the_song_is_normalised_by_is_what_a_second_reading_gives(
    tmp_path: Path, rate: int
) -> None:
    noise = np.random.default_rng(1).normal(0.01, 0.2, (2, 7 * rate)).astype(np.float32)
    file = write_audio(tmp_path / "x.wav", noise, rate, codec="pcm_f32le")
    spool, found = decode(file, tmp_path / "spool", LIMITS)
    assert found.normalisation == normalisation(spool.blocks())
    assert found.normalisation.deviation > 0.1


@pytest.mark.parametrize(
    ("codec", "container", "suffix"),
    [
        ("pcm_s16le", None, "wav"),
        ("flac", None, "flac"),
        ("libmp3lame", None, "mp3"),
        ("aac", "ipod", "m4a"),
        ("libopus", "ogg", "opus"),
        ("libopus", "webm", "webm"),
    ],
)
def test_tags_are_read(tmp_path: Path, codec: str, container: str | None, suffix: str) -> None:
    """What is not known, or not to be seen, is left out."""
    given = {"title": "Söng\u202e", "artist": "x" * 2000, "album": "\x07", "encoder": "y"}
    file = write_audio(
        tmp_path / f"x.{suffix}", tones(48000, 1.0, 2), 48000,
        codec=codec, container=container, tags=given,
    )  # fmt: skip
    _, found = decoded(file)
    assert found.tags == {"title": "Söng", "artist": "x" * 256}


def test_mono_is_on_both_sides(tmp_path: Path) -> None:
    """Acceptance 32."""
    file = write_audio(tmp_path / "x.wav", tones(44100, 1.0, 1), layout="mono")
    samples, found = decoded(file)
    assert found.source_channels == 1
    assert np.array_equal(samples[:, 0], samples[:, 1])
    assert np.abs(samples).max() == pytest.approx(0.3, abs=0.001)


def test_5_1_keeps_its_centre(tmp_path: Path) -> None:
    """Acceptance 32: front at full level, centre and surrounds at -3 dB, no low frequencies."""
    sound = tones(48000, 2.0, 6)  # FL FR FC LFE BL BR at 110, 220, ... 660 Hz
    file = write_audio(tmp_path / "x.wav", sound, 48000, layout="5.1")
    samples, found = decoded(file)
    assert found.source_channels == 6
    left, right = samples[:, 0], samples[:, 1]
    for channel, levels in {
        110: (1.0, 0.0),
        220: (0.0, 1.0),
        330: (0.7071, 0.7071),
        440: (0.0, 0.0),
        550: (0.7071, 0.0),
        660: (0.0, 0.7071),
    }.items():
        assert strength(left, channel) / 0.3 == pytest.approx(levels[0], abs=0.01)
        assert strength(right, channel) / 0.3 == pytest.approx(levels[1], abs=0.01)


def test_32_channels_without_names(tmp_path: Path) -> None:
    channels = np.zeros((44100, 32), "<i2")
    channels[:, 6] = 16000
    with wave.open(str(tmp_path / "x.wav"), "wb") as file:
        file.setparams((32, 2, 44100, 0, "NONE", ""))
        file.writeframes(channels.tobytes())
    samples, _ = decoded(tmp_path / "x.wav")
    assert samples[100] == pytest.approx([16000 / 32768 / 16, 0], abs=1e-4)


def zip_of(path: Path, name: str, content: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, content)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: path.write_bytes(b""), "empty"),
        (lambda path: path.write_text("<!DOCTYPE html><html>not here</html>"), "web page"),
        (lambda path: zip_of(path, "x.wav", bytes(50_000)), "ZIP"),
        (lambda path: path.write_bytes(os.urandom(200_000)), "none of the known formats"),
        (lambda path: path.write_text("#EXTM3U\n#EXTINF:9,\nx.wav\n"), "none of the known"),
        (lambda path: path.write_text("ffconcat version 1.0\nfile x.wav\n"), "none of the known"),
        (lambda path: path.write_bytes(b"RIFF\0\0\0\0WAVE"), ""),
    ],
)
def test_what_is_not_audio(
    tmp_path: Path, make: Callable[[Path], object], words: str, song: bytes
) -> None:
    """Acceptance 29; a playlist opens nothing, though the file it names is there."""
    (tmp_path / "x.wav").write_bytes(song)
    make(tmp_path / "source")
    failure = refusal(tmp_path / "source")
    assert failure.code is ErrorCode.AUDIO_UNREADABLE
    assert words in failure.message
    assert not failure.retryable


def test_an_mp3_stored_in_a_zip_is_a_zip(tmp_path: Path) -> None:
    """Acceptance 29: FFmpeg would find the mp3 in it."""
    mp3 = write_audio(tmp_path / "x.mp3", tones(44100, 2.0, 2), codec="libmp3lame")
    zip_of(tmp_path / "source", "x.mp3", mp3.read_bytes())
    assert "ZIP" in refusal(tmp_path / "source").message


def test_video_without_sound(tmp_path: Path) -> None:
    import av  # noqa: PLC0415

    with av.open(str(tmp_path / "x.mp4"), "w") as file:
        stream = file.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for _ in range(5):
            picture = np.zeros((64, 64, 3), np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode(None))
    failure = refusal(tmp_path / "x.mp4")
    assert failure.code is ErrorCode.AUDIO_UNREADABLE
    assert "no audio track" in failure.message


def test_too_short_and_just_long_enough(tmp_path: Path) -> None:
    """Acceptance 30."""
    short = write_audio(tmp_path / "a.wav", tones(44100, 0.159, 2))
    assert refusal(short).code is ErrorCode.AUDIO_TOO_SHORT
    enough = write_audio(tmp_path / "b.wav", tones(44100, 0.16, 2))
    assert decoded(enough)[1].frames == 7056


def test_too_long_is_seen_before_the_end(tmp_path: Path) -> None:
    """Acceptance 31."""
    file = write_audio(tmp_path / "x.wav", tones(8000, 120, 1), 8000, layout="mono")
    failure = refusal(file, AudioLimits(rate=44100, max_seconds=10))
    assert failure.code is ErrorCode.AUDIO_TOO_LONG
    assert file.with_suffix(".f32").stat().st_size < 11 * 44100 * 8


def test_what_is_not_a_number_is_silence(tmp_path: Path) -> None:
    samples = tones(44100, 1.0, 2)
    samples[0, 10], samples[1, 20], samples[0, 30], samples[1, 40] = np.nan, np.inf, 1e30, -np.inf
    file = write_audio(tmp_path / "x.wav", samples, codec="pcm_f32le")
    found, about = decoded(file)
    assert about.damaged_seconds == pytest.approx(4 / 44100, abs=1e-6)
    assert np.isfinite(found).all()
    assert found[10, 0] == found[20, 1] == found[30, 0] == found[40, 1] == 0


@pytest.mark.parametrize("wrong", [np.nan, 20_000.0])
def test_what_is_mostly_no_sound_is_refused(tmp_path: Path, wrong: float) -> None:
    """Also the whole numbers of 16 bits, in a file of floating point."""
    samples = tones(44100, 1.0, 2)
    samples[:, 17_000:] = wrong
    file = write_audio(tmp_path / "x.wav", samples, codec="pcm_f32le")
    failure = refusal(file)
    assert failure.code is ErrorCode.AUDIO_UNREADABLE
    assert "no sound" in failure.message


def test_a_full_disk_is_not_the_songs_fault(tmp_path: Path, song: bytes) -> None:
    """Acceptance 50: the disk takes not one byte, so that the decoder can write down no reason."""
    (tmp_path / "source").write_bytes(song)
    program = """
import resource, sys
from pathlib import Path
from typing import Any
from splitjob.errors import Failure
from splitjob_worker.source.audio import AudioLimits
from splitjob_worker.source.decode import decode
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
try:
    decode(Path("source"), Path("spool"), AudioLimits(44100, 20))
except Failure as failure:
    print(failure.code)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, stdout=subprocess.PIPE, text=True, check=True
    )
    assert done.stdout.strip() == ErrorCode.WORKER_STORAGE


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "opus"])
def test_a_truncated_file_gives_what_it_holds(tmp_path: Path, suffix: str) -> None:
    codec = {"wav": "pcm_s16le", "flac": "flac", "mp3": "libmp3lame", "opus": "libopus"}[suffix]
    file = write_audio(tmp_path / f"x.{suffix}", tones(48000, 4.0, 2), 48000, codec=codec)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    _, found = decoded(file)
    assert 44100 < found.frames < 3 * 44100


def test_ten_minutes_are_decoded_in_flat_memory(tmp_path: Path) -> None:
    """Acceptance 35, the decoder's part: less memory than the spool it writes."""
    second = (tones(44100, 1.0, 1)[0] * 32767).astype("<i2").tobytes()
    with wave.open(str(tmp_path / "x.wav"), "wb") as file:
        file.setparams((1, 2, 44100, 0, "NONE", ""))
        for _ in range(600):
            file.writeframesraw(second)
    script = f"""
import resource
from pathlib import Path
from typing import Any
from splitjob_worker.source.decode import decode
from splitjob_worker.source.audio import AudioLimits
spool, found = decode(Path({str(tmp_path / "x.wav")!r}), Path({str(tmp_path / "spool")!r}),
                      AudioLimits(rate=44100, max_seconds=700))
print(found.frames, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    frames, kibibytes = map(int, done.stdout.split())
    assert frames == 600 * 44100
    assert kibibytes * 1024 < 0.7 * frames * 8
