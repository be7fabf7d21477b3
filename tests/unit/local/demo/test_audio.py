"""The demo's audio: measured, written, and read as the worker reads it."""

from pathlib import Path

import numpy as np
import pytest

from bench.audio_files import write_audio
from splitjob_local.demo.audio import (
    Signal,
    decode,
    sdr,
    to_webm,
    write_wav,
)
from splitjob_worker.source.audio import AudioLimits
from splitjob_worker.source.decoder import decode_file

RATE = 44100


def noise(seed: int, seconds: float = 1.0, level: float = 0.1) -> Signal:
    rng = np.random.default_rng(seed)
    return (level * rng.standard_normal((2, round(RATE * seconds)))).astype(np.float32)


def test_sdr_is_zero_for_silence_and_high_for_the_truth() -> None:
    stem = noise(1)
    assert sdr(stem, np.zeros_like(stem)) == pytest.approx(0.0)
    assert sdr(stem, stem) > 60
    assert sdr(stem, stem + noise(2)) == pytest.approx(0.0, abs=0.1)


def test_wav_and_webm_round_trip(tmp_path: Path) -> None:
    signal = noise(3)
    write_wav(tmp_path / "a.wav", signal, RATE)
    assert np.abs(decode(tmp_path / "a.wav", RATE) - np.clip(signal, -1, 1)).max() < 1e-4
    (tmp_path / "a.webm").write_bytes(to_webm(signal, RATE, 96))
    assert abs(decode(tmp_path / "a.webm", RATE).shape[1] - RATE) < 3 * 960


@pytest.mark.parametrize(
    ("codec", "suffix", "rate", "tail"),
    [
        ("aac", "m4a", 44100, b""),
        ("aac", "mp4", 48000, b""),
        ("libmp3lame", "mp3", 44100, b"LYRICSBEGIN" + bytes(5000) + b"LYRICS200"),
        ("flac", "flac", 44100, bytes(5000)),
    ],
)
def test_a_song_is_as_long_for_the_demo_as_for_the_worker(
    tmp_path: Path, codec: str, suffix: str, rate: int, tail: bytes
) -> None:
    """What fills up the last frame, and what is no audio, is no part of it."""
    file = write_audio(tmp_path / f"x.{suffix}", noise(4, 1.0101), rate, codec=codec)
    file.write_bytes(file.read_bytes() + tail)
    found = decode_file(file, tmp_path / "spool", AudioLimits(RATE, 60))
    assert decode(file, RATE).shape == (2, found.frames)
