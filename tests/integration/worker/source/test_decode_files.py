"""Files that are more, or other, than one track of sound: what the decoder takes of them."""

import struct
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition
from tests.support.decoding import decoded, refused

from bench.audio_files import Samples, tones, write_audio
from splitjob.errors import ErrorCode


def loudest(samples: Samples) -> float:
    """Frequency in Hz of the strongest tone in the left channel at 44.1 kHz."""
    spectrum = np.abs(np.fft.rfft(samples[:, 0]))
    return float(np.argmax(spectrum) * 44100 / len(samples))


def frame_of(tone: float, rate: int = 44100, seconds: float = 1.0) -> Any:
    time = np.arange(round(rate * seconds)) / rate
    wave_form = (0.3 * np.sin(2 * np.pi * tone * time) * 32767).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(wave_form.reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate, frame.pts = rate, 0
    return frame


def write_tracks(path: Path, container: str, marked: int | None, video: bool = False) -> Path:
    """Write audio tracks of 500, 1000 and 1500 Hz, one of them marked as the default."""
    with av.open(str(path), "w", format=container) as file:
        if video:
            picture: Any = file.add_stream("mpeg4", rate=25)
            picture.width = picture.height = 64
            picture.pix_fmt = "yuv420p"
        tracks: list[Any] = [
            file.add_stream("pcm_s16le", rate=44100, layout="mono") for _ in range(3)
        ]
        for index, track in enumerate(tracks):
            track.disposition = Disposition.default if index == marked else Disposition(0)
        if video:
            for _ in range(25):
                black = np.zeros((64, 64, 3), np.uint8)
                file.mux(picture.encode(av.VideoFrame.from_ndarray(black, format="rgb24")))
            file.mux(picture.encode(None))
        for index, track in enumerate(tracks):
            file.mux(track.encode(frame_of(500 * (index + 1))))
            file.mux(track.encode(None))
    return path


@pytest.mark.parametrize(("marked", "tone"), [(None, 500), (0, 500), (1, 1000), (2, 1500)])
def test_of_several_tracks_the_default_is_taken_else_the_first(
    tmp_path: Path, marked: int | None, tone: float
) -> None:
    samples, found = decoded(write_tracks(tmp_path / "x.mkv", "matroska", marked))
    assert found.frames == 44100
    assert loudest(samples) == tone


@pytest.mark.parametrize(("container", "suffix"), [("matroska", "mkv"), ("mov", "mov")])
def test_of_a_video_the_sound_is_taken(tmp_path: Path, container: str, suffix: str) -> None:
    file = write_tracks(tmp_path / f"x.{suffix}", container, 0, video=True)
    samples, found = decoded(file)
    assert found.frames == 44100
    assert loudest(samples) == 500


@pytest.mark.parametrize(
    ("codec", "container", "suffix"),
    [("libmp3lame", "mp3", "mp3"), ("flac", "flac", "flac"), ("aac", "mp4", "m4a")],
)
def test_a_cover_is_no_track(tmp_path: Path, codec: str, container: str, suffix: str) -> None:
    path = tmp_path / f"x.{suffix}"
    with av.open(str(path), "w", format=container) as file:
        sound: Any = file.add_stream(codec, rate=44100, layout="mono")
        cover: Any = file.add_stream("mjpeg", rate=1)
        cover.width = cover.height = 64
        cover.pix_fmt = "yuvj420p"
        cover.disposition = Disposition.attached_pic
        sound.codec_context.open(strict=False)
        adapt = av.AudioResampler(
            format=sound.format.name, layout="mono", rate=44100, frame_size=sound.frame_size
        )
        picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        parts = [*adapt.resample(frame_of(1000)), *adapt.resample(None)]
        pictures = [*cover.encode(picture), *cover.encode(None)]
        sounds = [packet for part in parts for packet in sound.encode(part)]
        for packet in [*pictures, *sounds, *sound.encode(None)]:
            file.mux(packet)
    with av.open(str(path)) as file:
        assert len(file.streams.video) == 1
    samples, found = decoded(path)
    assert found.frames == 44100
    assert loudest(samples) == pytest.approx(1000, abs=2)


def write_channels(path: Path, content: Samples) -> Path:
    """Write a wav file that does not say which channel is where; shape (n, channels)."""
    with wave.open(str(path), "wb") as file:
        file.setparams((content.shape[1], 2, 44100, 0, "NONE", ""))
        file.writeframes((content * 32767).astype("<i2").tobytes())
    return path


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 24, 31, 32])
def test_of_every_number_of_channels_none_is_lost(tmp_path: Path, count: int) -> None:
    """Except the low frequencies of 5.1 and the like, which double what the others have."""
    content = np.zeros((100 * count + 12000, count), np.float32)
    for channel in range(count):
        content[100 * channel : 100 * channel + 100, channel] = 0.5
    samples, found = decoded(write_channels(tmp_path / "x.wav", content))
    assert found.source_channels == count
    heard = [
        np.abs(samples[100 * channel + 50]).max() > 0.5 / (count + 1) for channel in range(count)
    ]
    low = [3] if 6 <= count <= 8 else []
    assert [channel for channel in range(count) if not heard[channel]] == low


