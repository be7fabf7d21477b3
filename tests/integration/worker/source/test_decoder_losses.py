"""Files that lost some of their sound: what is there instead, and what is told of it."""

import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from tests.support.decoding import LIMITS, decoded_here

from bench.audio_files import Samples, rewrite, tones, write_audio, write_video
from splitjob.errors import ErrorCode, Failure

SECONDS = 4.0


def written(folder: Path, kind: str) -> Path:
    """Write four seconds of noise, which takes as many bytes in each second."""
    codec, container, suffix, rate = KINDS[kind]
    noise = np.random.default_rng(0).normal(0, 0.1, (2, round(SECONDS * rate)))
    path = folder / f"x.{suffix}"
    bit_rate = 128_000 if kind == "wma" else None
    return write_audio(path, noise.astype(np.float32), rate, "stereo", codec, container, bit_rate)


KINDS = {
    "wav": ("pcm_s16le", "wav", "wav", 44100),
    "rf64": ("pcm_s16le", "wav", "wav", 44100),
    "aiff": ("pcm_s16be", "aiff", "aiff", 44100),
    "au": ("pcm_s16be", "au", "au", 44100),
    "caf": ("pcm_s16be", "caf", "caf", 44100),
    "w64": ("pcm_s16le", "w64", "w64", 44100),
    "wma": ("wmav2", "asf", "wma", 44100),
    "flac": ("flac", "flac", "flac", 44100),
    "mp3": ("libmp3lame", "mp3", "mp3", 44100),
    "m4a": ("aac", "ipod", "m4a", 44100),
    "aac": ("aac", "adts", "aac", 44100),
    "ac3": ("ac3", "ac3", "ac3", 48000),
    "opus": ("libopus", "ogg", "opus", 48000),
    "vorbis": ("vorbis", "ogg", "ogg", 44100),
    "webm": ("libopus", "webm", "webm", 48000),
    "mka": ("flac", "matroska", "mka", 44100),
    "flv": ("libmp3lame", "flv", "flv", 44100),
    "ts": ("aac", "mpegts", "ts", 44100),
    "wv": ("wavpack", "wv", "wv", 44100),
    "tta": ("tta", "tta", "tta", 44100),
}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_whole_file_has_lost_nothing(tmp_path: Path, kind: str) -> None:
    _, found = decoded_here(written(tmp_path, kind))
    assert found.damaged_seconds == found.missing_seconds == 0
    assert found.source_frames / found.source_rate == pytest.approx(SECONDS, abs=0.06)


def late(samples: Samples, than: Samples) -> int:
    """Return by how many samples a sound is later than another one."""
    size = 2 * len(than)
    spectrum = np.fft.rfft(samples[: len(than)], size) * np.conj(np.fft.rfft(than, size))
    lag = int(np.argmax(np.fft.irfft(spectrum, size)))
    return lag - size if lag > len(than) else lag


@pytest.mark.parametrize("kind", ["flac", "m4a", "aac", "mp3", "ac3", "opus", "ts", "flv"])
def test_what_is_damaged_is_silence_and_the_rest_where_it_was(tmp_path: Path, kind: str) -> None:
    """Acceptance 75: a tenth of the file is overwritten with zeros."""
    file = written(tmp_path, kind)
    before, _ = decoded_here(file)
    content = bytearray(file.read_bytes())
    half, tenth = len(content) // 2, len(content) // 10
    content[half : half + tenth] = bytes(tenth)
    file.write_bytes(content)
    samples, found = decoded_here(file)
    assert 0.3 < found.damaged_seconds <= 1.1
    assert found.missing_seconds == 0
    assert abs(len(samples) - len(before)) < 1500  # of mp3, what the encoder filled up with
    silent = ~samples.any(axis=1)
    assert np.sum(silent) / 44100 == pytest.approx(found.damaged_seconds, abs=0.06)
    assert abs(late(samples[len(before) - 22050 :, 0], before[-22050:, 0])) <= 44


