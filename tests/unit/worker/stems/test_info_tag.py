"""The Info tag of an MP3 file, which says how long the sound is: its counts and its checksums."""

from pathlib import Path

import pytest
from tests.support.stems import encode, sweep

from splitjob_worker.spool import Samples
from splitjob_worker.stems.encoding import Encoding
from splitjob_worker.stems.info_tag import FrameHeader


@pytest.fixture(scope="module")
def sound() -> Samples:
    return sweep()


BITRATES_AND_RATES = [
    (320, 44100), (96, 44100), (128, 48000), (256, 32000), (64, 22050), (24, 8000), (320, 22050),
    (320, 8000),
]  # fmt: skip


def reference_crc(data: bytes) -> int:
    """CRC-16 as LAME's description has it, bit by bit."""
    state = 0
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ (0xA001 if state & 1 else 0)
    return state


@pytest.mark.parametrize(("bitrate", "rate"), BITRATES_AND_RATES)
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
    position, frames = FrameHeader.parse(content).length, 0
    while position < len(content):
        position += FrameHeader.parse(content[position:]).length
        frames += 1
    assert (position, frames) == (len(content), count)


@pytest.mark.parametrize(("bitrate", "rate"), BITRATES_AND_RATES)
def test_the_checksums_of_an_info_tag_are_those_of_tag_and_sound(
    sound: Samples, tmp_path: Path, bitrate: int, rate: int
) -> None:
    """Strict readers believe no delay and no padding of a tag without: 1105 samples late."""
    made = encode(sound[:20_000], Encoding("mp3", bitrate_kbps=bitrate), tmp_path, rate=rate)
    content = made.path.read_bytes()
    audio = content[FrameHeader.parse(content).length :]
    of_sound = content.index(b"Info") + 152
    of_tag = of_sound + 2
    assert int.from_bytes(content[of_sound:of_tag], "big") == reference_crc(audio)
    assert int.from_bytes(content[of_tag : of_tag + 2], "big") == reference_crc(content[:of_tag])