def test_six_channels_without_names_are_5_1_with_its_centre(tmp_path: Path) -> None:
    content = np.zeros((20000, 6), np.float32)
    content[:, 2] = 0.5
    samples, _ = decoded(write_channels(tmp_path / "x.wav", content))
    assert samples[9000] == pytest.approx([0.5**1.5, 0.5**1.5], abs=1e-3)


def test_a_codec_that_nobody_knows_is_unsupported(tmp_path: Path) -> None:
    """Not a defect of the decoder, which would be tried again."""
    file = write_audio(tmp_path / "x.wav", tones(44100, 0.5, 2))
    content = bytearray(file.read_bytes())
    content[20:22] = b"\x34\x12"  # the format of the samples
    file.write_bytes(content)
    failure = refused(file)
    assert failure.code is ErrorCode.AUDIO_UNSUPPORTED
    assert "codec" in failure.message


@pytest.mark.parametrize("name", [b"drms", b"enca"])
def test_sound_that_is_protected_against_copying_is_no_damage(tmp_path: Path, name: bytes) -> None:
    """As songs were sold until 2009."""
    file = write_audio(tmp_path / "x.m4a", tones(44100, 0.5, 2), codec="aac")
    content = file.read_bytes()
    place = content.index(b"mp4a", content.index(b"stsd"))
    file.write_bytes(content[:place] + name + content[place + 4 :])
    failure = refused(file)
    assert failure.code is ErrorCode.AUDIO_UNSUPPORTED
    assert "protected" in failure.message


def test_more_channels_than_any_mix_are_refused(tmp_path: Path) -> None:
    file = write_channels(tmp_path / "x.wav", np.zeros((20000, 33), np.float32))
    failure = refused(file)
    assert failure.code is ErrorCode.AUDIO_UNSUPPORTED
    assert "33 channels" in failure.message


@pytest.mark.parametrize("rate", [999, 384_001, 768_000])
def test_rates_beyond_any_recording_are_refused(tmp_path: Path, rate: int) -> None:
    failure = refused(write_audio(tmp_path / "x.wav", tones(rate, 0.5, 2), rate))
    assert failure.code is ErrorCode.AUDIO_UNSUPPORTED
    assert f"{rate} Hz" in failure.message


@pytest.mark.parametrize(
    ("codec", "suffix", "rate"),
    [
        ("aac", "m4a", 44100),
        ("aac", "mp4", 48000),
        ("aac", "mov", 32000),
        ("alac", "m4a", 44100),
        ("libopus", "mp4", 48000),
        ("alac", "caf", 44100),
    ],
)
@pytest.mark.parametrize("seconds", [0.5, 1.0101])
def test_what_fills_up_the_last_frame_is_cut_and_no_more(
    tmp_path: Path, codec: str, suffix: str, rate: int, seconds: float
) -> None:
    sound = tones(rate, seconds, 2)
    file = write_audio(tmp_path / f"x.{suffix}", sound, rate, codec=codec)
    _, found = decoded(file)
    assert found.source_frames == sound.shape[1]
    assert found.frames == sound.shape[1] * 44100 // rate