def cut_off(content: bytes) -> bytes:
    return content[: len(content) * 6 // 10]


@pytest.mark.parametrize(
    "kind",
    ["wav", "aiff", "au", "caf", "w64", "flac", "mp3", "wma", "webm", "mka", "flv", "wv", "tta"],
)
def test_what_was_cut_off_is_missing_as_the_header_says(tmp_path: Path, kind: str) -> None:
    """Acceptance 75."""
    file = written(tmp_path, kind)
    file.write_bytes(cut_off(file.read_bytes()))
    samples, found = decoded_here(file)
    assert found.damaged_seconds < 0.05  # of a frame that was cut
    assert len(samples) / 44100 + found.missing_seconds == pytest.approx(SECONDS, abs=0.12)


def test_an_m4a_with_its_index_in_front_says_what_was_cut_off(tmp_path: Path) -> None:
    """As files for streaming are written; cut off, they play to where they end."""
    options = {"movflags": "faststart"}
    front = rewrite(written(tmp_path, "m4a"), tmp_path / "front.m4a", "ipod", options)
    assert decoded_here(front)[1].missing_seconds == 0
    front.write_bytes(cut_off(front.read_bytes()))
    samples, found = decoded_here(front)
    assert len(samples) / 44100 + found.missing_seconds == pytest.approx(SECONDS, abs=0.12)


def test_a_fragment_that_is_not_there_is_damage(tmp_path: Path) -> None:
    """As of a stream whose downloader went on without a segment."""
    flags = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "500000"}
    file = rewrite(written(tmp_path, "m4a"), tmp_path / "x.mp4", "mp4", flags)
    before, found = decoded_here(file)
    assert found.damaged_seconds == found.missing_seconds == 0
    content = file.read_bytes()
    starts = [at - 4 for at in range(len(content)) if content.startswith(b"moof", at)]
    file.write_bytes(content[: starts[3]] + content[starts[4] :])
    samples, found = decoded_here(file)
    assert found.damaged_seconds == pytest.approx(0.5, abs=0.05)
    assert len(samples) == len(before)


def test_a_hole_that_the_last_page_of_an_ogg_file_tells_of_is_missing(tmp_path: Path) -> None:
    file = written(tmp_path, "vorbis")
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2] + content[len(content) * 6 // 10 :])
    samples, found = decoded_here(file)
    assert len(samples) / 44100 + found.missing_seconds == pytest.approx(SECONDS, abs=0.01)


@pytest.mark.parametrize("kind", ["opus", "vorbis", "flac"])
def test_a_recording_of_a_radio_stream_in_ogg_is_whole_though_its_clock_begins_late(
    tmp_path: Path, kind: str
) -> None:
    file, recorded = written(tmp_path, kind), tmp_path / "recorded.ogg"
    with av.open(str(file)) as given, av.open(str(recorded), "w", "ogg") as made:
        track = made.add_stream_from_template(given.streams.audio[0])
        for packet in given.demux(audio=0):
            if packet.dts is not None and packet.pts is not None:
                packet.stream = track
                packet.pts, packet.dts = packet.pts + 10_000_000, packet.dts + 10_000_000
                made.mux(packet)
    samples, found = decoded_here(recorded)
    assert found.damaged_seconds == found.missing_seconds == 0
    assert len(samples) / 44100 == pytest.approx(SECONDS, abs=0.03)


@pytest.mark.parametrize("kind", ["opus", "vorbis"])
def test_of_an_ogg_file_that_was_cut_off_the_page_that_was_cut_is_missing(
    tmp_path: Path, kind: str
) -> None:
    file = written(tmp_path, kind)
    content = cut_off(file.read_bytes())
    file.write_bytes(content)
    page_ends = int.from_bytes(content[content.rindex(b"OggS") + 6 :][:8], "little")
    samples, found = decoded_here(file)
    assert found.missing_seconds > 0.3
    assert len(samples) / 44100 + found.missing_seconds == pytest.approx(
        page_ends / KINDS[kind][3], abs=0.03
    )


def size_of_sound(size: int) -> Callable[[bytes], bytes]:
    def written_so(content: bytes) -> bytes:
        place = content.index(b"data") + 4
        return content[:place] + struct.pack("<I", size) + content[place + 4 :]

    return written_so


@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0x7FFFFFFF - 36, 0x80000000, 0xFFFFFFFF - 44])
def test_a_size_that_was_made_up_says_nothing_of_what_is_missing(tmp_path: Path, size: int) -> None:
    file = written(tmp_path, "wav")
    file.write_bytes(size_of_sound(size)(cut_off(file.read_bytes())))
    _, found = decoded_here(file)
    assert found.missing_seconds == 0


