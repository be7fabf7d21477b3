"""The decoder on broken files: several hundred of the corpus that the tests begin."""

import json
import subprocess
import sys
from pathlib import Path

from bench.broken_audio import Summary
from bench.figures import Figure, at_most, note

COMMAND = "make bench ONLY=fuzz"
FILES = 940  # twenty rounds through the kinds of file
MEMORY_MB = 512


def measure() -> list[Figure]:
    """Return the figures; takes about three minutes."""
    output = subprocess.run(
        [sys.executable, "-m", "bench.broken_audio", str(FILES)],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    summary = Summary(**json.loads(output))
    for line in [*summary.wrong, *summary.died]:
        print(f"    {line}")
    outcomes = [
        note(f"fuzz: {outcome}", count, "files", COMMAND)
        for outcome, count in sorted(summary.outcomes.items())
    ]
    return [
        at_most(f"fuzz: wrong, of {summary.files} files", len(summary.wrong), "", 0, COMMAND),
        *outcomes,
        note("fuzz: ended the decoder's process", len(summary.died), "files", COMMAND),
        note("fuzz: slowest file", summary.slowest_seconds, "s", COMMAND),
        at_most("fuzz: memory of a decoder", summary.peak_bytes / 1e6, "MB", MEMORY_MB, COMMAND),
    ]