def test_the_edit_list_tells_the_length_where_the_sample_table_does_not(tmp_path: Path) -> None:
    """As other writers of m4a do: all frames are as long as the first."""
    file = write_audio(tmp_path / "x.m4a", tones(44100, 1.0, 2), codec="aac")
    content = file.read_bytes()
    table = content.index(b"stts")
    (entries,) = struct.unpack(">I", content[table + 8 : table + 12])
    assert entries == 2
    last = table + 12 + 8 * (entries - 1)
    count, _ = struct.unpack(">II", content[last : last + 8])
    file.write_bytes(content[:last] + struct.pack(">II", count, 1024) + content[last + 8 :])
    _, found = decoded(file)
    assert found.source_frames == 44100


def at(place: int, value: bytes) -> Callable[[bytes], bytes]:
    return lambda content: content[:place] + value + content[place + len(value) :]


@pytest.mark.parametrize(
    "spoil",
    [
        at(4, b"\xff\xff\xff\xff"),
        at(4, b"\0\0\0\0"),
        at(40, b"\xff\xff\xff\xff"),
        at(40, b"\0\0\0\0"),
        at(40, struct.pack("<I", 1 << 20)),
        at(28, b"\0\0\0\0"),
        at(28, b"\xff\xff\xff\x7f"),
    ],
    ids=["riff size", "no riff size", "data size", "no data size", "data beyond the end",
         "no byte rate", "byte rate"],
)  # fmt: skip
def test_a_wav_file_whose_header_is_wrong_about_its_size(
    tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    """Recorders that were switched off, and programs that write to a pipe, leave such files."""
    sound = (tones(44100, 1.0, 2).T * 32767).astype("<i2")
    with wave.open(str(tmp_path / "x.wav"), "wb") as file:
        file.setparams((2, 2, 44100, 0, "NONE", ""))
        file.writeframes(sound.tobytes())
    (tmp_path / "x.wav").write_bytes(spoil((tmp_path / "x.wav").read_bytes()))
    samples, _ = decoded(tmp_path / "x.wav")
    assert np.array_equal(np.round(samples * 32768), sound)


@pytest.mark.parametrize(
    ("suffix", "codec", "name"),
    [
        ("wav", "pcm_s16le", "mp3"),
        ("mp3", "libmp3lame", "wav"),
        ("flac", "flac", "ogg"),
        ("m4a", "aac", "aac"),
        ("opus", "libopus", "txt"),
    ],
)
def test_a_file_of_another_kind_than_its_name_says(
    tmp_path: Path, suffix: str, codec: str, name: str
) -> None:
    file = write_audio(tmp_path / f"x.{suffix}", tones(48000, 1.0, 2), 48000, codec=codec)
    right, _ = decoded(file)
    samples, _ = decoded(file.rename(tmp_path / f"y.{name}"))
    assert np.array_equal(samples, right)


@pytest.mark.parametrize(
    ("suffix", "codec", "container"),
    [
        ("aac", "aac", "adts"),
        ("ogg", "vorbis", "ogg"),
        ("webm", "libopus", "webm"),
        ("mkv", "flac", "matroska"),
        ("aiff", "pcm_s16be", "aiff"),
        ("wv", "wavpack", "wv"),
        ("ts", "aac", "mpegts"),
    ],
)
def test_half_a_file_gives_about_half_its_sound(
    tmp_path: Path, suffix: str, codec: str, container: str
) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 4 * 48000)).astype(np.float32)
    path = tmp_path / f"x.{suffix}"
    file = write_audio(path, noise, 48000, codec=codec, container=container)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    _, found = decoded(file)
    assert 44100 / 2 < found.frames < 3 * 44100  # a page of ogg holds up to a second


def test_an_m4a_whose_index_is_cut_off_cannot_be_read(tmp_path: Path) -> None:
    """Without the index at its end, nothing in it can be found."""
    file = write_audio(tmp_path / "x.m4a", tones(44100, 4.0, 2), codec="aac")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert refused(file).code is ErrorCode.AUDIO_UNREADABLE
