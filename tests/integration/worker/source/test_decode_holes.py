"""Sound that begins late, or has holes in it: where it is in the stems, and what else is."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from tests.support.decoding import decoded_here

from bench.audio_files import Samples, tones, write_video

WHOLE_FRAMES = 0.96  # seconds: 45 frames of AAC, 48 of Opus, 40 of mp3, at 48 kHz


def sound(seconds: float = WHOLE_FRAMES) -> Samples:
    return tones(48000, seconds, 2)


def heard(samples: Samples) -> list[tuple[float, float]]:
    """Return from which second to which there is sound, at 44.1 kHz, to 10 ms."""
    loud = np.convolve(np.abs(samples[:, 0]) > 0.02, np.ones(441), "same") > 0
    edges = np.flatnonzero(np.diff(np.concatenate([[0], loud.astype(int), [0]])))
    return [(begin / 44100, end / 44100) for begin, end in edges.reshape(-1, 2)]


def close(found: Sequence[tuple[float, float]], wanted: Sequence[tuple[float, float]]) -> bool:
    """Whether the same is heard to 60 ms, as encoders have a frame's length before and behind."""
    return np.shape(found) == np.shape(wanted) and bool(
        np.allclose(np.array(found), np.array(wanted), atol=0.06)
    )


VIDEOS = [
    ("mov", "aac"),
    ("mp4", "aac"),
    ("mkv", "aac"),
    ("mkv", "libopus"),
    ("mkv", "pcm_s16le"),
    ("ts", "aac"),
    ("flv", "aac"),
    ("mpg", "mp2"),
]
AVIS = [("avi", codec) for codec in ("aac", "ac3", "mp2")]  # those of PCM cannot have holes


@pytest.mark.parametrize(("suffix", "codec"), VIDEOS)
def test_sound_that_begins_later_than_the_picture_is_late_in_the_stems(
    tmp_path: Path, suffix: str, codec: str
) -> None:
    """Acceptance 75."""
    file = write_video(tmp_path / f"x.{suffix}", [(1.0, sound())], codec=codec)
    samples, found = decoded_here(file)
    assert close(heard(samples), [(1.0, 1.96)]), heard(samples)
    assert found.damaged_seconds == found.missing_seconds == 0


@pytest.mark.parametrize(("suffix", "codec"), VIDEOS + AVIS)
def test_a_hole_in_the_sound_of_a_video_is_silence(tmp_path: Path, suffix: str, codec: str) -> None:
    """Acceptance 75."""
    file = write_video(tmp_path / f"x.{suffix}", [(0, sound()), (2, sound())], codec=codec)
    samples, found = decoded_here(file)
    assert close(heard(samples), [(0, 0.96), (2.0, 2.96)]), heard(samples)
    assert found.damaged_seconds == found.missing_seconds == 0


@pytest.mark.parametrize(("suffix", "codec"), VIDEOS + AVIS)
def test_sound_as_long_as_the_picture_is_as_it_was(tmp_path: Path, suffix: str, codec: str) -> None:
    file = write_video(tmp_path / f"x.{suffix}", [(0, sound(2.88))], codec=codec)
    samples, found = decoded_here(file)
    assert close(heard(samples), [(0, 2.88)]), heard(samples)
    assert found.damaged_seconds == found.missing_seconds == 0


@pytest.mark.parametrize(("suffix", "codec"), [("mkv", "aac"), ("ts", "aac")])
def test_sound_that_begins_before_the_picture_is_whole(
    tmp_path: Path, suffix: str, codec: str
) -> None:
    file = write_video(tmp_path / f"x.{suffix}", [(0, sound(2.88))], codec=codec, picture=(1, 3))
    samples, _ = decoded_here(file)
    assert close(heard(samples), [(0, 2.88)]), heard(samples)


@pytest.mark.parametrize(("suffix", "codec"), [("mka", "aac"), ("m4a", "aac"), ("mka", "libopus")])
def test_without_a_picture_time_begins_with_the_sound(
    tmp_path: Path, suffix: str, codec: str
) -> None:
    pieces = [(5.0, sound()), (7.0, sound())]
    samples, _ = decoded_here(
        write_video(tmp_path / f"x.{suffix}", pieces, codec=codec, picture=None)
    )
    assert close(heard(samples), [(0, 0.96), (2.0, 2.96)]), heard(samples)


def test_a_jump_in_the_time_of_a_broadcast_is_no_hole(tmp_path: Path) -> None:
    pieces = [(0.0, sound()), (3600.0, sound())]
    samples, found = decoded_here(write_video(tmp_path / "x.ts", pieces, picture=(0, 0.9)))
    assert close(heard(samples), [(0, 1.92)]), heard(samples)
    assert found.damaged_seconds == 0


def test_a_hole_of_minutes_takes_no_more_memory_than_its_samples(tmp_path: Path) -> None:
    pieces = [(0.0, sound()), (15.0, sound())]
    samples, _ = decoded_here(write_video(tmp_path / "x.mkv", pieces, codec="pcm_s16le"))
    assert close(heard(samples), [(0, 0.96), (15.0, 15.96)])
    assert not samples[44100:661_000].any()
