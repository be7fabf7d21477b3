"""Files in which FFmpeg by itself finds too little sound, or too much."""

import struct
from pathlib import Path

import numpy as np
import pytest
from tests.support.decoding import decoded_bytes, decoded_here, refusal_of_bytes

from bench.audio_files import tones, write_audio
from splitjob.errors import ErrorCode

LARGE = 1_200_000  # bytes of a picture; FFmpeg looks for a format in the first 1,048,576 of a file
SECOND = 44100

OGG = {
    "vorbis": ("vorbis", 44100, "stereo"),
    "vorbis at 48 kHz": ("vorbis", 48000, "stereo"),
    "flac": ("flac", 44100, "stereo"),
    "flac, mono": ("flac", 44100, "mono"),
    "opus": ("libopus", 48000, "stereo"),
    "opus, mono": ("libopus", 48000, "mono"),
}


def ogg(folder: Path, kind: str, title: str = "") -> bytes:
    """Return two seconds of sound as one Ogg stream."""
    codec, rate, layout = OGG[kind]
    samples = tones(rate, 2.0, 1 if layout == "mono" else 2)
    tags = {"title": title} if title else {}
    path = folder / "link.ogg"
    return write_audio(path, samples, rate, layout, codec, "ogg", tags=tags).read_bytes()


def id3(title: str, picture_bytes: int) -> bytes:
    """Return an ID3v2.4 tag with a title and a picture (id3.org, ID3v2.4.0)."""

    def size(value: int) -> bytes:
        return bytes(value >> shift & 0x7F for shift in (21, 14, 7, 0))

    picture = b"\0image/jpeg\0\3\0\xff\xd8\xff\xe0" + b"\1" * picture_bytes
    text = b"\3" + title.encode()
    frames = b"".join(
        name + size(len(content)) + b"\0\0" + content
        for name, content in ((b"TIT2", text), (b"APIC", picture))
    )
    return b"ID3\4\0\0" + size(len(frames)) + frames


@pytest.mark.parametrize("tags", [1, 2])
@pytest.mark.parametrize(
    ("suffix", "codec", "container"),
    [
        ("flac", "flac", "flac"),
        ("aac", "aac", "adts"),
        ("mp3", "libmp3lame", "mp3"),
        ("wav", "pcm_s16le", "wav"),
        ("m4a", "aac", "ipod"),
        ("ogg", "vorbis", "ogg"),
    ],
)
def test_sound_behind_a_large_tag_is_the_same_as_without(
    tmp_path: Path, suffix: str, codec: str, container: str, tags: int
) -> None:
    file = write_audio(tmp_path / f"x.{suffix}", tones(44100, 2.0, 2), 44100, "stereo", codec,
                       container)  # fmt: skip
    right, _ = decoded_here(file)
    found, _ = decoded_bytes(tmp_path, tags * id3("Behind", LARGE) + file.read_bytes())
    assert np.array_equal(found, right)


@pytest.mark.parametrize(
    "tag",
    [
        b"APETAGEX" + struct.pack("<IIIIQ", 2000, LARGE, 1, 0xA0000000, 0) + b"x" * LARGE,
        b"ID3\3\0\0" + struct.pack(">I", LARGE) + b"x" * LARGE,
    ],
    ids=["APEv2", "ID3v2, its size in bytes of eight bits"],
)
@pytest.mark.parametrize(("suffix", "codec"), [("mp3", "libmp3lame"), ("flac", "flac")])
def test_sound_behind_other_large_tags_is_the_same_as_without(
    tmp_path: Path, tag: bytes, suffix: str, codec: str
) -> None:
    file = write_audio(tmp_path / f"x.{suffix}", tones(44100, 0.5, 2), codec=codec)
    right, _ = decoded_here(file)
    found, _ = decoded_bytes(tmp_path, tag + file.read_bytes())
    assert np.array_equal(found, right)


def test_the_title_in_a_large_tag_is_read(tmp_path: Path) -> None:
    file = write_audio(tmp_path / "x.aac", tones(44100, 1.0, 2), codec="aac", container="adts")
    _, found = decoded_bytes(tmp_path, id3("Größer", LARGE) + file.read_bytes())
    assert found.tags == {"title": "Größer"}


