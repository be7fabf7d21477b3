"""Commands that the benchmarks run: their memory and their failures."""

import subprocess
import sys

import pytest

from bench.commands import run

MEGABYTES = 150


def test_the_memory_of_children_counts() -> None:
    hold = f"x = bytearray({MEGABYTES} << 20); import time; time.sleep(1)"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hold!r}])"
    took = run(
        [sys.executable, "-c", f"x = bytearray({MEGABYTES} << 20); {child}"], watch_memory=True
    )
    assert 2 * MEGABYTES << 20 < took.peak_bytes < 4 * MEGABYTES << 20
    assert took.wall > 1
    assert run([sys.executable, "-c", ""]).peak_bytes == 0


def test_a_command_that_fails_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        run([sys.executable, "-c", "raise SystemExit('the reason')"])
    assert "the reason" in capsys.readouterr().err
