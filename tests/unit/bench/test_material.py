"""How far apart two files of sound are."""

import wave
from pathlib import Path

import numpy as np

from bench.material import steps_apart


def test_by_how_much_two_files_differ(tmp_path: Path) -> None:
    one = np.arange(-1000, 1000, dtype="<i2")
    other = one.copy()
    other[700] += 3
    for name, samples in (("one", one), ("other", other)):
        with wave.open(str(tmp_path / name), "wb") as file:
            file.setparams((2, 2, 44100, 0, "NONE", ""))
            file.writeframes(samples.tobytes())
    assert steps_apart(tmp_path / "one", tmp_path / "one") == 0
    assert steps_apart(tmp_path / "one", tmp_path / "other") == 3