@pytest.mark.parametrize(
    "blanks",
    [b" \r\n\t", b" " * 300, b"\n" * 70_000, bytes(5000), b"\xef\xbb\xbf", b"\n\xef\xbb\xbf\r\n"],
    ids=["few", "more than are looked at", "many", "zeros", "byte order mark", "all of them"],
)
@pytest.mark.parametrize(
    ("suffix", "codec"),
    [("wav", "pcm_s16le"), ("flac", "flac"), ("ogg", "vorbis"), ("m4a", "aac"), ("mpg", "mp2")],
)
def test_sound_behind_blanks_is_the_same_as_without(
    tmp_path: Path, blanks: bytes, suffix: str, codec: str
) -> None:
    file = write_audio(tmp_path / f"x.{suffix}", tones(44100, 1.0, 2), codec=codec)
    right, _ = decoded_here(file)
    found, _ = decoded_bytes(tmp_path, blanks + file.read_bytes())
    assert np.array_equal(found, right)


def test_a_web_page_behind_blanks_is_called_one(tmp_path: Path) -> None:
    failure = refusal_of_bytes(tmp_path, b" \n" * 400 + b"<html>Sign in</html>")
    assert failure.code is ErrorCode.AUDIO_UNREADABLE
    assert "web page" in failure.message


@pytest.mark.parametrize(
    "links",
    [
        ("vorbis", "vorbis"),
        ("vorbis", "vorbis at 48 kHz"),
        ("vorbis", "flac"),
        ("vorbis", "flac, mono"),
        ("opus", "opus"),
        ("opus", "opus, mono"),
        ("opus", "vorbis"),
        ("flac, mono", "vorbis at 48 kHz", "opus", "flac, mono"),
    ],
    ids=" and ".join,
)
def test_of_a_chained_ogg_file_every_link_is_decoded(tmp_path: Path, links: list[str]) -> None:
    """Acceptance 75: as long as the links are, each by itself."""
    each = [ogg(tmp_path, kind) for kind in links]
    alone = sum(decoded_bytes(tmp_path, link)[1].frames for link in each)
    samples, found = decoded_bytes(tmp_path, b"".join(each))
    # The links at another rate are resampled as one run, so that a fraction of a sample is shared.
    assert abs(found.frames - alone) <= len(links)
    assert found.damaged_seconds == found.missing_seconds == 0
    last = samples[-SECOND : -SECOND // 2]
    assert np.sqrt(np.mean(last**2)) > 0.1, "the end is sound"


def test_the_tags_of_a_chained_ogg_file_are_its_firsts(tmp_path: Path) -> None:
    content = ogg(tmp_path, "vorbis", "First") + ogg(tmp_path, "opus", "Second")
    assert decoded_bytes(tmp_path, content)[1].tags == {"title": "First"}


@pytest.mark.parametrize("between", [b"x" * 9000, b"OggS", bytes(40_000)])
def test_damage_between_two_links_costs_neither(tmp_path: Path, between: bytes) -> None:
    each = [ogg(tmp_path, "vorbis"), ogg(tmp_path, "vorbis at 48 kHz")]
    alone = sum(decoded_bytes(tmp_path, link)[1].frames for link in each)
    _, found = decoded_bytes(tmp_path, between.join(each))
    assert abs(found.frames - alone) <= 2


def test_a_link_that_was_only_begun_costs_none_of_the_others(tmp_path: Path) -> None:
    whole, next_one = ogg(tmp_path, "vorbis"), ogg(tmp_path, "opus")
    alone = sum(decoded_bytes(tmp_path, link)[1].frames for link in (whole, next_one))
    for content in (whole + next_one[:40] + next_one, whole + next_one + whole[:200]):
        assert abs(decoded_bytes(tmp_path, content)[1].frames - alone) <= 2


def test_a_link_that_cannot_be_read_is_named_and_not_left_out(tmp_path: Path) -> None:
    whole, spoilt = ogg(tmp_path, "vorbis"), ogg(tmp_path, "flac, mono")
    spoilt = spoilt[:28] + bytes(30) + spoilt[58:]
    failure = refusal_of_bytes(tmp_path, whole + spoilt + whole)
    assert failure.code is ErrorCode.AUDIO_UNREADABLE
    assert "number 2" in failure.message
    assert "3 recordings" in failure.message
