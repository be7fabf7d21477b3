"""Files that FFmpeg by itself does not read, or takes for damaged, though all of them is there."""

import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from tests.support.decoding import decoded_here

from bench.audio_files import Samples, tones, write_audio
from splitjob_worker.source.content import Edit, EditedFile

ID3 = b"ID3\4\0\0\0\0\x07\x76" + bytes(1014)
APE_FLAGS = 0xA0000000  # there is a header, and this is it
APE = b"APETAGEX" + struct.pack("<IIIIQ", 2000, 32 + 8, 0, APE_FLAGS, 0) + b"x" * 40


class Pipe:
    """Takes what is written, and nothing is written over."""

    def __init__(self) -> None:
        self.content = b""

    def write(self, piece: bytes) -> int:
        self.content += bytes(piece)
        return len(piece)


def whole(file: Path) -> Samples:
    """Return the samples of a file that has lost nothing."""
    samples, found = decoded_here(file)
    assert found.damaged_seconds == found.missing_seconds == 0
    return samples


def boxes(content: bytes) -> list[bytes]:
    found, place = [], 0
    while place < len(content):
        size = int.from_bytes(content[place : place + 4])
        found.append(content[place : place + size])
        place += size
    return found


@pytest.mark.parametrize("zeros", [1, 2, 3, 8, 4096])
def test_zeros_between_the_boxes_of_an_m4a_are_passed_over(tmp_path: Path, zeros: int) -> None:
    """FFmpeg takes them for a box without end; the sound keeps its place in the file."""
    file = write_audio(tmp_path / "x.m4a", tones(44100, 0.5, 2), codec="aac", container="ipod")
    before = whole(file)
    *front, index = boxes(file.read_bytes())
    assert index[4:8] == b"moov"
    file.write_bytes(b"".join(front) + bytes(zeros) + index + bytes(zeros))
    assert np.array_equal(whole(file), before)


@pytest.mark.parametrize("tag", [ID3, APE, APE + ID3], ids=["ID3v2", "APEv2", "both"])
def test_tags_between_the_frames_of_an_mp3_are_no_damage(tmp_path: Path, tag: bytes) -> None:
    """As where songs were joined: a cover would be ten seconds of silence."""
    file = write_audio(tmp_path / "x.mp3", tones(44100, 0.5, 2), codec="libmp3lame")
    content = file.read_bytes()
    file.write_bytes(content + content)
    before = whole(file)
    file.write_bytes(content + tag + content)
    assert np.array_equal(whole(file), before)


@pytest.mark.parametrize("kind", ["aiff", "w64"])
def test_what_was_written_into_a_pipe_is_read_to_its_end(tmp_path: Path, kind: str) -> None:
    """Nobody filled in its sizes."""
    codec = {"aiff": "pcm_s16be", "w64": "pcm_s16le"}[kind]
    file = write_audio(tmp_path / f"x.{kind}", tones(44100, 0.5, 2), codec=codec, container=kind)
    pipe: Any = Pipe()
    with av.open(str(file)) as given, av.open(pipe, "w", format=kind) as made:
        track = made.add_stream_from_template(given.streams.audio[0])
        for packet in given.demux(audio=0):
            if packet.dts is not None:
                packet.stream = track
                made.mux(packet)
    piped = tmp_path / "piped"
    piped.write_bytes(pipe.content)
    assert np.array_equal(whole(piped), whole(file))


def test_an_au_whose_size_was_never_filled_in_is_read_to_its_end(tmp_path: Path) -> None:
    file = write_audio(tmp_path / "x.au", tones(44100, 0.5, 2), codec="pcm_s16be")
    before = whole(file)
    content = file.read_bytes()
    file.write_bytes(content[:8] + bytes(4) + content[12:])
    assert np.array_equal(whole(file), before)


@pytest.mark.parametrize("name", [b"NAME", b"APPL"])
def test_a_chunk_of_an_aiff_of_an_odd_size_that_nothing_fills_up_hides_no_sound(
    tmp_path: Path, name: bytes
) -> None:
    file = write_audio(tmp_path / "x.aiff", tones(44100, 0.5, 2), codec="pcm_s16be")
    before = whole(file)
    content = file.read_bytes()
    odd = name + struct.pack(">I", 5) + b"abcde"
    file.write_bytes(content[:12] + odd + content[12:])
    assert np.array_equal(whole(file), before)


def test_an_edited_file_reads_as_if_it_had_been_written_so(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(bytes(range(100)))
    edits = (Edit(10, 20), Edit(30, 34, b"abcd"), Edit(50, 50, b"more"))
    expected = BytesIO(
        bytes([*range(5, 10), *range(20, 30), *b"abcd", *range(34, 50), *b"more", *range(50, 90)])
    )
    with EditedFile(file, 5, 90, edits) as edited:
        for offset, whence in ((0, 0), (3, 0), (-7, 2), (12, 0), (4, 1), (0, 2)):
            assert edited.seek(offset, whence) == expected.seek(offset, whence)
            piece = edited.read(6)  # to the end of a run at most
            assert piece == expected.read(len(piece))
            assert piece or expected.tell() == len(expected.getvalue())
        edited.seek(0)
        assert b"".join(iter(edited.read, b"")) == expected.getvalue()
