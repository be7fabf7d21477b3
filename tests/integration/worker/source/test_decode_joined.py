"""Whole files that were joined byte by byte: FFmpeg by itself reads the first, and says nothing."""

import time
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from tests.support.decoding import decoded_bytes, decoded_here, refusal_of_bytes

from bench.audio_files import rewrite, tones, write_audio
from splitjob.errors import ErrorCode
from splitjob_worker.source.chained import files_of
from splitjob_worker.source.content import Content

KINDS = [
    ("wav", "pcm_s16le", "wav"),
    ("aiff", "pcm_s16be", "aiff"),
    ("m4a", "aac", "ipod"),
    ("mov", "alac", "mov"),
    ("flv", "libmp3lame", "flv"),
    ("w64", "pcm_s16le", "w64"),
    ("au", "pcm_s16be", "au"),
    ("caf", "alac", "caf"),
    ("voc", "pcm_s16le", "voc"),
    ("flac", "flac", "flac"),
    ("mkv", "flac", "matroska"),
    ("wv", "wavpack", "wv"),
    ("tta", "tta", "tta"),
    ("wma", "wmav2", "asf"),
]


def written(folder: Path, kind: tuple[str, str, str], rate: int = 44100) -> bytes:
    suffix, codec, container = kind
    path = folder / f"x.{suffix}"
    sound = tones(rate, 0.5, 2)
    return write_audio(
        path, sound, rate, "stereo", codec, container, 64_000, {"title": "Take 1"}
    ).read_bytes()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind[0])
def test_each_of_the_files_is_decoded(tmp_path: Path, kind: tuple[str, str, str]) -> None:
    """Acceptance 75: also where the second one has another rate."""
    each = [written(tmp_path, kind), written(tmp_path, kind, 22050), written(tmp_path, kind)]
    alone = [decoded_bytes(tmp_path, one)[0] for one in each]
    samples, found = decoded_bytes(tmp_path, b"".join(each))
    assert found.damaged_seconds == found.missing_seconds == 0
    assert abs(len(samples) - sum(map(len, alone))) <= len(each)
    assert np.array_equal(samples[: len(alone[0])], alone[0])
    assert np.array_equal(samples[-len(alone[2]) :], alone[2])


def test_a_recording_written_to_a_pipe_says_no_size_and_is_found_by_the_next_header(
    tmp_path: Path,
) -> None:
    whole = write_audio(tmp_path / "x.flac", tones(44100, 0.5, 2), codec="flac")
    one = rewrite(whole, tmp_path / "x.mkv", "matroska", {"live": "1"}).read_bytes()
    alone, _ = decoded_bytes(tmp_path, one)
    samples, _ = decoded_bytes(tmp_path, one * 3)
    assert len(samples) == 3 * len(alone)


def test_recordings_of_telephones_are_decoded_one_after_the_other(tmp_path: Path) -> None:
    sound = tones(8000, 0.5, 1)
    one = write_audio(tmp_path / "x.amr", sound, 8000, "mono", "libopencore_amrnb", "amr")
    alone, _ = decoded_bytes(tmp_path, one.read_bytes())
    samples, _ = decoded_bytes(tmp_path, one.read_bytes() * 3)
    assert abs(len(samples) - 3 * len(alone)) <= 3
    assert abs(samples[-len(alone) :] - alone).max() < 0.01, "but for what resampling begins with"


def test_files_of_two_kinds_behind_one_another_are_both_decoded(tmp_path: Path) -> None:
    each = [written(tmp_path, kind) for kind in KINDS if kind[0] in ("wav", "w64", "caf", "tta")]
    alone = [len(decoded_bytes(tmp_path, one)[0]) for one in each]
    samples, _ = decoded_bytes(tmp_path, b"".join(each))
    assert len(samples) == sum(alone)


def test_a_tta_that_says_more_frames_than_can_be_is_not_counted_through(tmp_path: Path) -> None:
    one = bytearray(written(tmp_path, ("tta", "tta", "tta")))
    one[10:18] = (1).to_bytes(4, "little") + (0xFFFFFFFF).to_bytes(4, "little")  # rate, samples
    began = time.process_time()
    assert list(files_of(Content(BytesIO(one), len(one)), 0)) == [(0, len(one))]
    assert time.process_time() - began < 1


def test_a_second_file_that_was_cut_off_is_missing_its_end(tmp_path: Path) -> None:
    one = written(tmp_path, KINDS[0])
    _, found = decoded_bytes(tmp_path, one + one[: len(one) // 2])
    assert found.missing_seconds == pytest.approx(0.25, abs=0.01)


def test_one_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    one = written(tmp_path, KINDS[2])
    without_index = one[: one.index(b"moov") - 4]
    failure = refusal_of_bytes(tmp_path, one + without_index)
    assert failure.code is ErrorCode.AUDIO_UNREADABLE
    assert "number 2" in failure.message


def test_fragments_behind_the_first_boxes_of_their_stream_again_are_one_file(
    tmp_path: Path,
) -> None:
    flags = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "100000"}
    whole = write_audio(tmp_path / "x.m4a", tones(44100, 0.5, 2), codec="aac")
    file = rewrite(whole, tmp_path / "x.mp4", "mp4", flags)
    content = file.read_bytes()
    starts = [at - 4 for at in range(len(content)) if content.startswith(b"moof", at)]
    again = content[: starts[2]] + content[: starts[0]] + content[starts[2] :]
    before, _ = decoded_here(file)
    samples, found = decoded_bytes(tmp_path, again)
    assert np.array_equal(samples, before)
    assert found.damaged_seconds == 0
