"""Creative Voice Files, whose blocks of silence hold no samples."""

import struct
from pathlib import Path

import numpy as np
import pytest
from tests.support.decoding import decoded_bytes, refusal_of_bytes

from splitjob.errors import ErrorCode
from splitjob_worker.source.content import Content
from splitjob_worker.source.voc import silences

HEADER = b"Creative Voice File\x1a" + struct.pack("<HHH", 26, 0x10A, 0x1129)
END = b"\0"
TIME_CONSTANT = 256 - 1_000_000 // 20_000  # of 20 kHz
TONE = np.sin(np.arange(20_000) / 20)  # a second


def block(kind: int, content: bytes) -> bytes:
    return bytes([kind]) + len(content).to_bytes(3, "little") + content


def silence(samples: int) -> bytes:
    return block(3, struct.pack("<HB", samples - 1, TIME_CONSTANT))


def sound_of_8_bits() -> bytes:
    return block(1, bytes([TIME_CONSTANT, 0]) + (128 + 100 * TONE).astype("u1").tobytes())


def sound_of_16_bits() -> bytes:
    stereo = np.repeat(TONE * 25_000, 2).astype("<i2")
    return block(9, struct.pack("<IBBHI", 20_000, 16, 2, 4, 0) + stereo.tobytes())


@pytest.mark.parametrize(
    "sound", [sound_of_8_bits(), sound_of_16_bits()], ids=["8 bits", "16 bits, stereo"]
)
def test_silence_lasts_as_long_as_it_says(tmp_path: Path, sound: bytes) -> None:
    alone, _ = decoded_bytes(tmp_path, HEADER + sound + END)
    samples, found = decoded_bytes(tmp_path, HEADER + sound + silence(10_000) + sound + END)
    assert len(samples) == pytest.approx(2 * len(alone) + 22_050, abs=3)
    assert found.damaged_seconds == found.missing_seconds == 0
    gap = samples[len(alone) + 100 : len(alone) + 21_950]
    assert abs(gap).max() < 0.01
    assert abs(samples[-len(alone) + 100 :]).max() > 0.1


def test_silence_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    lengths = b"".join(silence(samples) for samples in range(60_000, 62_000))
    failure = refusal_of_bytes(tmp_path, HEADER + sound_of_8_bits() + lengths + END)
    assert failure.code is ErrorCode.AUDIO_UNREADABLE
    assert "silence" in failure.message


def test_silence_at_a_rate_that_is_none_is_refused(tmp_path: Path) -> None:
    sound = block(9, struct.pack("<IBBHI", 0xFFFFFFFF, 16, 2, 4, 0) + bytes(400))
    failure = refusal_of_bytes(tmp_path, HEADER + sound + silence(60_000) + sound + END)
    assert failure.code is ErrorCode.AUDIO_UNREADABLE
    assert "silence" in failure.message


def test_silence_of_the_same_length_is_written_like_the_sound_in_front_of_it(
    tmp_path: Path,
) -> None:
    stereo, mono = sound_of_16_bits(), block(9, struct.pack("<IBBHI", 20_000, 8, 1, 0, 0))
    content = HEADER + stereo + silence(10_000) + mono + silence(10_000) + END
    path = tmp_path / "x.voc"
    path.write_bytes(content)
    with path.open("rb") as file:
        first, second = silences(Content(file, len(content)), 0)
    assert (len(first.content), set(first.content[4:])) == (4 + 40_000, {0})
    assert (len(second.content), set(second.content[4:])) == (4 + 10_000, {0x80})