def test_an_aiff_that_was_written_into_a_pipe_has_lost_nothing(tmp_path: Path) -> None:
    """As SoX writes one."""
    file = written(tmp_path, "aiff")
    content = bytearray(file.read_bytes())
    common, sound = content.index(b"COMM"), content.index(b"SSND")
    content[common + 10 : common + 14] = struct.pack(">I", 0x7F000000 // 4)
    content[sound + 4 : sound + 8] = struct.pack(">I", 0x7F000000 + 8)
    file.write_bytes(content)
    samples, found = decoded_here(file)
    assert (len(samples), found.missing_seconds) == (round(SECONDS * 44100), 0)


def test_an_aiff_in_packets_of_many_samples_has_lost_nothing(tmp_path: Path) -> None:
    """Some programs count its samples, and some its packets."""
    file = tmp_path / "x.aiff"
    sound = tones(44100, SECONDS, 1).T
    soundfile.write(file, sound, 44100, format="AIFF", subtype="GSM610")
    samples, found = decoded_here(file)
    assert found.missing_seconds < 0.01
    assert len(samples) / 44100 == pytest.approx(SECONDS, abs=0.02)


@pytest.mark.parametrize("kind", ["avi", "flac"])
def test_a_length_beyond_belief_says_nothing_of_what_is_missing(tmp_path: Path, kind: str) -> None:
    """An avi that was written into a pipe says that it lasts a year."""
    if kind == "flac":
        content = bytearray(written(tmp_path, "flac").read_bytes())
        content[21] |= 0x0F
        content[22:26] = b"\xff" * 4  # the number of samples
    else:
        write_video(tmp_path / "x.avi", [(0, tones(48000, SECONDS, 2))], codec="mp2", picture=None)
        content = bytearray((tmp_path / "x.avi").read_bytes())
        length = content.index(b"strh") + 40
        content[length : length + 4] = b"\xff" * 4
        content = content[: content.rindex(b"idx1")]
    (file := tmp_path / f"long.{kind}").write_bytes(content)
    samples, found = decoded_here(file)
    assert found.missing_seconds == 0
    assert len(samples) / 44100 == pytest.approx(SECONDS, abs=0.06)


def test_of_a_long_wav_the_size_in_its_own_chunk_counts(tmp_path: Path) -> None:
    """RF64 (EBU 3306): the size of `data` is in `ds64`."""
    content = written(tmp_path, "rf64").read_bytes()
    sound = content[content.index(b"data") + 8 :]
    sizes = struct.pack("<QQQI", len(content) + 28, len(sound), len(sound) // 4, 0)
    head = content[12 : content.index(b"LIST") if b"LIST" in content else content.index(b"data")]
    start = b"RF64\xff\xff\xff\xffWAVEds64" + struct.pack("<I", len(sizes)) + sizes + head
    file = tmp_path / "long.wav"
    file.write_bytes(start + b"data\xff\xff\xff\xff" + sound)
    assert decoded_here(file)[1].missing_seconds == 0
    file.write_bytes(start + b"data\xff\xff\xff\xff" + sound[: len(sound) // 2])
    assert decoded_here(file)[1].missing_seconds == pytest.approx(SECONDS / 2, abs=1e-6)


def test_an_mp3_whose_tag_counts_more_than_its_size_holds_is_believed_by_its_size(
    tmp_path: Path,
) -> None:
    file = written(tmp_path, "mp3")
    content = file.read_bytes()
    place = content.index(b"Info") + 8
    file.write_bytes(content[:place] + struct.pack(">I", 500) + content[place + 4 :])
    assert decoded_here(file)[1].missing_seconds == 0


def test_the_tag_of_fraunhofers_encoder_counts_as_well(tmp_path: Path) -> None:
    """It is called VBRI, and stands where Xing's would stand in a frame of its own."""
    content = bytearray(written(tmp_path, "mp3").read_bytes())
    frame = content.index(b"Info") - 36
    count, size = struct.unpack(">II", content[frame + 44 : frame + 52])
    vbri = b"VBRI" + struct.pack(">HHHII", 1, 1105, 75, size, count) + bytes(100)
    content[frame + 36 : frame + 36 + len(vbri)] = vbri
    (file := tmp_path / "vbri.mp3").write_bytes(content)
    whole, found = decoded_here(file)
    assert found.missing_seconds == 0
    file.write_bytes(cut_off(bytes(content)))
    samples, found = decoded_here(file)
    whole_seconds = len(whole) / 44100
    assert len(samples) / 44100 + found.missing_seconds == pytest.approx(whole_seconds, abs=0.12)


def test_noise_in_a_stream_of_bare_aac_is_as_long_a_silence(tmp_path: Path) -> None:
    """Acceptance 75: FFmpeg by itself passes over it, and the rest comes early."""
    file = written(tmp_path, "aac")
    before, _ = decoded_here(file)
    content = bytearray(file.read_bytes())
    half, tenth = len(content) // 2, len(content) // 10
    content[half : half + tenth] = np.random.default_rng(0).bytes(tenth)
    file.write_bytes(content)
    samples, found = decoded_here(file)
    assert len(samples) == len(before)
    assert found.damaged_seconds == pytest.approx(SECONDS / 10, abs=0.06)


def test_tags_between_the_frames_of_bare_aac_are_no_damage(tmp_path: Path) -> None:
    """As segments of live streams, joined, have them."""
    file = written(tmp_path, "aac")
    before, _ = decoded_here(file)
    tag = b"ID3\4\0\0\0\0\4\0" + bytes(512)
    content = file.read_bytes()
    half = content.index(content[:3], len(content) // 2)
    file.write_bytes(tag + content[:half] + tag + content[half:] + b"TAG" + bytes(125))
    samples, found = decoded_here(file)
    assert np.array_equal(samples, before)
    assert found.damaged_seconds == found.missing_seconds == 0


@pytest.mark.parametrize("behind", [b"TAG" + bytes(125), bytes(3000)], ids=["tag", "zeros"])
def test_rubbish_behind_a_stream_of_frames_is_no_loss(tmp_path: Path, behind: bytes) -> None:
    file = written(tmp_path, "mp3")
    before, _ = decoded_here(file)
    file.write_bytes(file.read_bytes() + behind)
    samples, found = decoded_here(file)
    assert np.array_equal(samples, before)
    assert found.damaged_seconds == found.missing_seconds == 0


def with_silenced(samples: Samples, seconds: float) -> Samples:
    samples[0, 1000 : 1000 + round(seconds * 44100)] = np.nan
    return samples


def test_samples_that_are_no_sound_are_damage_once_for_both_sides(tmp_path: Path) -> None:
    samples = with_silenced(tones(44100, SECONDS, 2), 1.0)
    file = write_audio(tmp_path / "x.wav", samples, codec="pcm_f32le")
    assert decoded_here(file)[1].damaged_seconds == 1.0


@pytest.mark.parametrize(("percent", "taken"), [(0, False), (9, False), (10, True), (100, True)])
def test_a_song_that_lost_more_than_is_allowed_is_refused_in_figures(
    tmp_path: Path, percent: int, taken: bool
) -> None:
    """Acceptance 75."""
    samples = with_silenced(tones(44100, SECONDS, 2), SECONDS / 10)
    file = write_audio(tmp_path / "x.wav", samples, codec="pcm_f32le")
    limits = replace(LIMITS, max_lost_percent=percent)
    if taken:
        assert decoded_here(file, limits)[1].damaged_seconds == pytest.approx(0.4)
        return
    with pytest.raises(Failure) as caught:
        decoded_here(file, limits)
    assert caught.value.code is ErrorCode.AUDIO_UNREADABLE
    for word in ("0.4 s are damaged", "0.0 s missing", f"{percent} %", "MAX_LOST_PERCENT"):
        assert word in caught.value.message


def written_avi(folder: Path, codec: str, pieces: list[tuple[float, Samples]]) -> Path:
    return write_video(folder / "x.avi", pieces, codec=codec)


@pytest.mark.parametrize("codec", ["pcm_s16le", "mp3", "aac", "ac3", "mp2"])
def test_damaged_chunks_of_an_avi_are_silence_and_the_rest_where_it_was(
    tmp_path: Path, codec: str
) -> None:
    """Acceptance 75: the index at the end of the file tells how many there were."""
    file = written_avi(tmp_path, codec, [(0, tones(48000, 2.88, 2))])
    before, whole = decoded_here(file)
    assert whole.damaged_seconds == whole.missing_seconds == 0
    content = bytearray(file.read_bytes())
    begin, tenth = len(content) * 4 // 10, len(content) // 10
    content[begin : begin + tenth] = bytes(tenth)
    file.write_bytes(content)
    samples, found = decoded_here(file)
    assert len(samples) == len(before)
    assert 0.25 < found.damaged_seconds < 0.5
    assert found.missing_seconds == 0


@pytest.mark.parametrize("codec", ["pcm_s16le", "mp3", "aac", "ac3", "mp2"])
def test_an_avi_that_was_cut_off_says_how_long_it_was(tmp_path: Path, codec: str) -> None:
    """Acceptance 75."""
    file = written_avi(tmp_path, codec, [(0, tones(48000, 2.88, 2))])
    file.write_bytes(cut_off(file.read_bytes()))
    samples, found = decoded_here(file)
    assert found.damaged_seconds == 0
    assert len(samples) / 44100 + found.missing_seconds == pytest.approx(2.9, abs=0.05)


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def avi_of_bytes(sound: bytes, size: int, byte_rate: int) -> bytes:
    """Return an AVI file of a stream of bytes, in chunks of a size, as recorders write it."""
    pieces = [chunk(b"00wb", sound[at : at + size]) for at in range(0, len(sound), size)]
    header = struct.pack(
        "<4s4sIHHIIIIIIiI",
        b"auds",
        b"\1\0\0\0",
        0,
        0,
        0,
        0,
        1,
        byte_rate,
        0,
        len(sound),
        size,
        -1,
        1,
    ) + bytes(8)
    format_of_mp3 = struct.pack(
        "<HHIIHHHHIHHH", 0x55, 2, 44100, byte_rate, 1, 0, 12, 1, 2, 417, 1, 0
    )
    stream = chunk(b"LIST", b"strl" + chunk(b"strh", header) + chunk(b"strf", format_of_mp3))
    main = chunk(
        b"avih", struct.pack("<10I", 40000, byte_rate, 0, 0x10, 0, 0, 1, 0, 0, 0) + bytes(16)
    )
    places = np.cumsum([4, *(len(piece) for piece in pieces)])
    index = b"".join(
        struct.pack("<4sIII", b"00wb", 0x10, place, min(size, len(sound) - at))
        for place, at in zip(places, range(0, len(sound), size), strict=False)
    )
    lists = chunk(b"LIST", b"hdrl" + main + stream) + chunk(b"LIST", b"movi" + b"".join(pieces))
    return chunk(b"RIFF", b"AVI " + lists + chunk(b"idx1", index))


@pytest.mark.parametrize("size", [100, 300, 2000])
def test_chunks_in_which_no_frame_of_an_avi_begins_are_no_loss(tmp_path: Path, size: int) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, (2, 44100 * 2)).astype(np.float32)
    mp3 = write_audio(tmp_path / "x.mp3", noise, 44100, "stereo", "libmp3lame", "mp3", 128_000)
    whole, _ = decoded_here(mp3)
    file = tmp_path / "x.avi"
    content = mp3.read_bytes()
    frames = content[content.index(b"\xff\xfb") :]  # what is in front of them is a tag
    file.write_bytes(avi_of_bytes(frames, size, 16000))
    samples, found = decoded_here(file)
    assert found.damaged_seconds == found.missing_seconds == 0
    assert len(samples) == pytest.approx(len(whole), abs=3000)
