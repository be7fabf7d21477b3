"""The memory of separating a song does not depend on how long it is."""

import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from bench.commands import run
from bench.reference import RATE, STEMS, write

COMMAND = [str(Path(sys.executable).with_name("track-tree-audio")), "separate"]


@pytest.mark.skipif(sys.platform != "linux", reason="a process's memory is read from /proc")
def test_a_song_ten_times_as_long_takes_the_same_memory(tmp_path: Path) -> None:
    """Held in memory, the longer one and its stems would take 45 MB more."""
    write(tmp_path, "small", "HTDemucs")
    shorter, longer = (peak_memory(tmp_path, seconds) for seconds in (14, 140))
    assert longer < 1.1 * shorter


def peak_memory(folder: Path, seconds: int) -> int:
    """Return what the whole command takes, its decoder and encoders included."""
    song = folder / f"song{seconds}.wav"
    noise = np.random.default_rng(0).integers(-9_000, 9_000, (seconds * RATE, 2), np.int16)
    with wave.open(str(song), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(noise.tobytes())
    out = folder / f"out{seconds}"
    model = ["-n", "small", "--repo", str(folder), "-d", "cpu", "--shifts", "0"]
    peak = run([*COMMAND, *model, "-o", out, song], watch_memory=True).peak_bytes
    assert {path.stem for path in out.rglob("*.wav")} == set(STEMS)
    print(f"{seconds} s: {peak / 1e6:.0f} MB")
    return peak
