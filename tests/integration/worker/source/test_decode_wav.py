"""WAV files whose chunks are not as they say: all of their sound is taken, and nothing else."""

import struct
from pathlib import Path

import numpy as np
import pytest
from tests.support.decoding import decoded_bytes, refusal_of_bytes

from bench.audio_files import tones
from splitjob.errors import ErrorCode

UNKNOWN = 0xFFFFFFFF


def chunk(name: bytes, content: bytes, size: int | None = None, filled_up: bool = True) -> bytes:
    """Return a chunk of a RIFF file, its size as stated."""
    stated = struct.pack("<I", len(content) if size is None else size)
    return name + stated + content + b"\0" * (len(content) % 2 if filled_up else 0)


FORMAT = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 2, 44100, 176400, 4, 16))
INFO = chunk(b"LIST", b"INFO" + chunk(b"INAM", b"Take 1") + chunk(b"ICMT", b"\x25" * 40_001))
ID3 = b"ID3\4\0\0\0\0\x07\x76" + b"x" * 1014
APE = b"APETAGEX" + struct.pack("<IIIIQ", 2000, 32 + 8, 0, 0xA0000000, 0) + b"x" * 40
BEHIND = {
    "nothing": b"",
    "LIST": INFO,
    "several": INFO + chunk(b"id3 ", b"x" * 99) + chunk(b"bext", bytes(602)),
    "several, the last without its filling byte": INFO + chunk(b"id3 ", b"x" * 99)[:-1],
    "an empty list": chunk(b"LIST", b""),
    "ID3v1": b"TAG" + b"x" * 125,
    "a list, ID3v2 and APE": INFO + ID3 + APE,
}
SOUND: bytes = (tones(44100, 1.0, 2).T * 32767).astype("<i2").tobytes()
HALF = len(SOUND) // 2


def riff(*chunks: bytes, name: bytes = b"RIFF") -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return name + struct.pack("<I", len(body)) + body


def taken(folder: Path, content: bytes) -> bytes:
    """Return the sound that is decoded, as samples of 16 bits; nothing of it may be lost."""
    samples, found = decoded_bytes(folder, content)
    assert found.damaged_seconds == found.missing_seconds == 0
    whole: bytes = np.round(samples * 32768).astype("<i2").tobytes()
    return whole


@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize("stated", [0, UNKNOWN, 0x7FFFFFFF, len(SOUND)])
def test_of_a_wav_file_its_sound_is_taken_and_nothing_behind_it(
    tmp_path: Path, stated: int, behind: str
) -> None:
    """Acceptance 75."""
    content = riff(FORMAT, chunk(b"data", SOUND, stated), BEHIND[behind])
    assert taken(tmp_path, content) == SOUND


@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize("stated", [0, UNKNOWN])
def test_of_a_wav_file_without_sound_no_chunk_is_taken_for_it(
    tmp_path: Path, stated: int, behind: str
) -> None:
    """Acceptance 75."""
    content = riff(FORMAT, chunk(b"data", b"", stated), BEHIND[behind])
    failure = refusal_of_bytes(tmp_path, content)
    assert failure.code is ErrorCode.AUDIO_UNREADABLE
    assert "holds no audio" in failure.message


ODD = {
    "one in front": chunk(b"junk", b"x" * 33, filled_up=False) + FORMAT,
    "one between": FORMAT + chunk(b"LIST", b"INFOabcde", filled_up=False),
    "two": FORMAT
    + chunk(b"bext", b"y" * 603, filled_up=False)
    + chunk(b"id3 ", b"z" * 77, filled_up=False),
}


@pytest.mark.parametrize("in_front", ODD)
@pytest.mark.parametrize("stated", [0, UNKNOWN, len(SOUND)])
def test_chunks_of_an_odd_size_that_nothing_fills_up_hide_no_sound(
    tmp_path: Path, stated: int, in_front: str
) -> None:
    content = riff(ODD[in_front], chunk(b"data", SOUND, stated))
    assert taken(tmp_path, content) == SOUND


@pytest.mark.parametrize("size", [100, 0x00FFFFFF, UNKNOWN])
@pytest.mark.parametrize("letters", [4, 5])
def test_chunks_that_are_said_to_be_longer_or_shorter_hide_no_sound(
    tmp_path: Path, size: int, letters: int
) -> None:
    wrong = chunk(b"LIST", b"INFO" + b"a" * 400 * letters, size, filled_up=False)
    assert taken(tmp_path, riff(FORMAT, wrong, chunk(b"data", SOUND))) == SOUND


def test_empty_chunks_are_passed_over(tmp_path: Path) -> None:
    """With an empty list, FFmpeg would read no file at all."""
    empty = [chunk(name, b"") for name in (b"JUNK", b"LIST", b"fact", b"bext")]
    content = riff(*empty, FORMAT, *empty, chunk(b"data", SOUND), *empty)
    assert taken(tmp_path, content) == SOUND


@pytest.mark.parametrize("stated", [0, len(SOUND), len(SOUND) + HALF])
def test_the_long_size_counts_where_it_was_filled_in(tmp_path: Path, stated: int) -> None:
    """RF64 (EBU 3306), also as it is written into a pipe: without sizes."""
    sizes = chunk(b"ds64", struct.pack("<QQQI", 0, stated, 0, 0))
    content = riff(sizes, FORMAT, chunk(b"data", SOUND, UNKNOWN), name=b"RF64")
    samples, found = decoded_bytes(tmp_path, content)
    assert len(samples) == len(SOUND) // 4
    assert found.missing_seconds == pytest.approx(0.5 if stated > len(SOUND) else 0)


@pytest.mark.parametrize("behind", [b"", INFO])
def test_sound_behind_a_size_that_was_true_some_time_before_is_taken(
    tmp_path: Path, behind: bytes
) -> None:
    """As of a recorder that states it every minute, and was switched off."""
    content = riff(FORMAT, chunk(b"data", SOUND, HALF), behind)
    assert taken(tmp_path, content) == SOUND


@pytest.mark.parametrize("rubbish", [bytes(50_000), b"\xde\xad\xbe\xef" * 500, ID3 + b"y" * 50_000])
def test_rubbish_behind_a_whole_file_is_no_sound(tmp_path: Path, rubbish: bytes) -> None:
    assert taken(tmp_path, riff(FORMAT, chunk(b"data", SOUND)) + rubbish) == SOUND


def test_several_chunks_of_sound_are_one_song(tmp_path: Path) -> None:
    pieces = [chunk(b"data", SOUND[:HALF]), INFO, chunk(b"data", SOUND[HALF:])]
    assert taken(tmp_path, riff(FORMAT, *pieces, INFO)) == SOUND
    cut = riff(FORMAT, *pieces)[: -HALF // 2]
    assert decoded_bytes(tmp_path, cut)[1].missing_seconds == pytest.approx(0.25, abs=1e-6)


def test_numbers_the_other_way_round_are_not_taken_for_noise(tmp_path: Path) -> None:
    content = b"RIFX" + riff(FORMAT, chunk(b"data", SOUND))[4:]
    failure = refusal_of_bytes(tmp_path, content)
    assert failure.code is ErrorCode.AUDIO_UNSUPPORTED
    assert "RIFX" in failure.message


def test_a_file_without_a_chunk_of_sound_is_said_to_have_none(tmp_path: Path) -> None:
    failure = refusal_of_bytes(tmp_path, riff(FORMAT, INFO))
    assert failure.code is ErrorCode.AUDIO_UNREADABLE
    assert "no chunk of it is sound" in failure.message
